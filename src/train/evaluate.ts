import { noGrad } from "../autograd/mode.js";
import type { DataLoader } from "../data/loader.js";
import type { Module } from "../nn/module.js";
import { crossEntropy } from "../ops/loss.js";
import { argmax } from "../ops/reduce.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/** The mean loss of a batch, one value, from the network's output and the targets. */
export type Loss = (output: Tensor, targets: Tensor) => Tensor;

/** Measures of a batch, one value each, averaged over all examples; by name. */
export type Metrics = Readonly<Record<string, Loss>>;

export interface Evaluation {
  /** Mean over all examples. */
  loss: number;
  /** Share of examples whose largest output is the label's; null where targets are no classes. */
  accuracy: number | null;
  /** Mean of each metric over all examples. */
  metrics: Record<string, number>;
}

/** How many rows of `output` have their largest value at the label. */
function countRight(output: Tensor, targets: Tensor): number {
  const said = argmax(output).data();
  const labels = targets.data();
  let right = 0;
  for (let i = 0; i < said.length; i++) if (said[i] === labels[i]) right++;
  return right;
}

/**
 * Runs `fn` with the model in evaluation mode and without gradients, and puts the mode of every module back afterwards, also
 * when something throws.
 */
export function evaluating<T>(model: Module, fn: () => T): T {
  const modes = model.modules().map((module) => [module, module.training] as const);
  model.eval();
  try {
    return noGrad(fn);
  } finally {
    for (const [module, mode] of modes) module.training = mode;
  }
}

/**
 * Loss and accuracy over all batches of a loader, in evaluation mode and without gradients. The mode of every module is
 * afterwards what it was before, also when something throws.
 *
 * @param loss default: cross-entropy
 * @param metrics further measures beside loss and accuracy (default none)
 */
export function evaluate(
  model: Module,
  loader: DataLoader,
  loss: Loss = (y, t) => crossEntropy(y, t),
  metrics: Metrics = {},
): Evaluation {
  const measures = Object.entries({ ...metrics, loss });
  const totals = new Map(measures.map(([name]) => [name, 0]));
  let right = 0;
  let classes = true;
  evaluating(model, () => {
    for (const indices of loader.epoch(0)) {
      tidy(() => {
        const { inputs, targets } = loader.tensors(indices);
        const output = model.call(inputs);
        for (const [name, measure] of measures) {
          totals.set(name, totals.get(name)! + measure(output, targets).item() * indices.length);
        }
        classes = targets.dtype === "int32" && output.rank === 2;
        if (classes) right += countRight(output, targets);
      });
    }
  });
  const { loss: meanLoss, ...rest } = Object.fromEntries([...totals].map(([name, total]) => [name, total / loader.count]));
  return { loss: meanLoss!, accuracy: classes ? right / loader.count : null, metrics: rest };
}
