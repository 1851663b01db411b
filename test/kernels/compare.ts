import type { HostArray } from "../../src/engine/backend.js";
import type { KernelName } from "../../src/engine/kernels.js";

/**
 * How near a 32-bit backend must come to the reference.
 * exact: the reference rounded to 32 bits. element: |a - b| ≤ t·|b| + 0.25·t, number by number.
 * tensor: |a - b| ≤ t·max(1, max|b|), for sums, whose error follows their largest terms.
 */
export interface Tolerance {
  readonly rule: "exact" | "element" | "tensor";
  readonly t: number;
}

const exact: Tolerance = { rule: "exact", t: 0 };
const element: Tolerance = { rule: "element", t: 2e-6 };
const tensor: Tolerance = { rule: "tensor", t: 2e-6 };

const tolerances: { readonly [K in KernelName]?: Tolerance } = {
  fill: exact,
  fillInt: exact,
  fillCell: exact,
  copyCell: exact,
  fillAll: exact,
  copy: exact,
  stridedCopy: exact,
  gatherRows: exact,
  gatherBytes: element,
  oneHot: exact,
  addToCell: exact,
  addToInt: exact,
  unary: element,
  unaryBackward: element,
  binary: element,
  argmax: exact,
  maxPool2d: exact,
  channelMoments: element,
  maskedMoments: element,
  mergeMoments: element,
  updateRunning: element,
  maxPool2dGather: exact,
  depthWindows: exact,
  sgd: element,
  adam: element,
  rmsprop: element,
  addSquares: { rule: "element", t: 1e-7 },
  clipScale: element,
  randomUniform: element,
  randomNormal: element,
  dropoutMask: element,
  advanceRandom: exact,
  finiteMoments: exact,
  percentiles: exact,
  histogram: exact,
};

export function toleranceOf(kernel: KernelName, override?: number): Tolerance {
  const tolerance = tolerances[kernel] ?? tensor;
  return override === undefined ? tolerance : { ...tolerance, t: override };
}

/** The first place where `got` is not near enough to `want`, as text, or null. Where one is not finite, so is the other. */
export function difference(got: HostArray, want: HostArray, { rule, t }: Tolerance): string | null {
  if (got.length !== want.length) return `length ${got.length} instead of ${want.length}`;
  const isInteger = got instanceof Int32Array || got instanceof Uint8Array;
  const rounded = got instanceof Float32Array ? Float32Array.from(want) : want;
  let largest = 1;
  for (const b of rounded) if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
  for (let i = 0; i < got.length; i++) {
    const a = got[i]!;
    const b = rounded[i]!;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const allowed = isInteger || rule === "exact" ? 0 : rule === "element" ? t * Math.abs(b) + 0.25 * t : t * largest;
    if (!Number.isFinite(b) || !(Math.abs(a - b) <= allowed)) return `[${i}] is ${a}, expected ${b} ± ${allowed}`;
  }
  return null;
}

/** The first element whose bits differ, as text, or null. */
export function bitDifference(a: HostArray, b: HostArray): string | null {
  if (a.byteLength !== b.byteLength) return `${a.byteLength} bytes and ${b.byteLength} bytes`;
  const x = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  const y = new Uint8Array(b.buffer, b.byteOffset, b.byteLength);
  const at = x.findIndex((byte, i) => byte !== y[i]);
  if (at < 0) return null;
  const i = Math.floor(at / a.BYTES_PER_ELEMENT);
  return `[${i}] is ${a[i]} and ${b[i]}`;
}

/** Outputs [3, c] that begin with a mean in two parts, and what the standard deviation is by the third row. */
const momentOutputs: { readonly [output: string]: (third: number) => number } = {
  "batchNormTrain stats": (inverseStd) => 1 / inverseStd,
  "rowNorm stats": (inverseStd) => 1 / inverseStd,
  "channelMoments moments": Math.sqrt,
  "maskedMoments moments": Math.sqrt,
  "mergeMoments moments": Math.sqrt,
};

/**
 * What is compared of the outputs `got`, and with what. Moments split the mean over two rows, which backends do differently:
 * compared are the error of the sum of both, in standard deviations, with 0, and the third row.
 * Where the mean is not finite, any such value will do.
 */
export function comparable(
  kernel: KernelName,
  got: ReadonlyMap<string, HostArray>,
  want: ReadonlyMap<string, HostArray>,
): [name: string, got: HostArray, want: HostArray][] {
  return [...want].flatMap(([name, values]): [string, HostArray, HostArray][] => {
    const own = got.get(name)!;
    const stdOf = momentOutputs[`${kernel} ${name}`];
    if (stdOf === undefined) return [[name, own, values]];
    const c = values.length / 3;
    const mean = (moments: HostArray, k: number): number => moments[k]! + moments[c + k]!;
    const error = Float64Array.from({ length: c }, (_, k) => {
      const difference = mean(own, k) - mean(values, k);
      return difference === 0 ? 0 : difference / stdOf(values[2 * c + k]!);
    });
    const none = Float64Array.from({ length: c }, (_, k) => mean(values, k) * 0);
    return [
      [`${name}, mean `, error, none],
      [`${name}, third row `, own.slice(2 * c), values.slice(2 * c)],
    ];
  });
}
