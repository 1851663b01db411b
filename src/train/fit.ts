import { type CompiledStep, compile } from "../autograd/compile.js";
import { OptionError } from "../core/errors.js";
import { warnOnce } from "../core/warnings.js";
import type { DataLoader } from "../data/loader.js";
import type { Module } from "../nn/module.js";
import { crossEntropy } from "../ops/loss.js";
import { clipGradNorm } from "../optim/clip.js";
import type { Scheduler } from "../optim/schedule.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";
import { Best, type EarlyStopping } from "./early-stopping.js";
import { Evaluator, type Loss, type Metrics } from "./evaluate.js";

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
  /** The metrics asked for, on the validation set; empty without one. */
  validationMetrics: Record<string, number>;
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
  /** Further measures of the validation set, one value for a batch each; accuracy is always there (default none). */
  metrics?: Metrics;
  /** Goes on by one after every step of training. */
  scheduler?: Scheduler;
  /** Scales gradients down to this joint norm. */
  clipNorm?: number;
  /**
   * Computes a batch in parts of so many examples, in less memory, as if it were whole: see `Module.callTogether`. The loss
   * must be a mean over examples (default: the whole batch at once).
   */
  microBatch?: number;
  /** Ends training when the validation loss no longer falls; needs `validation`. */
  earlyStopping?: EarlyStopping;
  /** Ends training at a loss that is not finite (default true). */
  stopOnDivergence?: boolean;
  /**
   * Whether steps run op by op in place of a recording (see `compile`), or which of them do, counted from 1: for looking
   * inside. The bits are the same (default false).
   */
  eager?: boolean | ((step: number) => boolean);
  /** Reads the loss every so many steps, and at the end of an epoch without any: reading waits for the engine (default 1). */
  lossEvery?: number;
  onEvent?: (event: FitEvent) => void;
  /** Ends training after the step that is under way. */
  signal?: AbortSignal;
  /** Gives the event loop its turn, every 50 ms; training rests until the promise resolves (default: a timer of 0 ms). */
  turn?: () => Promise<void>;
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

const timerTurn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

function check(options: FitOptions): void {
  const { epochs, lossEvery = 1, earlyStopping, validation, metrics, microBatch = 1 } = options;
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new OptionError(`fit: expected epochs to be a positive integer, got ${epochs}.`);
  if (!Number.isInteger(lossEvery) || lossEvery < 1)
    throw new OptionError(`fit: expected lossEvery to be a positive integer, got ${lossEvery}.`);
  if (!Number.isInteger(microBatch) || microBatch < 1)
    throw new OptionError(`fit: expected microBatch to be a positive integer, got ${microBatch}.`);
  if (metrics && "loss" in metrics)
    throw new OptionError('fit: expected metrics of other names than "loss", which is always measured.');
  if (earlyStopping && !validation) throw new OptionError("fit: earlyStopping needs a validation loader, got none.");
}

/** The loss of a batch, computed in parts if there is a `microBatch`. */
function lossOf(
  model: Module,
  inputs: Tensor,
  targets: Tensor,
  { loss = crossEntropy, microBatch = Infinity }: FitOptions,
): Tensor {
  const n = inputs.shape[0]!;
  if (n <= microBatch) return loss(model.call(inputs), targets);
  const starts = Array.from({ length: Math.ceil(n / microBatch) }, (_, i) => i * microBatch);
  const partsOf = (t: Tensor) => starts.map((start) => t.slice(0, start, Math.min(n, start + microBatch)));
  const labels = partsOf(targets);
  const losses = model.callTogether(partsOf(inputs)).map((y, i) => loss(y, labels[i]!).mul(y.shape[0]! / n));
  return losses.reduce((sum, part) => sum.add(part));
}

/** One step: forward, backward, update. The loss is a tensor that is not read yet. */
function trainStep(model: Module, index: Tensor, options: FitOptions): Tensor {
  const { inputs, targets } = options.train.gather(index);
  const loss = lossOf(model, inputs, targets, options);
  loss.backward();
  if (options.clipNorm !== undefined) clipGradNorm(model.parameters(), options.clipNorm).dispose();
  options.optimizer.step();
  options.optimizer.zeroGrad();
  return loss;
}

/** Copies of a model's buffers; the returned functions put them back, or give up their memory. */
function copyBuffers(model: Module): { restore(): void; dispose(): void } {
  const copyInto = (target: Tensor, x: Tensor) =>
    target.size > 0 && target.backend.call("copy", { x: x.storage, y: target.storage, n: target.size });
  const pairs = model.buffers().map((t) => [t, Tensor.empty(t.backend, t.shape, t.dtype).keep()] as const);
  for (const [t, copy] of pairs) copyInto(copy, t);
  return {
    restore: () => {
      for (const [t, copy] of pairs) copyInto(t, copy);
    },
    dispose: () => {
      for (const [, copy] of pairs) copy.dispose();
    },
  };
}

/** The state of one call of `fit`. */
class Training {
  readonly history: History = { losses: [], steps: [], epochs: [], outcome: "finished", bestEpoch: null };
  private readonly best: Best;
  private readonly evaluator: Evaluator | null;
  /** The recorded step. */
  private readonly trainStep: CompiledStep<[index: Tensor], Tensor>;
  private step = 0;
  /** Learning rate of the newest step. */
  private lr = 0;
  /** Batch sizes with which a step has gone through. */
  private readonly tried = new Set<number>();
  private lastTurn = performance.now();

  constructor(
    private readonly model: Module,
    private readonly options: FitOptions,
  ) {
    const { earlyStopping, validation, loss, metrics } = options;
    this.best = new Best(model, earlyStopping);
    this.evaluator = validation ? new Evaluator(model, validation, loss, metrics) : null;
    this.trainStep = compile((index: Tensor) => trainStep(model, index, options), {
      onEager: ({ message }) => warnOnce(`fit: the training step cannot be recorded and runs as it is. ${message}`),
    });
  }

  dispose(): void {
    this.trainStep.dispose();
    this.evaluator?.dispose();
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
    let left = train.length;
    for (const indices of train.epoch(epoch - 1)) {
      if (signal?.aborted) return "interrupted";
      const start = performance.now();
      const isLast = --left === 0 && this.history.losses.length === first;
      const loss = this.takeStep(epoch, indices, isLast);
      seconds += (performance.now() - start) / 1000;
      if (stopOnDivergence && loss !== null && !Number.isFinite(loss)) return "diverged";
      await this.takeTurn();
    }
    const read = this.history.losses.slice(first);
    this.closeEpoch(epoch, read.reduce((sum, x) => sum + x, 0) / read.length, seconds);
    return null;
  }

  /** Returns the loss if it was read, which `mustRead` demands. */
  private takeStep(epoch: number, indices: Int32Array, mustRead: boolean): number | null {
    const { train, lossEvery = 1, epochs, onEvent } = this.options;
    this.step++;
    this.lr = this.options.optimizer.lr;
    const loss = this.guarded(indices.length, () =>
      tidy(() => {
        const index = train.indexTensor(indices);
        const value = this.runsEagerly ? this.trainStep.eager(index) : this.trainStep(index);
        this.options.scheduler?.step();
        return mustRead || this.step % lossEvery === 0 ? value.item() : null;
      }),
    );
    if (loss === null) return null;
    this.history.losses.push(loss);
    this.history.steps.push(this.step);
    onEvent?.({ type: "step", epoch, step: this.step, totalSteps: epochs * train.length, loss });
    return loss;
  }

  private get runsEagerly(): boolean {
    const { eager = false } = this.options;
    return typeof eager === "boolean" ? eager : eager(this.step);
  }

  /**
   * Runs a step. One that throws leaves running statistics as they were and no gradients: what can be refused is refused at
   * the first batch of a size, perhaps after some layers have moved theirs.
   */
  private guarded<T>(batch: number, step: () => T): T {
    if (this.tried.has(batch)) return step();
    const before = copyBuffers(this.model);
    try {
      const result = step();
      this.tried.add(batch);
      return result;
    } catch (error) {
      before.restore();
      this.options.optimizer.zeroGrad();
      throw error;
    } finally {
      before.dispose();
    }
  }

  private closeEpoch(epoch: number, trainLoss: number, seconds: number): void {
    const { onEvent } = this.options;
    const seen = this.evaluator?.run() ?? null;
    if (seen !== null) this.best.see(epoch, seen.loss);
    const validationLoss = seen?.loss ?? null;
    const summary = {
      epoch,
      trainLoss,
      validationLoss,
      validationAccuracy: seen?.accuracy ?? null,
      validationMetrics: seen?.metrics ?? {},
      lr: this.lr,
      seconds,
    };
    this.history.epochs.push(summary);
    onEvent?.({ type: "epoch", ...summary });
  }

  private async takeTurn(): Promise<void> {
    if (performance.now() - this.lastTurn < TURN_MS) return;
    await (this.options.turn ?? timerTurn)();
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
  const training = new Training(model, options);
  try {
    return await training.run();
  } finally {
    training.dispose();
  }
}
