// Clipping gradients by their common norm, as torch.nn.utils.clip_grad_norm_ does.
import { AddSquares, ClipScale } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, lengthOf, linesOf, startIn } from "./lists";
import { dotRow } from "./row-sums";

/** Lines (lists.ts) whose squares are summed together: 8192 floats. Also in src/engine/wasm/schedule.ts. */
@inline const PART: i32 = 512;

/** The sum of squares of the lines from `from` up to `to`, as far as there are any, array by array. */
function squaresIn(a: AddSquares, from: i32, to: i32): f64 {
  const args = changetype<usize>(a), count = lengthOf(args, a.xs);
  let sum: f64 = 0;
  for (let k = 0, line = 0; k < count && line < to; k++) {
    const size = intAt(args, a.sizes, k), start = startIn(line, from), end = endIn(line, to, size);
    const x = arrayAt(args, a.xs, k) + (<usize>start << 2);
    if (start < end) sum += dotRow(x, x, end - start);
    line += linesOf(size);
  }
  return sum;
}

/** Sums of squares of parts into scratch memory. A unit is a part; the last one may reach beyond the last array. */
export function addSquaresPart(a: AddSquares, from: i32, to: i32): void {
  for (let part = from; part < to; part++) {
    store<f64>(a.scratch + (<usize>part << 3), squaresIn(a, part * PART, part * PART + PART));
  }
}

/** Adds the parts' sums to the cell `total`, in order. Units are the parts, which one thread takes together. */
export function addSquares(a: AddSquares, from: i32, to: i32): void {
  let sum = load<f64>(a.total);
  for (let part = from; part < to; part++) sum += load<f64>(a.scratch + (<usize>part << 3));
  store<f64>(a.total, sum);
}

/** x *= maxNorm / (√total + 1e-6) where that is below 1; `total` is the sum of squares. A unit is a line (lists.ts). */
export function clipScale(a: ClipScale, from: i32, to: i32): void {
  const coefficient = a.maxNorm / (sqrt<f64>(load<f64>(a.total)) + 1e-6);
  if (!(coefficient < 1)) return;
  const factor = f32x4.splat(<f32>coefficient), args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size), x = arrayAt(args, a.xs, k);
    let i = startIn(line, from);
    for (; i + 4 <= end; i += 4) {
      const p = x + (<usize>i << 2);
      v128.store(p, f32x4.mul(v128.load(p), factor));
    }
    for (; i < end; i++) {
      const p = x + (<usize>i << 2);
      store<f32>(p, load<f32>(p) * <f32>coefficient);
    }
    line += linesOf(size);
  }
}
