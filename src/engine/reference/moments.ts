import type { Args, NumericArray } from "./arrays.js";

/** Visits the positions in x [n, c, s] of one channel. */
export function forEachOf(channel: number, { n, c, s }: { n: number; c: number; s: number }, visit: (i: number) => void): void {
  for (let image = 0; image < n; image++) {
    for (let j = 0; j < s; j++) visit((image * c + channel) * s + j);
  }
}

/**
 * Mean and biased variance of one channel, in two passes. The first sums differences from the channel's first value, so that
 * the mean of a constant channel is that constant, and its variance 0, exactly.
 */
export function momentsOf(
  x: NumericArray,
  channel: number,
  a: { n: number; c: number; s: number },
): [mean: number, variance: number] {
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

/**
 * Moves the running values of one channel towards the moments of `m` values, unless `guard` refuses them: a channel whose mean
 * or variance is not finite (the unbiased one of a single value is not) leaves its running values and adds 1 to its count in
 * rejected [c]; so does one whose statistics a backend's floats cannot hold. If cumulative, they are the average of the batches
 * that were not refused.
 */
export function moveRunning(
  a: Omit<Args<"updateRunning">, "moments" | "count">,
  channel: number,
  mean: number,
  variance: number,
  m: number,
): void {
  const estimate = a.unbiased ? (variance * m) / (m - 1) : variance;
  const factor = a.cumulative ? 1 / (a.counter![0]! - (a.rejected?.[channel] ?? 0)) : a.momentum;
  const newMean = (1 - factor) * a.runningMean[channel]! + factor * mean;
  const newVar = (1 - factor) * a.runningVar[channel]! + factor * estimate;
  if (a.guard && ![mean, estimate, newMean, newVar].every(Number.isFinite)) {
    if (a.rejected) a.rejected[channel]! += 1;
    return;
  }
  a.runningMean[channel] = newMean;
  a.runningVar[channel] = newVar;
}

/**
 * moments [3, c] of x [n, c, s]: the mean; 0, which holds what the mean loses in a backend of 32 bits; the biased variance.
 * All are 0 if there are no values.
 */
export function channelMoments({ x, moments, n, c, s }: Args<"channelMoments">): void {
  for (let channel = 0; channel < c; channel++) {
    const [mean, variance] = n * s > 0 ? momentsOf(x, channel, { n, c, s }) : [0, 0];
    moments[channel] = mean;
    moments[c + channel] = 0;
    moments[2 * c + channel] = variance;
  }
}

/**
 * moments [3, c] of the positions of x [n, c, s] where mask [n, s] is not 0, as channelMoments gives them, and count[0], how
 * many these are per channel; what x holds elsewhere does not matter.
 */
export function maskedMoments({ x, mask, moments, count, n, c, s }: Args<"maskedMoments">): void {
  const there = Array.from({ length: n * s }, (_, i) => i).filter((i) => mask[i] !== 0);
  count[0] = there.length;
  for (let channel = 0; channel < c; channel++) {
    const values = Float64Array.from(there, (i) => x[(Math.floor(i / s) * c + channel) * s + (i % s)]!);
    const [mean, variance] = values.length > 0 ? momentsOf(values, 0, { n: values.length, c: 1, s: 1 }) : [0, 0];
    moments[channel] = mean;
    moments[c + channel] = 0;
    moments[2 * c + channel] = variance;
  }
}

/**
 * The moments [3, c] of k parts together, from theirs, parts [k, 3, c], of counts[j] values per channel each:
 * μ = Σ countⱼ·μⱼ / Σ countⱼ, σ² = Σ countⱼ·(σⱼ² + (μⱼ - μ)²) / Σ countⱼ (Chan, Golub & LeVeque 1979).
 * Parts of 0 values are passed over, whatever they hold; moments of no values are 0.
 */
export function mergeMoments({ parts, counts, moments, k, c }: Args<"mergeMoments">): void {
  const used = Array.from({ length: k }, (_, part) => part).filter((part) => counts[part]! > 0);
  const total = used.reduce((sum, part) => sum + counts[part]!, 0);
  for (let channel = 0; channel < c; channel++) {
    const row = (part: number, i: number): number => parts[(3 * part + i) * c + channel]!;
    const meanOf = (part: number): number => row(part, 0) + row(part, 1);
    // Means relative to the first, so that parts of equal means have exactly that mean.
    const origin = used.length > 0 ? meanOf(used[0]!) : 0;
    const mean = used.reduce((sum, part) => sum + ((meanOf(part) - origin) * counts[part]!) / total, origin);
    const variance = used.reduce((sum, part) => sum + ((row(part, 2) + (meanOf(part) - mean) ** 2) * counts[part]!) / total, 0);
    moments[channel] = mean;
    moments[c + channel] = 0;
    moments[2 * c + channel] = variance;
  }
}

/**
 * The update of running values that batchNormTrain makes, from moments [3, c] of count[0] values per channel: see there.
 * A count of 0 changes nothing and refuses nothing.
 */
export function updateRunning(a: Args<"updateRunning">): void {
  const m = a.count[0]!;
  if (!(m > 0)) return;
  for (let channel = 0; channel < a.c; channel++) {
    moveRunning(a, channel, a.moments[channel]! + a.moments[a.c + channel]!, a.moments[2 * a.c + channel]!, m);
  }
}
