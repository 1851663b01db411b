import type { KernelName } from "../kernels.js";
import { adam } from "./adam.js";
import type { Args } from "./arrays.js";
import { batchNormBackward, batchNormEval, batchNormEvalBackward, batchNormTrain } from "./batch-norm.js";
import { addSquares, clipScale } from "./clip.js";
import { conv2d, conv2dBackwardInput, conv2dBackwardWeight } from "./conv.js";
import { crossEntropy, crossEntropyBackward, crossEntropyReduce } from "./cross-entropy.js";
import { depthWindows, depthWindowsBackward } from "./depth-windows.js";
import { finiteMoments, histogram, percentiles } from "./distribution.js";
import { binary, unary, unaryBackward } from "./elementwise.js";
import { matmul } from "./matmul.js";
import {
  addToCell,
  addToInt,
  copy,
  copyCell,
  fill,
  fillAll,
  fillCell,
  fillInt,
  gatherBytes,
  gatherRows,
  oneHot,
  stridedCopy,
} from "./memory.js";
import { channelMoments, maskedMoments, mergeMoments, updateRunning } from "./moments.js";
import {
  adaptiveAvgPool2d,
  adaptiveAvgPool2dBackward,
  avgPool2d,
  avgPool2dBackward,
  maxPool2d,
  maxPool2dBackward,
  maxPool2dGather,
} from "./pool.js";
import { advanceRandom, dropoutMask, randomNormal, randomUniform } from "./random.js";
import { argmax, reduce, sumChannels } from "./reduce.js";
import { rmsprop } from "./rmsprop.js";
import { rowNorm, rowNormBackward } from "./row-norm.js";
import { sgd } from "./sgd.js";
import { softmax, softmaxBackward } from "./softmax.js";

/** The definition of every kernel, in float64 and plain loops. */
export const referenceKernels: { readonly [K in KernelName]: (args: Args<K>) => void } = {
  fill,
  fillInt,
  fillCell,
  copyCell,
  copy,
  stridedCopy,
  gatherRows,
  gatherBytes,
  oneHot,
  addToCell,
  addToInt,
  unary,
  unaryBackward,
  binary,
  reduce,
  argmax,
  sumChannels,
  matmul,
  conv2d,
  conv2dBackwardInput,
  conv2dBackwardWeight,
  depthWindows,
  depthWindowsBackward,
  maxPool2d,
  maxPool2dBackward,
  maxPool2dGather,
  avgPool2d,
  avgPool2dBackward,
  adaptiveAvgPool2d,
  adaptiveAvgPool2dBackward,
  batchNormTrain,
  batchNormBackward,
  batchNormEval,
  batchNormEvalBackward,
  channelMoments,
  maskedMoments,
  mergeMoments,
  updateRunning,
  rowNorm,
  rowNormBackward,
  softmax,
  softmaxBackward,
  crossEntropy,
  crossEntropyReduce,
  crossEntropyBackward,
  sgd,
  adam,
  rmsprop,
  addSquares,
  clipScale,
  fillAll,
  randomUniform,
  randomNormal,
  dropoutMask,
  advanceRandom,
  finiteMoments,
  percentiles,
  histogram,
};
