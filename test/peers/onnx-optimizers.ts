/** Optimizers of ONNX (domain ai.onnx.preview.training) as evenkeel's: a step from a given state. */
import { Adam, type Optimizer, SGD } from "../../src/optim/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type NodeCall, notApplicable } from "./onnx-call.js";

/** Inputs after R and T: tensors of one kind stand together, as X1, X2, G1, G2, V1, V2. */
function kinds(call: NodeCall, count: number): Tensor[][] {
  const size = (call.count - 2) / count;
  return Array.from({ length: count }, (_, kind) => Array.from({ length: size }, (_, i) => call.x(2 + kind * size + i)));
}

/** Takes one step of parameters with these gradients, from a state as if `step` steps had been taken. */
function stepFrom(optimizer: Optimizer, grads: readonly Tensor[], step: number, names: readonly string[], state: Tensor[][]) {
  const params = optimizer.parameters();
  params.forEach((p, i) => {
    p.grad = grads[i]!;
  });
  const { paramGroups } = optimizer.stateDict();
  const tensorsOf = (i: number) => new Map(names.map((name, kind) => [name, state[kind]![i]!]));
  optimizer.loadStateDict({ paramGroups, state: params.map((_, i) => ({ step, tensors: tensorsOf(i) })) });
  optimizer.step();
  const after = optimizer.stateDict().state;
  return [...params, ...names.flatMap((name) => after.map(({ tensors }) => tensors.get(name)!))];
}

/** At T = 0 Momentum takes the whole gradient, as torch does without dampening. */
function momentum(call: NodeCall): Tensor[] {
  const [params, grads, velocities] = kinds(call, 3);
  if (call.scalar(1)! > 0 && call.float("beta", 1) !== 1) notApplicable("Momentum with a share of the gradient");
  const optimizer = new SGD(params!, {
    lr: call.scalar(0)!,
    momentum: call.float("alpha", 0),
    weightDecay: call.float("norm_coefficient", 0),
    nesterov: call.string("mode", "standard") === "nesterov",
  });
  return stepFrom(optimizer, grads!, 1, ["momentum_buffer"], [velocities!]);
}

/**
 * At T = 0 Adam does not correct the bias of its means: x − R·v / (√h + ε). The first step here does, and divides v by 1 − α
 * and h by 1 − β, which the learning rate and ε take back.
 */
function adam(call: NodeCall): Tensor[] {
  const [params, grads, means, squares] = kinds(call, 4);
  if (call.scalar(1)! > 0 || call.float("norm_coefficient_post", 0) !== 0) notApplicable("later steps of Adam");
  const [alpha, beta] = [call.float("alpha", 0.9), call.float("beta", 0.999)];
  const optimizer = new Adam(params!, {
    lr: (call.scalar(0)! * (1 - alpha)) / Math.sqrt(1 - beta),
    betas: [alpha, beta],
    eps: call.float("epsilon", 1e-6) / Math.sqrt(1 - beta),
    weightDecay: call.float("norm_coefficient", 0),
  });
  return stepFrom(optimizer, grads!, 0, ["exp_avg", "exp_avg_sq"], [means!, squares!]);
}

export const optimizers = { Momentum: momentum, Adam: adam };
