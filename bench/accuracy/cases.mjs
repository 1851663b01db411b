// The inputs of the accuracy table: made here once and passed to every participant as files, so that all have the same bits.
import { batchNormState, values } from "../peers/data.mjs";
import { channelMoments } from "./reference.mjs";

export const EPS = 1e-5;

export const LAYOUTS = [
  { name: "dense", shape: [4096, 8] },
  { name: "convolutional", shape: [256, 8, 4, 4] },
  { name: "large", shape: [32, 8, 64, 64] },
];

const offset = (text) => ({ name: `offset ${text}, std 1`, offset: Number(text), std: 1 });
const constant = (text) => ({ name: `constant ${text}`, offset: Number(text), std: 0 });

export const INPUTS = [
  ...["0", "1", "1e1", "1e2", "1e3", "1e4", "1e5", "1e6"].map(offset),
  ...["1", "0.1", "1e3", "123456.789", "1e7"].map(constant),
  { name: "offset 1, std 1e-3", offset: 1, std: 1e-3 },
  { name: "offset 0, std 1e-6", offset: 0, std: 1e-6 },
];

/** Values of mean 0 and variance 1, at most 3: sums of three uniform ones, exact in float64 and the same everywhere. */
function standard(shape, seed) {
  const [a, b, c] = [0, 2, 4].map((by) => values(shape, seed + by));
  return Float64Array.from(a, (value, i) => value + b[i] + c[i]);
}

/**
 * One case in float32: x, dy, γ and β; `mean` and `variance` are what evaluation uses, the batch's own rounded to float32.
 * They are inputs there: what is asked is how well evaluation computes from them.
 */
export function inputsOf({ offset, std }, shape) {
  const x = Float32Array.from(standard(shape, 1), (z) => offset + std * z);
  const dy = Float32Array.from(standard(shape, 7));
  const { weight, bias } = batchNormState(shape[1]);
  const { mean, variance } = channelMoments(x, shape);
  return { x, dy, weight, bias, mean: Float32Array.from(mean), variance: Float32Array.from(variance) };
}
