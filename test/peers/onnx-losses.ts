/** Losses of ONNX as evenkeel's crossEntropy. */
import * as ops from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type NodeCall, notApplicable } from "./onnx-call.js";

function crossEntropy(call: NodeCall): Tensor {
  const weight = call.maybe(2);
  return ops.crossEntropy(call.x(), Int32Array.from(call.integers(1)!), {
    ...(weight && { weight }),
    ...(call.has("ignore_index") && { ignoreIndex: call.int("ignore_index", 0) }),
    reduction: call.string("reduction", "mean") as ops.Reduction,
  });
}

/** crossEntropy takes logits. Logarithms of probabilities are logits, too, and then they are what it takes logarithms to. */
function negativeLogLikelihood(call: NodeCall): Tensor {
  const totals = call.x().exp().sum(1).data();
  if (totals.some((total) => Math.abs(total - 1) > 1e-4)) notApplicable("inputs that are not logarithms of probabilities");
  return crossEntropy(call);
}

export const lossOperators = {
  SoftmaxCrossEntropyLoss: (call: NodeCall) =>
    call.outputs > 1 ? [crossEntropy(call), ops.logSoftmax(call.x(), 1)] : crossEntropy(call),
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
};
