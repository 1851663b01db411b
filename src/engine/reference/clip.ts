import type { Args } from "./arrays.js";

/** total[0] += Σ x² over all arrays; total is a cell (float64). */
export function addSquares({ xs, sizes, total }: Args<"addSquares">): void {
  sizes.forEach((n, k) => {
    const x = xs[k]!;
    for (let i = 0; i < n; i++) total[0]! += x[i]! * x[i]!;
  });
}

/** x *= maxNorm / (√total[0] + 1e-6) where that is below 1, as in PyTorch; total is the sum of squares of all gradients. */
export function clipScale({ xs, sizes, total, maxNorm }: Args<"clipScale">): void {
  const coefficient = maxNorm / (Math.sqrt(total[0]!) + 1e-6);
  if (!(coefficient < 1)) return;
  sizes.forEach((n, k) => {
    const x = xs[k]!;
    for (let i = 0; i < n; i++) x[i]! *= coefficient;
  });
}
