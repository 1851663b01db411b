// Inputs that every participant makes for itself, the same in JavaScript and in Python (torch_peer.py).

/** Word `i` of the stream `seed`: a hash of its index, so that there is no state to pass on. */
function hash(i, seed) {
  let h = Math.imul(i + Math.imul(seed, 1000003) + 1, 2654435761);
  h = Math.imul(h ^ (h >>> 15), 2246822519);
  h = Math.imul(h ^ (h >>> 13), 3266489917);
  return (h ^ (h >>> 16)) >>> 0;
}

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** Values uniform in [-scale, scale), exact in float32 for scale 1. */
export function values(shape, seed, scale = 1) {
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((hash(i, seed) >>> 8) / 2 ** 23 - 1) * scale);
}

/** What a batch normalization of `c` channels starts from; no value is one that would hide a mistake. */
export function batchNormState(c) {
  const around = (middle, seed) => values([c], seed, 0.5).map((value) => middle + value);
  return { weight: around(1, 5), bias: around(0, 6), mean: around(0, 7), variance: around(1, 8) };
}

/** Class labels 0 to classes - 1. */
export function labels(count, classes, seed) {
  return Int32Array.from({ length: count }, (_, i) => hash(i, seed) % classes);
}

/** The numbers 0 to count - 1 in an order of their own for each seed: by their hashes, of which no two are the same. */
export function order(count, seed) {
  const hashes = Uint32Array.from({ length: count }, (_, i) => hash(i, seed));
  return Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => hashes[a] - hashes[b]);
}

/**
 * Start values of parameter `index` of a network: uniform by fan-in for weights, 1 for scales, 0 for shifts and biases.
 * Other seeds give other weights.
 */
export function parameterValues(name, shape, index, seed = 0) {
  if (shape.length > 1) return values(shape, 100 * (seed + 1) + index, Math.sqrt(3 / sizeOf(shape.slice(1))));
  return new Float32Array(sizeOf(shape)).fill(name.endsWith("weight") ? 1 : 0);
}

/** Sixty-four values spread over the array: enough to see that two participants computed the same thing. */
export function sample(array) {
  const count = Math.min(64, array.length);
  return Array.from({ length: count }, (_, i) => array[Math.floor((i * array.length) / count)]);
}
