// The networks of the benchmarks in jax-js. Imported when jax-js may be: after jax.mjs has given it Web Workers.
import { lax, nn, numpy as np } from "@jax-js/jax";
import { parameterValues } from "./data.mjs";

/** y = (x − μ) · γ / √(σ² + ε) + β over all axes but the second; with `seen`, the moments are added to that list. */
export function normalize(x, scale, shift, mean, variance, seen) {
  const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
  const wide = x.shape.map((length, i) => (i === 1 ? length : 1));
  const mu = mean ? mean.reshape(wide) : np.mean(x.ref, axes, { keepdims: true });
  const centred = x.sub(seen ? mu.ref : mu);
  const spread = variance ? variance.reshape(wide) : np.mean(np.square(centred.ref), axes, { keepdims: true });
  seen?.push([mu.reshape([-1]), spread.ref.reshape([-1])]);
  return centred.mul(scale.reshape(wide).div(np.sqrt(spread.add(1e-5)))).add(shift.reshape(wide));
}

const shapes = {
  linear: (inputs, outputs) => [[outputs, inputs], [outputs]],
  conv: (inputs, outputs, kernel) => [[outputs, inputs, kernel, kernel], [outputs]],
  batchNorm1d: (c) => [[c], [c]],
  batchNorm2d: (c) => [[c], [c]],
};

function halve(x) {
  const [n, c, h, w] = x.shape;
  return np.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
}

function convolve([weight, bias], x, [, outputs, , padding = 0]) {
  const around = [padding, padding];
  return lax.conv(x, weight, [1, 1], [around, around]).add(bias.reshape([1, outputs, 1, 1]));
}

function normalizeNext([scale, shift], x, _, { moments, seen }) {
  const [mean, variance] = moments?.shift() ?? [];
  return normalize(x, scale, shift, mean, variance, seen);
}

const layers = {
  linear: ([weight, bias], x) => np.matmul(x, np.transpose(weight)).add(bias),
  conv: convolve,
  batchNorm1d: normalizeNext,
  batchNorm2d: normalizeNext,
  relu: (_, x) => nn.relu(x),
  sigmoid: (_, x) => nn.sigmoid(x),
  maxPool: (_, x) => halve(x),
  flatten: (_, x) => x.reshape([x.shape[0], -1]),
};

/** Start values of a network's parameters, layer by layer. */
export function startValues(network, seed = 0) {
  let index = 0;
  const start = (shape, i) => np.array(parameterValues(i === 0 ? "weight" : "bias", shape, index++, seed)).reshape(shape);
  return network.map(([kind, ...sizes]) => (shapes[kind]?.(...sizes) ?? []).map(start));
}

/**
 * The network's outputs. `how.moments`: means and variances to normalize with, layer by layer (default: the batch's own);
 * `how.seen`: a list that takes the batch's own.
 */
export function outputsOf(network, parameters, x, how = {}) {
  return network.reduce((h, [kind, ...sizes], i) => layers[kind](parameters[i], h, sizes, how), x);
}

/** Mean cross-entropy of outputs and one-hot targets. */
export const crossEntropy = (logits, target) => np.mean(np.sum(nn.logSoftmax(logits).mul(target), -1)).mul(-1);

/** SGD with momentum: new parameters and velocity. */
export function descend(tree, { parameters, velocity, gradient, lr, momentum }) {
  const next = tree.map((v, g) => v.mul(momentum).add(g), velocity, gradient);
  return { parameters: tree.map((p, v) => p.sub(v.mul(lr)), parameters, tree.ref(next)), velocity: next };
}
