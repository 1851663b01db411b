import { defineOp } from "../autograd/op.js";
import { ShapeError } from "../core/errors.js";
import { formatShape, normalizeAxis, type Shape, sameShape, sizeOf } from "../core/shape.js";
import { reduceOps } from "../engine/kernels.js";
import { installMethods, type Tensor } from "../tensor/tensor.js";
import { checkFloat, like } from "./operand.js";

/** Kernel `reduce` over `count` neighbouring axes starting at `axis`; the axes stay with size 1. */
function reduceRun(x: Tensor, op: (typeof reduceOps)[number], axis: number, count: number): Tensor {
  const shape = x.shape.map((n, i) => (i >= axis && i < axis + count ? 1 : n));
  const y = like(x, shape);
  if (y.size === 0) return y;
  x.backend.call("reduce", {
    x: x.storage,
    y: y.storage,
    op: reduceOps.indexOf(op),
    outer: sizeOf(x.shape.slice(0, axis)),
    count: sizeOf(x.shape.slice(axis, axis + count)),
    inner: sizeOf(x.shape.slice(axis + count)),
  });
  return y;
}

/** Reduces `axes` (ascending), one run of neighbours at a time, from the last; the axes stay with size 1. */
function reduceAxes(x: Tensor, op: (typeof reduceOps)[number], axes: readonly number[]): Tensor {
  let y = x;
  for (let end = axes.length; end > 0; ) {
    let start = end - 1;
    while (start > 0 && axes[start - 1] === axes[start]! - 1) start--;
    const next = reduceRun(y, op, axes[start]!, end - start);
    if (y !== x) y.dispose();
    y = next;
    end = start;
  }
  return y === x ? x.view(x.shape) : y;
}

const sumOp = defineOp<readonly number[]>("sum", {
  forward: ([x], axes) => reduceAxes(x!, "sum", axes),
  gradient: () => (saved, dy) => [dy.expand(saved.shapes[0]!)],
});

function axesOf(who: string, x: Tensor, axes: number | readonly number[] | undefined): number[] {
  if (axes === undefined) return x.shape.map((_, i) => i);
  const list = (typeof axes === "number" ? [axes] : axes).map((a) => normalizeAxis(who, a, x.rank));
  return [...new Set(list)].sort((a, b) => a - b);
}

/** Another shape of a result that nobody else has seen. */
function reshaped(y: Tensor, shape: Shape): Tensor {
  const z = y.reshape(shape);
  y.dispose();
  return z;
}

/** Sum over `axes` (default all), which are dropped unless `keepDims`. */
export function sum(x: Tensor, axes?: number | readonly number[], keepDims = false): Tensor {
  checkFloat("sum", x);
  const list = axesOf("sum", x, axes);
  const y = sumOp([x], list);
  return keepDims
    ? y
    : reshaped(
        y,
        x.shape.filter((_, i) => !list.includes(i)),
      );
}

/** Mean over `axes` (default all); of nothing it is NaN. */
export function mean(x: Tensor, axes?: number | readonly number[], keepDims = false): Tensor {
  checkFloat("mean", x);
  const count = sizeOf(axesOf("mean", x, axes).map((a) => x.shape[a]!));
  const total = sum(x, axes, keepDims);
  const y = total.mul(1 / count);
  total.dispose();
  return y;
}

/** Sums over the axes along which `shape` was broadcast: the transpose of `expand`. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  return reshaped(sumOp([x], axes), shape);
}

/** Position of the largest value along `axis` (default the last), as int32; the first if several are equal. */
export function argmax(x: Tensor, axis = -1): Tensor {
  checkFloat("argmax", x);
  const a = normalizeAxis("argmax", axis, x.rank);
  if (x.shape[a] === 0) throw new ShapeError(`argmax: axis ${a} of shape ${formatShape(x.shape)} is empty.`);
  const y = like(
    x,
    x.shape.filter((_, i) => i !== a),
    "int32",
  );
  const outer = sizeOf(x.shape.slice(0, a));
  x.backend.call("argmax", { x: x.storage, y: y.storage, outer, count: x.shape[a]!, inner: sizeOf(x.shape.slice(a + 1)) });
  return y;
}

installMethods({
  sumTo(shape) {
    return sumTo(this, shape);
  },
  sum(axes, keepDims) {
    return sum(this, axes, keepDims);
  },
  mean(axes, keepDims) {
    return mean(this, axes, keepDims);
  },
  argmax(axis) {
    return argmax(this, axis);
  },
});
