import type { Args, NumericArray } from "./arrays.js";

/** Visits the positions in x [n, c, s] of one channel. */
function forEachOf(channel: number, { n, c, s }: { n: number; c: number; s: number }, visit: (i: number) => void): void {
  for (let image = 0; image < n; image++) {
    for (let j = 0; j < s; j++) visit((image * c + channel) * s + j);
  }
}

/**
 * Mean and biased variance of one channel, in two passes. The first sums differences from the channel's first value, so that
 * the mean of a constant channel is that constant, and its variance 0, exactly.
 */
function moments(x: NumericArray, channel: number, a: { n: number; c: number; s: number }): [mean: number, variance: number] {
  const m = a.n * a.s;
  const origin = x[channel * a.s]!;
  let sum = 0;
  forEachOf(channel, a, (i) => {
    sum += x[i]! - origin;
  });
  const mean = origin + sum / m;
  let squares = 0;
  forEachOf(channel, a, (i) => {
    squares += (x[i]! - mean) ** 2;
  });
  return [mean, squares / m];
}

/** Moves the running values of one channel, unless `guard` refuses the batch. */
function updateRunning(a: Args<"batchNormTrain">, channel: number, mean: number, variance: number): void {
  if (!a.runningMean || !a.runningVar) return;
  if (a.guard && !(Number.isFinite(mean) && Number.isFinite(variance))) {
    if (a.rejected) a.rejected[0]! += 1;
    return;
  }
  const m = a.n * a.s;
  const factor = a.cumulative ? 1 / a.counter![0]! : a.momentum;
  const estimate = a.unbiased ? (variance * m) / (m - 1) : variance;
  a.runningMean[channel] = (1 - factor) * a.runningMean[channel]! + factor * mean;
  a.runningVar[channel] = (1 - factor) * a.runningVar[channel]! + factor * estimate;
}

/**
 * y = (x - μ)·γ/√(σ² + ε) + β with the mean μ and the biased variance σ² of each channel over n and s (Ioffe & Szegedy 2015,
 * algorithm 1). x, y: [n, c, s]; weight γ (null: 1), bias β (null: 0), runningMean, runningVar: [c]; counter, rejected: int32.
 *
 * stats [3, c]: the mean; 0, which holds what the mean loses in a backend of 32 bits; 1/√(σ² + ε), 0 where σ² = ε = 0.
 * running = (1 - f)·running + f·new, f = momentum, or 1/counter[0] if cumulative; the new variance is σ²·m/(m - 1), m = n·s,
 * if unbiased. guard: a channel whose mean or variance is not finite leaves its running values and adds 1 to rejected[0].
 */
export function batchNormTrain(a: Args<"batchNormTrain">): void {
  for (let channel = 0; channel < a.c; channel++) {
    const [mean, variance] = moments(a.x, channel, a);
    const inverseStd = variance === 0 && a.eps === 0 ? 0 : 1 / Math.sqrt(variance + a.eps);
    a.stats[channel] = mean;
    a.stats[a.c + channel] = 0;
    a.stats[2 * a.c + channel] = inverseStd;
    updateRunning(a, channel, mean, variance);
    const scale = (a.weight ? a.weight[channel]! : 1) * inverseStd;
    const shift = a.bias ? a.bias[channel]! : 0;
    forEachOf(channel, a, (i) => {
      a.y[i] = (a.x[i]! - mean) * scale + shift;
    });
  }
}

/** Σ dy and Σ dy·x̂ of one channel, written to dbias and dweight if they are asked for. */
function parameterGradients(
  a: Args<"batchNormBackward" | "batchNormEvalBackward">,
  channel: number,
  mean: number,
  inverseStd: number,
) {
  let dbias = 0;
  let dweight = 0;
  forEachOf(channel, a, (i) => {
    dbias += a.dy[i]!;
    dweight += a.dy[i]! * (a.x[i]! - mean) * inverseStd;
  });
  if (a.dbias) a.dbias[channel] = dbias;
  if (a.dweight) a.dweight[channel] = dweight;
  return { dbias, dweight };
}

/**
 * dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/√(σ² + ε)·(dy - dβ/m - x̂·dγ/m), with x̂ = (x - μ)/√(σ² + ε), m = n·s, and the stats of
 * batchNormTrain: μ is the sum of the first two rows.
 */
export function batchNormBackward(a: Args<"batchNormBackward">): void {
  const { x, dy, weight, stats, dx, n, c, s } = a;
  const m = n * s;
  for (let channel = 0; channel < c; channel++) {
    const mean = stats[channel]! + stats[c + channel]!;
    const inverseStd = stats[2 * c + channel]!;
    const { dbias, dweight } = parameterGradients(a, channel, mean, inverseStd);
    if (!dx) continue;
    const scale = (weight ? weight[channel]! : 1) * inverseStd;
    forEachOf(channel, a, (i) => {
      dx[i] = scale * (dy[i]! - dbias / m - ((x[i]! - mean) * inverseStd * dweight) / m);
    });
  }
}

/** y = (x - mean)·γ/√(variance + ε) + β, with mean and variance given, [c]. */
export function batchNormEval({ x, weight, bias, mean, variance, y, n, c, s, eps }: Args<"batchNormEval">): void {
  for (let channel = 0; channel < c; channel++) {
    const scale = (weight ? weight[channel]! : 1) / Math.sqrt(variance[channel]! + eps);
    forEachOf(channel, { n, c, s }, (i) => {
      y[i] = (x[i]! - mean[channel]!) * scale + (bias ? bias[channel]! : 0);
    });
  }
}

/** dβ = Σ dy, dγ = Σ dy·x̂, dx = dy·γ/√(variance + ε), with x̂ = (x - mean)/√(variance + ε). */
export function batchNormEvalBackward(a: Args<"batchNormEvalBackward">): void {
  const { dy, weight, mean, variance, dx } = a;
  for (let channel = 0; channel < a.c; channel++) {
    const inverseStd = 1 / Math.sqrt(variance[channel]! + a.eps);
    parameterGradients(a, channel, mean[channel]!, inverseStd);
    if (!dx) continue;
    forEachOf(channel, a, (i) => {
      dx[i] = dy[i]! * (weight ? weight[channel]! : 1) * inverseStd;
    });
  }
}
