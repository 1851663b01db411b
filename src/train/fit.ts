import { OptionError } from "../core/errors.js";
import type { DataLoader } from "../data/loader.js";
import type { Module } from "../nn/module.js";
import { crossEntropy } from "../ops/loss.js";
import { clipGradNorm } from "../optim/clip.js";
import type { Scheduler } from "../optim/schedule.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { Best, type EarlyStopping } from "./early-stopping.js";
import { evaluate, type Loss } from "./evaluate.js";

/** What `fit` needs of an optimizer. */
export interface Stepper {
  readonly lr: number;
  step(): void;
  zeroGrad(): void;
}

export interface EpochSummary {
  /** Counted from 1. */
  epoch: number;
  /** Mean of the training losses that were read; NaN if it diverged. */
  trainLoss: number;
  validationLoss: number | null;
  validationAccuracy: number | null;
  /** Learning rate of the epoch's last step. */
  lr: number;
  /** Time of the steps, without evaluation. */
  seconds: number;
}

/** Why training ended. */
export type Outcome = "finished" | "stopped early" | "diverged" | "interrupted";

export type FitEvent =
  | { type: "start"; epochs: number; stepsPerEpoch: number }
  | { type: "step"; epoch: number; step: number; totalSteps: number; loss: number }
  | ({ type: "epoch" } & EpochSummary)
  | { type: "end"; outcome: Outcome };

export interface FitOptions {
  train: DataLoader;
  /** Looked at after every epoch, in evaluation mode (default: none). */
  validation?: DataLoader;
  optimizer: Stepper;
  /** Default: cross-entropy, averaged over the batch. */
  loss?: Loss;
  epochs: number;
  /** Goes on by one after every step of training. */
  scheduler?: Scheduler;
  /** Scales gradients down to this joint norm. */
  clipNorm?: number;
  /** Ends training when the validation loss no longer falls; needs `validation`. */
  earlyStopping?: EarlyStopping;
  /** Ends training at a loss that is not finite (default true). */
  stopOnDivergence?: boolean;
  /** Reads the loss every so many steps: reading waits for the engine (default 1). */
  lossEvery?: number;
  onEvent?: (event: FitEvent) => void;
  /** Ends training after the step that is under way. */
  signal?: AbortSignal;
}

export interface History {
  /** Losses that were read, in order; `steps[i]` is the step of `losses[i]`, from 1. */
  losses: number[];
  steps: number[];
  epochs: EpochSummary[];
  outcome: Outcome;
  /** The epoch with the lowest validation loss; null without validation. */
  bestEpoch: number | null;
}

/** The event loop gets a turn after this many milliseconds. */
const TURN_MS = 50;

function check(options: FitOptions): void {
  const { epochs, lossEvery = 1, earlyStopping, validation } = options;
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new OptionError(`fit: expected epochs to be a positive integer, got ${epochs}.`);
  if (!Number.isInteger(lossEvery) || lossEvery < 1)
    throw new OptionError(`fit: expected lossEvery to be a positive integer, got ${lossEvery}.`);
  if (earlyStopping && !validation) throw new OptionError("fit: earlyStopping needs a validation loader, got none.");
}

/** One step: forward, backward, update. The loss is a tensor that is not read yet. */
function trainStep(model: Module, inputs: Tensor, targets: Tensor, options: FitOptions): Tensor {
  const loss = (options.loss ?? crossEntropy)(model.call(inputs), targets);
  loss.backward();
  if (options.clipNorm !== undefined) clipGradNorm(model.parameters(), options.clipNorm).dispose();
  options.optimizer.step();
  options.optimizer.zeroGrad();
  options.scheduler?.step();
  return loss;
}

/** The state of one call of `fit`. */
class Training {
  readonly history: History = { losses: [], steps: [], epochs: [], outcome: "finished", bestEpoch: null };
  private readonly best: Best;
  private step = 0;
  private lastTurn = performance.now();

  constructor(
    private readonly model: Module,
    private readonly options: FitOptions,
  ) {
    this.best = new Best(model, options.earlyStopping);
  }

  async run(): Promise<History> {
    const { epochs, train, onEvent } = this.options;
    onEvent?.({ type: "start", epochs, stepsPerEpoch: train.length });
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const outcome = (await this.runEpoch(epoch)) ?? (this.best.isOver ? "stopped early" : null);
      if (outcome === null) continue;
      this.history.outcome = outcome;
      break;
    }
    this.best.restore();
    this.history.bestEpoch = this.best.epoch;
    onEvent?.({ type: "end", outcome: this.history.outcome });
    return this.history;
  }

  /** Returns why training ends here, or null. */
  private async runEpoch(epoch: number): Promise<Outcome | null> {
    const { train, signal, stopOnDivergence = true } = this.options;
    const first = this.history.losses.length;
    let seconds = 0;
    for (const indices of train.epoch(epoch - 1)) {
      if (signal?.aborted) return "interrupted";
      const start = performance.now();
      const loss = this.takeStep(epoch, indices);
      seconds += (performance.now() - start) / 1000;
      if (stopOnDivergence && loss !== null && !Number.isFinite(loss)) return "diverged";
      await this.takeTurn();
    }
    const read = this.history.losses.slice(first);
    this.closeEpoch(epoch, read.reduce((sum, x) => sum + x, 0) / read.length, seconds);
    return null;
  }

  /** Returns the loss if it was read. */
  private takeStep(epoch: number, indices: Int32Array): number | null {
    const { train, lossEvery = 1, epochs, onEvent } = this.options;
    this.step++;
    const loss = tidy(() => {
      const { inputs, targets } = train.tensors(indices);
      const value = trainStep(this.model, inputs, targets, this.options);
      return this.step % lossEvery === 0 ? value.item() : null;
    });
    if (loss === null) return null;
    this.history.losses.push(loss);
    this.history.steps.push(this.step);
    onEvent?.({ type: "step", epoch, step: this.step, totalSteps: epochs * train.length, loss });
    return loss;
  }

  private closeEpoch(epoch: number, trainLoss: number, seconds: number): void {
    const { validation, loss, optimizer, onEvent } = this.options;
    const seen = validation ? evaluate(this.model, validation, loss) : null;
    if (seen !== null) this.best.see(epoch, seen.loss);
    const validationLoss = seen?.loss ?? null;
    const summary = { epoch, trainLoss, validationLoss, validationAccuracy: seen?.accuracy ?? null, lr: optimizer.lr, seconds };
    this.history.epochs.push(summary);
    onEvent?.({ type: "epoch", ...summary });
  }

  private async takeTurn(): Promise<void> {
    if (performance.now() - this.lastTurn < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.lastTurn = performance.now();
  }
}

/**
 * Trains a model: for every epoch all batches of `train`, then the validation set.
 *
 * The model is put into training mode first and stays in it. A step runs inside `tidy`, so it leaves nothing behind.
 *
 * @returns losses, a summary of each epoch, and why training ended
 * @throws OptionError before the first step if an option is wrong
 * @example
 * const history = await fit(model, { train: loader, validation, optimizer, epochs: 5, onEvent: console.log });
 */
export async function fit(model: Module, options: FitOptions): Promise<History> {
  check(options);
  model.train();
  return new Training(model, options).run();
}
