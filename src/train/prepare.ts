import { OptionError } from "../core/errors.js";
import type { DataSet } from "../data/dataset.js";
import { DataLoader } from "../data/loader.js";
import { trainValidationSplit } from "../data/split.js";
import type { Sequential } from "../nn/sequential.js";
import { crossEntropy, mseLoss } from "../ops/loss.js";
import {
  Adam,
  AdamW,
  cosineSchedule,
  multiStepSchedule,
  RMSprop,
  type Schedule,
  Scheduler,
  SGD,
  stepSchedule,
  warmUp,
} from "../optim/index.js";
import { manualSeed } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { TrainConfig } from "./config.js";
import type { Loss } from "./evaluate.js";
import type { FitOptions } from "./fit.js";
import { buildNetwork } from "./network.js";

/** The examples of a training run; without a test set none is evaluated at the end. */
export interface TrainSets {
  train: DataSet;
  test: DataSet | null;
}

/** All that a configuration names, made. */
export interface Prepared {
  model: Sequential;
  fit: FitOptions;
  test: DataLoader | null;
}

/** What of a configuration concerns the training itself: not where data come from, and not the engine. */
export type PlannedTraining = Omit<TrainConfig, "data" | "threads" | "deterministic">;

function optimizerOf(config: TrainConfig["optimizer"], params: Tensor[]) {
  const { type, ...given } = config;
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (type === "sgd") return new SGD(params, options);
  if (type === "adam") return new Adam(params, options);
  return type === "adamw" ? new AdamW(params, options) : new RMSprop(params, options);
}

function scheduleOf(config: NonNullable<TrainConfig["schedule"]>, totalSteps: number): Schedule {
  const rest = totalSteps - (config.warmUp ?? 0);
  if (rest < 1)
    throw new OptionError(`schedule.warmUp: expected less than the ${totalSteps} steps of training, got ${config.warmUp}.`);
  const main: Schedule =
    config.type === "step"
      ? stepSchedule(config.size, config.gamma)
      : config.type === "multiStep"
        ? multiStepSchedule(config.milestones, config.gamma)
        : config.type === "cosine"
          ? cosineSchedule(rest, config.floor)
          : () => 1;
  return config.warmUp === undefined ? main : warmUp(config.warmUp, main);
}

/** Classes are learned by cross-entropy, numbers by squared error. */
function lossOf(config: PlannedTraining, set: DataSet, outputs: readonly number[]): Loss {
  const classes = set.classes.length;
  const expected = classes > 0 ? classes : 1;
  if (outputs.length !== 1 || outputs[0] !== expected) {
    throw new OptionError(
      `network: expected ${expected} outputs per example for ${set.name}, got [${outputs.join(", ")}]. Change the last layer.`,
    );
  }
  const { labelSmoothing } = config;
  if (classes > 0) return (y, targets) => crossEntropy(y, targets, { labelSmoothing });
  return (y, targets) => mseLoss(y.reshape(targets.shape), targets);
}

/**
 * Makes network, loaders, optimizer and schedule from a configuration, on the current backend. The seed decides everything
 * that is random. The validation part is taken from the training examples.
 *
 * @throws OptionError that names what does not fit
 */
export function prepare(config: PlannedTraining, { train, test }: TrainSets): Prepared {
  manualSeed(config.seed);
  const { module: model, shape } = buildNetwork(config.network, train.shape);
  const loss = lossOf(config, train, shape);
  const parts = trainValidationSplit(train, { validation: config.validation, seed: config.seed });
  const { batchSize, seed, epochs } = config;
  // A last batch of one example cannot be normalized: short ones join the batch before.
  const loader = new DataLoader(train, { batchSize, shuffle: true, seed, indices: parts.train, dropLast: "merge" });
  const optimizer = optimizerOf(config.optimizer, model.parameters());
  const fit: FitOptions = {
    train: loader,
    validation: new DataLoader(train, { batchSize: 512, indices: parts.validation }),
    optimizer,
    loss,
    epochs,
  };
  if (config.schedule) fit.scheduler = new Scheduler(optimizer, scheduleOf(config.schedule, epochs * loader.length));
  if (config.clipNorm !== undefined) fit.clipNorm = config.clipNorm;
  if (config.microBatch !== undefined) fit.microBatch = config.microBatch;
  if (config.earlyStopping) fit.earlyStopping = withoutUndefined(config.earlyStopping);
  return { model, fit, test: test === null ? null : new DataLoader(test, { batchSize: 512 }) };
}

function withoutUndefined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
