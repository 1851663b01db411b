export { type BatchNormOptions, batchNorm } from "./batch-norm.js";
export { add, div, equal, greater, greaterEqual, maximum, minimum, mul, sub } from "./binary.js";
export { type Conv2dOptions, conv2d, type Pair } from "./conv.js";
export { dropout } from "./dropout.js";
export { type CrossEntropyOptions, crossEntropy, mseLoss, type Reduction } from "./loss.js";
export { linear, type MatmulOptions, matmul } from "./matmul.js";
export { type AvgPoolOptions, adaptiveAvgPool2d, avgPool2d, maxPool2d, type PoolOptions } from "./pool.js";
export { argmax, mean, sum } from "./reduce.js";
export { cat, expand, flatten, permute, reshape, slice, transpose } from "./shape.js";
export { logSoftmax, softmax } from "./softmax.js";
export { sumChannels } from "./sum-channels.js";
export {
  abs,
  erf,
  exp,
  gaussian,
  gelu,
  leakyRelu,
  log,
  neg,
  pow,
  reciprocal,
  relu,
  sigmoid,
  sign,
  silu,
  sqrt,
  square,
  tanh,
} from "./unary.js";
