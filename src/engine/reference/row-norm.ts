import type { Args, NumericArray } from "./arrays.js";

/**
 * Mean and biased variance of `count` values from `start`. The first pass sums differences from the first value, so that the
 * mean of a constant row is that constant, and its variance 0, exactly.
 */
function moments(x: NumericArray, start: number, count: number): [mean: number, variance: number] {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += x[start + i]! - x[start]!;
  const mean = x[start]! + sum / count;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += (x[start + i]! - mean) ** 2;
  return [mean, squares / count];
}

function meanSquare(x: NumericArray, start: number, count: number): number {
  let squares = 0;
  for (let i = 0; i < count; i++) squares += x[start + i]! ** 2;
  return squares / count;
}

/**
 * y = (x - μ)·γ/√(σ² + ε) + β with the mean μ and the biased variance σ² of each row (layer normalization: Ba et al. 2016,
 * equations 3 and 4), or, if rms, y = x·γ/√(mean(x²) + ε) + β (Zhang & Sennrich 2019, equation 4).
 * x, y: [rows, c, s]; weight γ (null: 1), bias β (null: 0): [groups, c], of which row r takes part r % groups.
 *
 * stats [3, rows]: the mean, 0 if rms; 0, which holds what the mean loses in a backend of 32 bits; 1/√(σ² + ε), 0 where
 * σ² = ε = 0.
 */
export function rowNorm({ x, weight, bias, y, stats, rows, c, s, groups, eps, rms }: Args<"rowNorm">): void {
  for (let row = 0; row < rows; row++) {
    const start = row * c * s;
    const [mean, variance] = rms ? [0, meanSquare(x, start, c * s)] : moments(x, start, c * s);
    const inverseStd = variance === 0 && eps === 0 ? 0 : 1 / Math.sqrt(variance + eps);
    stats[row] = mean;
    stats[rows + row] = 0;
    stats[2 * rows + row] = inverseStd;
    for (let i = 0; i < c * s; i++) {
      const channel = (row % groups) * c + Math.floor(i / s);
      y[start + i] = (x[start + i]! - mean) * inverseStd * (weight ? weight[channel]! : 1) + (bias ? bias[channel]! : 0);
    }
  }
}

/**
 * With x̂ = (x - μ)/√(σ² + ε), from the stats of rowNorm (μ is the sum of the first two rows), and g = dy·γ:
 * dβ = Σ dy and dγ = Σ dy·x̂ over the rows r with the same r % groups; dx = (g - mean(g) - x̂·mean(g·x̂))/√(σ² + ε), with
 * means over the row, without mean(g) if rms.
 */
export function rowNormBackward(a: Args<"rowNormBackward">): void {
  const { x, dy, weight, stats, dx, dweight, dbias, rows, c, s, groups, rms } = a;
  dweight?.fill(0);
  dbias?.fill(0);
  for (let row = 0; row < rows; row++) {
    const start = row * c * s;
    const inverseStd = stats[2 * rows + row]!;
    const channelOf = (i: number) => (row % groups) * c + Math.floor(i / s);
    const normalized = (i: number) => (x[start + i]! - (stats[row]! + stats[rows + row]!)) * inverseStd;
    const slope = (i: number) => dy[start + i]! * (weight ? weight[channelOf(i)]! : 1);
    let sum = 0;
    let product = 0;
    for (let i = 0; i < c * s; i++) {
      sum += slope(i);
      product += slope(i) * normalized(i);
      if (dbias) dbias[channelOf(i)]! += dy[start + i]!;
      if (dweight) dweight[channelOf(i)]! += dy[start + i]! * normalized(i);
    }
    if (!dx) continue;
    const mean = rms ? 0 : sum / (c * s);
    for (let i = 0; i < c * s; i++) dx[start + i] = (slope(i) - mean - (normalized(i) * product) / (c * s)) * inverseStd;
  }
}
