import { type CompiledStep, compile } from "../autograd/compile.js";
import { noGrad } from "../autograd/mode.js";
import { warnOnce } from "../core/warnings.js";
import type { DataLoader } from "../data/loader.js";
import type { Indices } from "../data/split.js";
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

/** What a recorded pass over a batch returns. */
interface Seen {
  /** Loss and metrics, one value each, by name. */
  values: Record<string, Tensor>;
  /** The class of the largest output of each example, and the labels; null where targets are no classes. */
  classes: { said: Tensor; labels: Tensor } | null;
}

function countRight({ said, labels }: { said: Tensor; labels: Tensor }): number {
  const [a, b] = [said.data(), labels.data()];
  let right = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) right++;
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

/** Evaluates a model on a loader any number of times, by recorded passes. */
export class Evaluator {
  private readonly pass: CompiledStep<[index: Tensor], Seen>;

  constructor(
    private readonly model: Module,
    private readonly loader: DataLoader,
    loss: Loss = (y, t) => crossEntropy(y, t),
    metrics: Metrics = {},
  ) {
    const measures = Object.entries({ ...metrics, loss });
    const pass = (index: Tensor): Seen => {
      const { inputs, targets } = loader.gather(index);
      const output = model.call(inputs);
      const values = Object.fromEntries(measures.map(([name, measure]) => [name, measure(output, targets)]));
      const isClasses = targets.dtype === "int32" && output.rank === 2;
      return { values, classes: isClasses ? { said: argmax(output), labels: targets } : null };
    };
    this.pass = compile(pass, {
      onEager: ({ message }) => warnOnce(`evaluate: a pass cannot be recorded and runs as it is. ${message}`),
    });
  }

  /** See `evaluate`. */
  run(): Evaluation {
    const { model, loader } = this;
    const totals: Record<string, number> = {};
    let right: number | null = 0;
    const see = (indices: Indices) => {
      const { values, classes } = this.pass(loader.indexTensor(indices));
      for (const [name, value] of Object.entries(values)) totals[name] = (totals[name] ?? 0) + value.item() * indices.length;
      right = classes === null || right === null ? null : right + countRight(classes);
    };
    evaluating(model, () => {
      for (const indices of loader.epoch(0)) tidy(() => see(indices));
    });
    const means = Object.entries(totals).map(([name, total]) => [name, total / loader.count] as const);
    const { loss, ...metrics } = Object.fromEntries(means);
    return { loss: loss!, accuracy: right === null ? null : right / loader.count, metrics };
  }

  /** Gives back the memory of the recordings. */
  dispose(): void {
    this.pass.dispose();
  }
}

/**
 * Loss and accuracy over all batches of a loader, in evaluation mode and without gradients. The mode of every module is
 * afterwards what it was before, also when something throws.
 *
 * @param loss default: cross-entropy
 * @param metrics further measures beside loss and accuracy (default none)
 */
export function evaluate(model: Module, loader: DataLoader, loss?: Loss, metrics?: Metrics): Evaluation {
  const evaluator = new Evaluator(model, loader, loss, metrics);
  try {
    return evaluator.run();
  } finally {
    evaluator.dispose();
  }
}
