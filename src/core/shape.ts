import { ShapeError } from "./errors.js";

/** Sizes of a row-major array, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const n of shape) size *= n;
  return size;
}

/** `[2, 3]` as text. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** Refuses shapes with negative or fractional sizes. */
export function checkShape(who: string, shape: Shape): void {
  for (const n of shape) {
    if (!Number.isInteger(n) || n < 0) {
      throw new ShapeError(`${who}: expected a shape of non-negative integers, got ${formatShape(shape)}.`);
    }
  }
}

/** The shape of `a ∘ b` under NumPy's broadcasting rule. */
export function broadcastShapes(who: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const m = a[a.length - rank + i] ?? 1;
    const n = b[b.length - rank + i] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(`${who}: shapes ${formatShape(a)} and ${formatShape(b)} cannot be broadcast together.`);
    }
    out[i] = m === 1 ? n : m;
  }
  return out;
}

/** Strides with which an array of `shape` is read as if it had the shape `to`: 0 where it repeats. */
export function broadcastStrides(shape: Shape, to: Shape): number[] {
  const own = stridesOf(shape);
  const lead = to.length - shape.length;
  return to.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : own[i - lead]!));
}

/** An axis counted from the front; negative axes count from the back. */
export function normalizeAxis(who: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(`${who}: axis ${axis} is out of range for a tensor of rank ${rank}.`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** The longest rank that strided kernels take. */
export const MAX_RANK = 6;

/**
 * Joins neighbouring axes that every operand walks without a gap, drops axes of size 1, and pads in front to MAX_RANK,
 * so that strided kernels see as few and as long axes as there are.
 */
export function collapseAxes(who: string, shape: Shape, ...strides: number[][]): { shape: number[]; strides: number[][] } {
  const outShape: number[] = [];
  const out: number[][] = strides.map(() => []);
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i]!;
    if (size === 1) continue;
    const last = outShape.length - 1;
    if (last >= 0 && strides.every((s, k) => out[k]![last] === s[i]! * size)) {
      outShape[last]! *= size;
      for (let k = 0; k < strides.length; k++) out[k]![last] = strides[k]![i]!;
    } else {
      outShape.push(size);
      for (let k = 0; k < strides.length; k++) out[k]!.push(strides[k]![i]!);
    }
  }
  if (outShape.length > MAX_RANK) {
    throw new ShapeError(`${who}: at most ${MAX_RANK} separate axes are supported, got shape ${formatShape(shape)}.`);
  }
  while (outShape.length < MAX_RANK) {
    outShape.unshift(1);
    for (const s of out) s.unshift(0);
  }
  return { shape: outShape, strides: out };
}
