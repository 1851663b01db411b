import type { Args } from "./arrays.js";
import { forEachOf, momentsOf, moveRunning } from "./moments.js";

/**
 * y = (x - μ)·γ/√(σ² + ε) + β with the mean μ and the biased variance σ² of each channel over n and s (Ioffe & Szegedy 2015,
 * algorithm 1), and max(0, that) if relu. x, y: [n, c, s]; weight γ (null: 1), bias β (null: 0), runningMean, runningVar: [c];
 * counter, rejected: int32.
 *
 * stats [3, c]: the mean; 0, which holds what the mean loses in a backend of 32 bits; 1/√(σ² + ε), 0 where σ² = ε = 0.
 * running = (1 - f)·running + f·new, f = momentum, or 1/counter[0] if cumulative; the new variance is σ²·m/(m - 1), m = n·s,
 * if unbiased. guard: a channel whose new values are not finite leaves its running values and adds 1 to rejected[0].
 */
export function batchNormTrain(a: Args<"batchNormTrain">): void {
  const { runningMean, runningVar } = a;
  for (let channel = 0; channel < a.c; channel++) {
    const [mean, variance] = momentsOf(a.x, channel, a);
    const inverseStd = variance === 0 && a.eps === 0 ? 0 : 1 / Math.sqrt(variance + a.eps);
    a.stats[channel] = mean;
    a.stats[a.c + channel] = 0;
    a.stats[2 * a.c + channel] = inverseStd;
    if (runningMean && runningVar) moveRunning({ ...a, runningMean, runningVar }, channel, mean, variance, a.n * a.s);
    normalize(a, channel, mean, inverseStd);
  }
}

/** The normalized value of x[i] before relu. */
function preActivation(a: Args<Kernel>, channel: number, mean: number, inverseStd: number): (i: number) => number {
  const scale = (a.weight ? a.weight[channel]! : 1) * inverseStd;
  const shift = a.bias ? a.bias[channel]! : 0;
  return (i) => (a.x[i]! - mean) * scale + shift;
}

type Kernel = "batchNormTrain" | "batchNormEval" | "batchNormBackward" | "batchNormEvalBackward";

function normalize(a: Args<"batchNormTrain" | "batchNormEval">, channel: number, mean: number, inverseStd: number): void {
  const z = preActivation(a, channel, mean, inverseStd);
  forEachOf(channel, a, (i) => {
    a.y[i] = a.relu ? Math.max(z(i), 0) : z(i);
  });
}

/**
 * The gradient by the normalized values: dy, and with relu 0 where they are not above 0. Also Σ of it and Σ of it times x̂,
 * written to dbias and dweight if they are asked for.
 */
function gradients(a: Args<"batchNormBackward" | "batchNormEvalBackward">, channel: number, mean: number, inverseStd: number) {
  const z = preActivation(a, channel, mean, inverseStd);
  const dz = (i: number): number => (!a.relu || z(i) > 0 ? a.dy[i]! : 0);
  let dbias = 0;
  let dweight = 0;
  forEachOf(channel, a, (i) => {
    dbias += dz(i);
    dweight += dz(i) * (a.x[i]! - mean) * inverseStd;
  });
  if (a.dbias) a.dbias[channel] = dbias;
  if (a.dweight) a.dweight[channel] = dweight;
  return { dz, dbias, dweight };
}

/**
 * dβ = Σ dz, dγ = Σ dz·x̂, dx = γ/√(σ² + ε)·(dz - dβ/m - x̂·dγ/m), with x̂ = (x - μ)/√(σ² + ε), m = n·s, and the stats of
 * batchNormTrain: μ is the sum of the first two rows. dz is dy; if relu, 0 where y was 0.
 * If detached, μ and σ² are constants: dx = γ/√(σ² + ε)·dz.
 */
export function batchNormBackward(a: Args<"batchNormBackward">): void {
  const { x, weight, stats, dx, n, c, s } = a;
  const m = n * s;
  for (let channel = 0; channel < c; channel++) {
    const mean = stats[channel]! + stats[c + channel]!;
    const inverseStd = stats[2 * c + channel]!;
    const { dz, dbias, dweight } = gradients(a, channel, mean, inverseStd);
    if (!dx) continue;
    const scale = (weight ? weight[channel]! : 1) * inverseStd;
    forEachOf(channel, a, (i) => {
      const throughStats = a.detached ? 0 : dbias / m + ((x[i]! - mean) * inverseStd * dweight) / m;
      dx[i] = scale * (dz(i) - throughStats);
    });
  }
}

/** Mean and 1/√(variance + ε) that evaluation is given: mean and meanLow (null: 0) together, and variance, [c] each. */
function given(a: Args<"batchNormEval" | "batchNormEvalBackward">, channel: number): [mean: number, inverseStd: number] {
  const low = a.meanLow ? a.meanLow[channel]! : 0;
  return [a.mean[channel]! + low, 1 / Math.sqrt(a.variance[channel]! + a.eps)];
}

/** y = (x - mean - meanLow)·γ/√(variance + ε) + β, and max(0, that) if relu. */
export function batchNormEval(a: Args<"batchNormEval">): void {
  for (let channel = 0; channel < a.c; channel++) normalize(a, channel, ...given(a, channel));
}

/** dβ = Σ dz, dγ = Σ dz·x̂, dx = dz·γ/√(variance + ε), with x̂ = (x - mean - meanLow)/√(variance + ε), dz as in training. */
export function batchNormEvalBackward(a: Args<"batchNormEvalBackward">): void {
  const { weight, dx } = a;
  for (let channel = 0; channel < a.c; channel++) {
    const [mean, inverseStd] = given(a, channel);
    const { dz } = gradients(a, channel, mean, inverseStd);
    if (!dx) continue;
    forEachOf(channel, a, (i) => {
      dx[i] = dz(i) * (weight ? weight[channel]! : 1) * inverseStd;
    });
  }
}
