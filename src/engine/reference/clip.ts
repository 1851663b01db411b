import type { Args } from "./arrays.js";

/** total[0] += Σ x²; total is a cell (float64). */
export function addSquares({ x, total, n }: Args<"addSquares">): void {
  for (let i = 0; i < n; i++) total[0]! += x[i]! * x[i]!;
}

/** x *= maxNorm / (√total[0] + 1e-6) where that is below 1, as in PyTorch; total is the sum of squares of all gradients. */
export function clipScale({ x, total, n, maxNorm }: Args<"clipScale">): void {
  const coefficient = maxNorm / (Math.sqrt(total[0]!) + 1e-6);
  if (!(coefficient < 1)) return;
  for (let i = 0; i < n; i++) x[i]! *= coefficient;
}
