/** Layers, losses and initializers: what `nn` is in the public surface. */
export {
  add,
  batchNorm,
  batchNormByMoments,
  batchNormWithStats,
  cat,
  channelMoments,
  crossEntropy,
  groupNorm,
  instanceNorm,
  iterNorm,
  layerNorm,
  mseLoss,
  rmsNorm,
  weightStandardization,
} from "../ops/index.js";
export { AdaptiveAvgPool2d } from "./adaptive-avg-pool2d.js";
export { Add } from "./add.js";
export { AvgPool2d, type AvgPool2dOptions } from "./avg-pool2d.js";
export { BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormLayerOptions } from "./batch-norm.js";
export { BatchRenorm, type BatchRenormOptions, type RenormLimit, ramp } from "./batch-renorm.js";
export { Concat } from "./concat.js";
export { ConvTranspose2d, type ConvTranspose2dOptions } from "./conv-transpose2d.js";
export { Conv1d, type Conv1dOptions } from "./conv1d.js";
export { Conv2d, type Conv2dOptions } from "./conv2d.js";
export { Conv3d, type Conv3dOptions } from "./conv3d.js";
export { CrossEntropyLoss } from "./cross-entropy-loss.js";
export { Dropout } from "./dropout.js";
export { Flatten } from "./flatten.js";
export { GELU } from "./gelu.js";
export { GhostBatchNorm } from "./ghost-batch-norm.js";
export { Graph, type GraphNode, type GraphOptions } from "./graph.js";
export { GroupNorm, type GroupNormLayerOptions } from "./group-norm.js";
export type { ForwardHook, ForwardPreHook, HookSampling, RemoveHook } from "./hooks.js";
export { Identity } from "./identity.js";
export * as init from "./init.js";
export {
  InstanceNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  type InstanceNormLayerOptions,
} from "./instance-norm.js";
export { IterNorm, type IterNormLayerOptions } from "./iter-norm.js";
export { LayerNorm, type LayerNormLayerOptions } from "./layer-norm.js";
export { LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d } from "./lazy-batch-norm.js";
export { LeakyReLU } from "./leaky-relu.js";
export { Linear, type LinearOptions } from "./linear.js";
export { MaxPool2d, type MaxPool2dOptions } from "./max-pool2d.js";
export { type BufferOptions, Module } from "./module.js";
export { MSELoss } from "./mse-loss.js";
export { isNormalization } from "./normalization.js";
export type { Pair, Triple } from "./options.js";
export { ReLU } from "./relu.js";
export { Residual } from "./residual.js";
export { RMSNorm, type RMSNormLayerOptions } from "./rms-norm.js";
export { Sequential } from "./sequential.js";
export { Sigmoid } from "./sigmoid.js";
export { SiLU } from "./silu.js";
export { Softmax } from "./softmax.js";
export type { LoadOptions, LoadResult, StateEntry } from "./state-dict.js";
export { withoutStatsUpdate } from "./stats-update.js";
export { StdConv2d, type StdConv2dOptions } from "./std-conv2d.js";
export { Tanh } from "./tanh.js";
export { type WiredModule, Wiring, wiringOf, wiringsOf } from "./wiring.js";
