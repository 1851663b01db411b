// Batch normalization in float64 from float32 inputs, by plain loops: what the accuracy table measures against. It shares
// nothing with the library or with its tests; test/docs/accuracy.test.ts compares it with the oracle of the tests.

/** An array [n, c, …] as [n, c, s]. */
const sizesOf = ([n, c, ...rest]) => [n, c, rest.reduce((a, b) => a * b, 1)];

/** Positions of channel k of an array [n, c, s]. */
function positionsOf(k, n, c, s) {
  const positions = new Int32Array(n * s);
  for (let i = 0; i < n; i++) for (let j = 0; j < s; j++) positions[i * s + j] = (i * c + k) * s + j;
  return positions;
}

/** Two passes; the sum is relative to the first value, so that a constant channel has exactly its constant and 0. */
function momentsAt(x, positions) {
  const [m, first] = [positions.length, x[positions[0]]];
  let sum = 0;
  for (const p of positions) sum += x[p] - first;
  const mean = first + sum / m;
  let squares = 0;
  for (const p of positions) squares += (x[p] - mean) ** 2;
  return { mean, variance: squares / m };
}

/** Mean and biased variance of each channel. */
export function channelMoments(x, shape) {
  const [n, c, s] = sizesOf(shape);
  const moments = Array.from({ length: c }, (_, k) => momentsAt(x, positionsOf(k, n, c, s)));
  return { mean: moments.map(({ mean }) => mean), variance: moments.map(({ variance }) => variance) };
}

/**
 * Writes y, dx and dγ of one channel, with the gradients of x̂ = (x − mean) / σ:
 * training dx = γ/σ · (dy − Σdy/m − x̂ · Σ(dy·x̂)/m), evaluation dx = γ/σ · dy.
 */
function normalizeChannel({ x, dy, weight, bias }, k, positions, { mean, sigma, isTraining }, { y, dx, dweight }) {
  const m = positions.length;
  let [sum, product] = [0, 0];
  for (const p of positions) {
    const normalized = (x[p] - mean) / sigma;
    y[p] = weight[k] * normalized + bias[k];
    sum += dy[p];
    product += dy[p] * normalized;
  }
  dweight[k] = product;
  for (const p of positions) {
    const pulled = isTraining ? sum / m + (((x[p] - mean) / sigma) * product) / m : 0;
    dx[p] = (weight[k] / sigma) * (dy[p] - pulled);
  }
}

/**
 * Everything that the table compares, by the names of the files that participants write: y, mean and (unbiased) variance of
 * the batch, dx, dweight; evalY, evalDx, evalDweight with the mean and variance that are given. `gain` and `evalGain` are the
 * largest |γ/σ| of the channels.
 */
export function reference(inputs, shape, eps) {
  const [n, c, s] = sizesOf(shape);
  const outputs = () => ({ y: new Float64Array(n * c * s), dx: new Float64Array(n * c * s), dweight: new Float64Array(c) });
  const [train, evaluation] = [outputs(), outputs()];
  const [mean, variance] = [new Float64Array(c), new Float64Array(c)];
  let [gain, evalGain] = [0, 0];
  for (let k = 0; k < c; k++) {
    const positions = positionsOf(k, n, c, s);
    const own = momentsAt(inputs.x, positions);
    mean[k] = own.mean;
    variance[k] = (own.variance * positions.length) / (positions.length - 1);
    const sigma = Math.sqrt(own.variance + eps);
    const evalSigma = Math.sqrt(inputs.variance[k] + eps);
    normalizeChannel(inputs, k, positions, { mean: own.mean, sigma, isTraining: true }, train);
    normalizeChannel(inputs, k, positions, { mean: inputs.mean[k], sigma: evalSigma, isTraining: false }, evaluation);
    gain = Math.max(gain, Math.abs(inputs.weight[k] / sigma));
    evalGain = Math.max(evalGain, Math.abs(inputs.weight[k] / evalSigma));
  }
  const { y: evalY, dx: evalDx, dweight: evalDweight } = evaluation;
  return { values: { ...train, mean, variance, evalY, evalDx, evalDweight }, gain, evalGain };
}
