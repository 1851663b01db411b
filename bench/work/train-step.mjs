// Training steps on one batch: forward, cross-entropy, backward, SGD with momentum. Layers as each participant builds them.
import { peakOf, stepFlops } from "../flops.mjs";

const dense = (inputs, outputs, activation) => [["linear", inputs, outputs], ["batchNorm1d", outputs], [activation]];
const conv = (inputs, outputs, kernel, padding) => [
  ["conv", inputs, outputs, kernel, padding],
  ["batchNorm2d", outputs],
  ["relu"],
];
const pool = ["maxPool", 2];

/** The network of "Understanding Batch Normalization for Neural Networks". */
const article = [...dense(784, 64, "relu"), ...dense(64, 128, "relu"), ["linear", 128, 10]];
/** The MNIST network of Ioffe & Szegedy 2015, section 4.1. */
const sigmoids = [
  ...dense(784, 100, "sigmoid"),
  ...dense(100, 100, "sigmoid"),
  ...dense(100, 100, "sigmoid"),
  ["linear", 100, 10],
];
export const lenet = [...conv(1, 6, 5, 0), pool, ...conv(6, 16, 5, 0), pool, ["flatten"], ["linear", 256, 10]];
const vgg = [
  ...conv(3, 32, 3, 1),
  ...conv(32, 32, 3, 1),
  pool,
  ...conv(32, 64, 3, 1),
  ...conv(64, 64, 3, 1),
  pool,
  ...conv(64, 128, 3, 1),
  ...conv(128, 128, 3, 1),
  pool,
  ["flatten"],
  ["linear", 2048, 10],
];

const step = (name, network, shape) => {
  const flops = stepFlops(network, shape);
  return { name: `step: ${name}`, kind: "trainStep", network, shape, lr: 1e-3, momentum: 0.9, flops, limit: peakOf(flops) };
};

export const lenetStep = step("LeNet + BN, batch 64", lenet, [64, 1, 28, 28]);
export const vggStep = step("VGG-6 + BN, batch 64", vgg, [64, 3, 32, 32]);

export const works = [
  step("784-64-128-10 + BN, batch 512", article, [512, 784]),
  step("784-64-128-10 + BN, batch 32", article, [32, 784]),
  step("784-100-100-100-10 sigmoid + BN, batch 60", sigmoids, [60, 784]),
  lenetStep,
  vggStep,
];
