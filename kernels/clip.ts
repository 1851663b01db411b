// Clipping gradients by their common norm, as torch.nn.utils.clip_grad_norm_ does.
import { AddSquares, ClipScale } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { dotRow } from "./row-sums";

/** Adds the sum of squares to the cell `total`. One unit. */
export function addSquares(a: AddSquares, from: i32, to: i32): void {
  store<f64>(a.total, load<f64>(a.total) + dotRow(a.x, a.x, a.n));
}

/** x *= maxNorm / (√total + 1e-6) where that is below 1; `total` is the sum of squares. A unit is one element. */
export function clipScale(a: ClipScale, from: i32, to: i32): void {
  const coefficient = a.maxNorm / (sqrt<f64>(load<f64>(a.total)) + 1e-6);
  if (!(coefficient < 1)) return;
  const factor = f32x4.splat(<f32>coefficient);
  for (let i = from; i < to; i += 4) {
    const p = a.x + (<usize>i << 2), n = to - i;
    storeLanes(p, f32x4.mul(loadLanes(p, n), factor), n);
  }
}
