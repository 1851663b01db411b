export { type ByMomentsOptions, batchNormByMoments, channelMoments } from "./batch-moments.js";
export { type BatchNormResult, batchNorm, batchNormWithStats } from "./batch-norm.js";
export type { BatchNormOptions } from "./batch-norm-options.js";
export { add, div, equal, greater, greaterEqual, keepWhere, maximum, minimum, mul, sub } from "./binary.js";
export { type Conv2dOptions, conv2d, type Pair } from "./conv.js";
export { type ConvTranspose2dOptions, convTranspose2d } from "./conv-transpose.js";
export { type Conv1dOptions, conv1d } from "./conv1d.js";
export { type Conv3dOptions, conv3d, type Triple } from "./conv3d.js";
export { dropout } from "./dropout.js";
export { type GroupNormOptions, groupNorm } from "./group-norm.js";
export { type InstanceNormOptions, instanceNorm } from "./instance-norm.js";
export { type IterNormOptions, iterNorm } from "./iter-norm.js";
export { type LayerNormOptions, layerNorm } from "./layer-norm.js";
export { type CrossEntropyOptions, crossEntropy, mseLoss, type Reduction } from "./loss.js";
export { linear, type MatmulOptions, matmul } from "./matmul.js";
export { type AvgPoolOptions, adaptiveAvgPool2d, avgPool2d, maxPool2d, type PoolOptions } from "./pool.js";
export { argmax, mean, sum } from "./reduce.js";
export { type RMSNormOptions, rmsNorm } from "./rms-norm.js";
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
export { type WeightStandardizationOptions, weightStandardization } from "./weight-standardization.js";
