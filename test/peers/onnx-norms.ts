/** Normalizations of ONNX as evenkeel's. */
import { normalizeAxis } from "../../src/core/shape.js";
import * as ops from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type NodeCall, notApplicable, type Operator } from "./onnx-call.js";

const epsOf = (call: NodeCall) => call.float("epsilon", 1e-5);

/** Until opset 13 the number of outputs says whether it trains: with one it is inference, whatever `momentum` is. */
const batchNormalization: Operator = (call) => {
  const training = call.opset >= 14 ? call.int("training_mode", 0) === 1 : call.outputs > 1;
  if (call.int("spatial", 1) === 0) notApplicable("statistics for each position");
  if (training && call.opset < 14) notApplicable("training outputs of opset 13 and before");
  const [weight, bias, runningMean, runningVar] = [call.x(1), call.x(2), call.x(3), call.x(4)];
  const momentum = 1 - call.float("momentum", 0.9);
  const options = { weight, bias, runningMean, runningVar, training, momentum, eps: epsOf(call), unbiasedRunningVar: false };
  const y = ops.batchNorm(call.x(0), options);
  return training ? [y, runningMean, runningVar] : y;
};

/** Statistics over batch and positions, as in a BatchNormalization without affine part. */
const meanVarianceNormalization: Operator = (call) => {
  const axes = call.ints("axes", [0, 2, 3]);
  if (axes.join() !== "0,2,3") notApplicable("statistics over other axes than those of batch normalization");
  return ops.batchNorm(call.x(), { training: true, eps: 0 });
};

const instanceNormalization: Operator = (call) =>
  ops.instanceNorm(call.x(0), { weight: call.x(1), bias: call.x(2), eps: epsOf(call) });

/** Before opset 21 there were a scale and a shift for each group. */
const groupNormalization: Operator = (call) => {
  const [x, groups] = [call.x(0), call.int("num_groups", 1)];
  const size = x.shape[1]! / groups;
  const perChannel = (t: Tensor) => (call.opset < 21 ? t.reshape([groups, 1]).expand([groups, size]).reshape([-1]) : t);
  return ops.groupNorm(x, groups, { weight: perChannel(call.x(1)), bias: perChannel(call.x(2)), eps: epsOf(call) });
};

/** The axes from `axis` (default the last) on. */
function normalizedAxes(call: NodeCall): number[] {
  const x = call.x();
  const from = normalizeAxis(call.node.opType, call.int("axis", -1), x.rank);
  return x.shape.map((_, i) => i).slice(from);
}

/** Its further outputs, mean and 1 / √(σ² + ε), come from reductions. */
const layerNormalization: Operator = (call) => {
  const [x, eps, axes] = [call.x(0), epsOf(call), normalizedAxes(call)];
  const shape = axes.map((axis) => x.shape[axis]!);
  const y = ops.layerNorm(x, shape, { weight: call.x(1), bias: call.maybe(2), eps });
  const mean = x.mean(axes, true);
  const variance = x.sub(mean).square().mean(axes, true);
  return [y, mean, variance.add(eps).sqrt().reciprocal()];
};

const rmsNormalization: Operator = (call) => {
  const x = call.x(0);
  const shape = normalizedAxes(call).map((axis) => x.shape[axis]!);
  return ops.rmsNorm(x, shape, { weight: call.x(1), eps: epsOf(call) });
};

export const normalizations: Readonly<Record<string, Operator>> = {
  BatchNormalization: batchNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
};
