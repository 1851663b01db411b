/**
 * Batch normalization in float64, by plain loops over lists of one channel's values: an oracle for tests. It follows
 * Ioffe & Szegedy 2015 step by step, the backward pass too (their chain rule through σ² and μ, not the shortened form that
 * kernels use), and shares no code with the library.
 */

export interface Sizes {
  /** Batch. */
  readonly n: number;
  readonly c: number;
  /** Product of all axes after the channels. */
  readonly s: number;
}

export interface Affine {
  readonly weight?: ArrayLike<number> | undefined;
  readonly bias?: ArrayLike<number> | undefined;
  readonly eps: number;
}

export interface Gradients {
  readonly dx: Float64Array;
  readonly dweight: Float64Array;
  readonly dbias: Float64Array;
}

export interface Running {
  mean: Float64Array;
  variance: Float64Array;
  /** Batches so far. */
  count: number;
}

/** Sizes of a tensor [N, C, …]. */
export function sizesOf(shape: readonly number[]): Sizes {
  return { n: shape[0]!, c: shape[1]!, s: shape.slice(2).reduce((product, k) => product * k, 1) };
}

/** The values of one channel, image by image. */
export function channelOf(x: ArrayLike<number>, { n, c, s }: Sizes, channel: number): Float64Array {
  const values = new Float64Array(n * s);
  for (let image = 0; image < n; image++) {
    for (let j = 0; j < s; j++) values[image * s + j] = x[(image * c + channel) * s + j]!;
  }
  return values;
}

function putChannel(into: Float64Array, { n, c, s }: Sizes, channel: number, values: Float64Array): void {
  for (let image = 0; image < n; image++) {
    for (let j = 0; j < s; j++) into[(image * c + channel) * s + j] = values[image * s + j]!;
  }
}

/** Compensated sum (Neumaier 1974): the rounding errors are summed beside the sum. */
function sum(values: ArrayLike<number>, term: (value: number, i: number) => number = (value) => value): number {
  let total = 0;
  let lost = 0;
  for (let i = 0; i < values.length; i++) {
    const t = term(values[i]!, i);
    const next = total + t;
    lost += Math.abs(total) >= Math.abs(t) ? total - next + t : t - next + total;
    total = next;
  }
  return total + lost;
}

/** Mean and biased variance of a list. A constant list has exactly its constant and 0. */
export function moments(values: Float64Array): { mean: number; variance: number } {
  const first = values[0] ?? 0;
  const mean = first + sum(values, (x) => x - first) / values.length;
  return { mean, variance: sum(values, (x) => (x - mean) ** 2) / values.length };
}

/** Mean and biased variance of each channel. */
export function channelMoments(x: ArrayLike<number>, sizes: Sizes): { mean: Float64Array; variance: Float64Array } {
  const mean = new Float64Array(sizes.c);
  const variance = new Float64Array(sizes.c);
  for (let k = 0; k < sizes.c; k++) {
    const found = moments(channelOf(x, sizes, k));
    mean[k] = found.mean;
    variance[k] = found.variance;
  }
  return { mean, variance };
}

/** y = γ·x̂ + β with x̂ = (x − mean) / √(variance + ε): algorithm 2, and the second half of algorithm 1. */
export function normalize(
  x: ArrayLike<number>,
  sizes: Sizes,
  { mean, variance }: { mean: ArrayLike<number>; variance: ArrayLike<number> },
  { weight, bias, eps }: Affine,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let k = 0; k < sizes.c; k++) {
    const deviation = Math.sqrt(variance[k]! + eps);
    const normalized = channelOf(x, sizes, k).map((v) => (v - mean[k]!) / deviation);
    const own = normalized.map((v) => (weight?.[k] ?? 1) * v + (bias?.[k] ?? 0));
    putChannel(y, sizes, k, own);
  }
  return y;
}

/** Forward pass of training: algorithm 1. */
export function trainForward(x: ArrayLike<number>, sizes: Sizes, affine: Affine): Float64Array {
  return normalize(x, sizes, channelMoments(x, sizes), affine);
}

/** Backward pass of training: the equations of section 3, in their order. */
export function trainBackward(x: ArrayLike<number>, dy: ArrayLike<number>, sizes: Sizes, { weight, eps }: Affine): Gradients {
  const gradients = emptyGradients(x.length, sizes.c);
  for (let k = 0; k < sizes.c; k++) {
    const values = channelOf(x, sizes, k);
    const upstream = channelOf(dy, sizes, k);
    const m = values.length;
    const { mean, variance } = moments(values);
    const deviation = Math.sqrt(variance + eps);
    const dNormalized = upstream.map((v) => v * (weight?.[k] ?? 1));
    const dVariance = sum(values, (v, i) => dNormalized[i]! * (v - mean)) * -0.5 * (variance + eps) ** -1.5;
    const dMean = sum(dNormalized, (v) => -v / deviation) + dVariance * (sum(values, (v) => -2 * (v - mean)) / m);
    const dx = values.map((v, i) => dNormalized[i]! / deviation + (dVariance * 2 * (v - mean)) / m + dMean / m);
    putChannel(gradients.dx, sizes, k, dx);
    gradients.dweight[k] = sum(values, (v, i) => (upstream[i]! * (v - mean)) / deviation);
    gradients.dbias[k] = sum(upstream);
  }
  return gradients;
}

/** Backward pass of evaluation: mean and variance are constants. */
export function evalBackward(
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  sizes: Sizes,
  { mean, variance }: { mean: ArrayLike<number>; variance: ArrayLike<number> },
  { weight, eps }: Affine,
): Gradients {
  const gradients = emptyGradients(x.length, sizes.c);
  for (let k = 0; k < sizes.c; k++) {
    const values = channelOf(x, sizes, k);
    const upstream = channelOf(dy, sizes, k);
    const deviation = Math.sqrt(variance[k]! + eps);
    const dx = upstream.map((v) => (v * (weight?.[k] ?? 1)) / deviation);
    putChannel(gradients.dx, sizes, k, dx);
    gradients.dweight[k] = sum(values, (v, i) => (upstream[i]! * (v - mean[k]!)) / deviation);
    gradients.dbias[k] = sum(upstream);
  }
  return gradients;
}

function emptyGradients(size: number, c: number): Gradients {
  return { dx: new Float64Array(size), dweight: new Float64Array(c), dbias: new Float64Array(c) };
}

/** Running values after one more batch; momentum null: the mean over all batches. An empty batch changes nothing. */
export function nextRunning(running: Running, x: ArrayLike<number>, sizes: Sizes, momentum: number | null): Running {
  const m = sizes.n * sizes.s;
  if (m === 0) return running;
  const count = running.count + 1;
  const factor = momentum ?? 1 / count;
  const { mean, variance } = channelMoments(x, sizes);
  return {
    mean: running.mean.map((old, k) => (1 - factor) * old + factor * mean[k]!),
    variance: running.variance.map((old, k) => (1 - factor) * old + (factor * variance[k]! * m) / (m - 1)),
    count,
  };
}

/** The running values of a new layer. */
export function startRunning(c: number): Running {
  return { mean: new Float64Array(c), variance: new Float64Array(c).fill(1), count: 0 };
}
