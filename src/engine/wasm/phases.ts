import type { KernelName } from "../kernels.js";

/**
 * Kernels that run as several calls with a barrier in between, in order. They share one argument record and one piece of
 * scratch memory. A kernel that is not listed is one call of its own name.
 */
export const phases: { readonly [K in KernelName]?: readonly string[] } = {
  matmul: ["matmulPack", "matmul"],
  conv2d: ["conv2dPack", "conv2d", "conv2dWinogradPack", "conv2dWinograd", "conv2dDirect"],
  conv2dBackwardInput: [
    "conv2dBackwardInputPack",
    "conv2dBackwardInput",
    "conv2dBackwardInputWinogradPack",
    "conv2dBackwardInputWinograd",
    "conv2dBackwardInputDirect",
  ],
  conv2dBackwardWeight: [
    "conv2dBackwardWeight",
    "conv2dBackwardWeightWinograd",
    "conv2dBackwardWeightWinogradJoin",
    "conv2dBackwardWeightDirect",
  ],
  reduce: ["reducePart", "reduce"],
  addSquares: ["addSquaresPart", "addSquares"],
  rowNormBackward: ["rowNormBackward", "rowNormParameters"],
};
