// How the experiments train: plain SGD on recorded steps, the same batches for all arms of a seed.
import { compile } from "../autograd/compile.js";
import type { ImageSet } from "../data/dataset.js";
import { DataLoader } from "../data/loader.js";
import { allIndices, type Indices } from "../data/split.js";
import type { Module } from "../nn/module.js";
import { crossEntropy } from "../ops/loss.js";
import type { Optimizer } from "../optim/optimizer.js";
import { SGD } from "../optim/sgd.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { Evaluator } from "../train/evaluate.js";
import { TRAINING_IMAGES, WATCHED_IMAGES } from "./protocol.js";

export interface TrainingOptions {
  set: ImageSet;
  seed: number;
  lr: number;
  steps: number;
  /** Images in a step (default 128). */
  batch?: number;
  /** Which images to train on (default: the first 55,000, or as many as there are). */
  indices?: Indices;
  /** Called after each step with its number, from 1, and its loss; true ends the training. */
  afterStep?: (step: number, loss: number) => boolean | undefined;
  /** The parameters that are trained (default: all of the model). */
  parameters?: readonly Tensor[];
  /** Takes the steps instead of plain SGD at `lr`; disposed of at the end. */
  optimizer?: Optimizer;
  /** Adds weightDecay · parameter to each gradient (default 0). */
  weightDecay?: number;
}

/** What training gave. */
export interface Training {
  /** Training-mode loss of each step taken; it ends with null where it was not finite any more. */
  losses: (number | null)[];
  /** The step whose loss was not finite, which ended the training. */
  divergedAt: number | null;
}

/** The batches of a seed, epoch after epoch; short last batches are left out. */
export function* batches(loader: DataLoader<ImageSet>): Generator<Indices, never, undefined> {
  for (let epoch = 0; ; epoch++) yield* loader.epoch(epoch);
}

/** The images to train on, and those on which learning rates are chosen: with fewer than 60,000 the last twelfth. */
export function splitImages(set: ImageSet): { training: Indices; validation: Indices } {
  const training = set.count >= 60_000 ? TRAINING_IMAGES : Math.floor((set.count * 11) / 12);
  const all = allIndices(set.count);
  return { training: all.slice(0, training), validation: all.slice(training) };
}

/** Trains by plain SGD until `steps` are done, the loss is not finite, or `afterStep` says so. Rows of pixels in [0, 1]. */
export function trainModel(model: Module, options: TrainingOptions): Training {
  const { set, seed, lr, steps, batch = 128, weightDecay = 0, indices = splitImages(set).training } = options;
  const loader = new DataLoader(set, { batchSize: batch, shuffle: true, seed, dropLast: "drop", flatten: true, indices });
  const optimizer = options.optimizer ?? new SGD(options.parameters ?? model.parameters(), { lr, weightDecay });
  const advance = compile((index: Tensor) => {
    const { inputs, targets } = loader.gather(index);
    const loss = crossEntropy(model.call(inputs), targets);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const training: Training = { losses: [], divergedAt: null };
  const source = batches(loader);
  try {
    for (let step = 1; step <= steps; step++) {
      const loss = tidy(() => advance(loader.indexTensor(source.next().value)).item());
      training.losses.push(Number.isFinite(loss) ? loss : null);
      if (!Number.isFinite(loss)) training.divergedAt = step;
      if (training.divergedAt !== null || options.afterStep?.(step, loss) === true) break;
    }
  } finally {
    advance.dispose();
    optimizer.dispose();
  }
  return training;
}

/** Accuracy and loss on a fixed part of a set, in evaluation mode, any number of times. */
export class Watcher {
  private readonly evaluator: Evaluator;

  /** @param indices default: the first 2,000 images */
  constructor(model: Module, set: ImageSet, indices: Indices = allIndices(Math.min(set.count, WATCHED_IMAGES))) {
    this.evaluator = new Evaluator(model, new DataLoader(set, { batchSize: 500, flatten: true, indices }));
  }

  /** Share of right answers, and mean loss. */
  look(): { accuracy: number; loss: number } {
    const { accuracy, loss } = this.evaluator.run();
    return { accuracy: accuracy!, loss };
  }

  dispose(): void {
    this.evaluator.dispose();
  }
}

/** Share of right answers on all of a set, or on some of it, in evaluation mode. */
export function accuracyOn(model: Module, set: ImageSet, indices: Indices = allIndices(set.count)): number {
  const watcher = new Watcher(model, set, indices);
  try {
    return watcher.look().accuracy;
  } finally {
    watcher.dispose();
  }
}

/** Mean of the last `count` losses; NaN where the training diverged. */
export function finalLoss({ losses, divergedAt }: Training, count: number): number {
  if (divergedAt !== null || losses.length === 0) return Number.NaN;
  const last = losses.slice(-count);
  return last.reduce((sum: number, loss) => sum + (loss ?? Number.NaN), 0) / last.length;
}
