import { formatShape } from "../core/shape.js";
import type { Tensor } from "./tensor.js";

/** Axes longer than this show their ends only. */
const LONG = 8;
const EDGE = 3;

function formatNumber(x: number): string {
  if (Number.isInteger(x) || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size >= 1e5 || size < 1e-4 ? x.toExponential(3) : String(Number(x.toPrecision(5)));
}

/** Shape, type and values; long axes are cut. */
export function formatTensor(t: Tensor): string {
  const head = `Tensor ${formatShape(t.shape)} ${t.dtype}${t.requiresGrad ? ", requiresGrad" : ""}`;
  if (t.isDisposed) return `${head}, disposed of`;
  const data = t.data();
  const write = (axis: number, offset: number, size: number, indent: string): string => {
    if (axis === t.rank) return formatNumber(data[offset]!);
    const count = t.shape[axis]!;
    const step = count === 0 ? 0 : size / count;
    const items: string[] = [];
    for (let i = 0; i < count; i++) {
      if (count > LONG && i === EDGE) {
        items.push("…");
        i = count - EDGE;
      }
      items.push(write(axis + 1, offset + i * step, step, `${indent} `));
    }
    return `[${items.join(axis === t.rank - 1 ? ", " : `,\n${indent} `)}]`;
  };
  return `${head}\n${write(0, 0, t.size, "")}`;
}
