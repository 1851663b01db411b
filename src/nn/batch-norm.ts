import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { warnOnce } from "../core/warnings.js";
import { batchNorm, checkBatchNorm } from "../ops/batch-norm.js";
import { full, ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";

export interface BatchNormLayerOptions {
  /** Added to the variance under the root (default 1e-5); a larger one damps channels that hardly vary. */
  eps?: number;
  /**
   * Weight of the newest batch in the running values, 0 to 1 (default 0.1); a larger one follows faster and is noisier.
   * null averages all batches since the last reset alike.
   */
  momentum?: number | null;
  /** Weight of the old running values, 1 − momentum, as Keras, Flax and ONNX count; instead of `momentum`. */
  decay?: number;
  /** Whether there are a learned scale γ and shift β (default true). */
  affine?: boolean;
  /** Whether running values are kept (default true). Without them evaluation uses the batch's own statistics, too. */
  trackRunningStats?: boolean;
  /** Whether the running variance takes n / (n − 1) times the batch's (default true, as PyTorch; Keras, Flax and ONNX do not). */
  unbiasedRunningVar?: boolean;
}

function momentumOf(who: string, { momentum, decay }: BatchNormLayerOptions): number | null {
  if (momentum !== undefined && decay !== undefined) {
    throw new OptionError(`${who}: expected momentum or decay, got both. momentum = 1 - decay.`);
  }
  const value = decay === undefined ? (momentum === undefined ? 0.1 : momentum) : 1 - decay;
  if (value !== null && !Number.isFinite(value)) {
    throw new OptionError(`${who}: expected momentum to be a number from 0 to 1 or null, got ${value}.`);
  }
  if (value !== null && (value < 0 || value > 1)) {
    warnOnce(`${who}: momentum is the weight of the newest batch, from 0 to 1, got ${value}. The running values may diverge.`);
  }
  return value;
}

function checkVariance(values: ArrayLike<number>): string | null {
  for (let c = 0; c < values.length; c++) {
    if (values[c]! < 0) return `expected variances of at least 0, got ${values[c]} for channel ${c}.`;
  }
  return null;
}

/** What BatchNorm1d, 2d and 3d have in common: all but the shapes they take. */
export abstract class BatchNorm extends Module {
  /** Accepted inputs, a letter an axis; C is numFeatures. */
  protected abstract readonly layouts: readonly string[];

  readonly eps: number;
  /** See BatchNormLayerOptions; may be changed between batches. */
  momentum: number | null;
  readonly affine: boolean;
  /** If it is switched off later, training no longer moves the running values, and evaluation still uses them, as in PyTorch. */
  trackRunningStats: boolean;
  readonly unbiasedRunningVar: boolean;

  /** γ, [C], from 1. */
  readonly weight: Tensor | null;
  /** β, [C], from 0. */
  readonly bias: Tensor | null;
  /** [C], from 0. */
  readonly runningMean: Tensor | null;
  /** [C], from 1. */
  readonly runningVar: Tensor | null;
  /** Batches that moved the running values, one int32. */
  readonly numBatchesTracked: Tensor | null;
  /** How often the statistics of a channel were not finite and therefore kept out of the running values; one int32, not saved. */
  readonly rejected: Tensor | null;

  constructor(
    readonly numFeatures: number,
    options: BatchNormLayerOptions = {},
  ) {
    super();
    const { eps = 1e-5, affine = true, trackRunningStats = true, unbiasedRunningVar = true } = options;
    checkInteger(this.typeName, "numFeatures", numFeatures);
    if (!(eps >= 0 && eps < Infinity)) throw new OptionError(`${this.typeName}: expected eps of at least 0, got ${eps}.`);
    this.eps = eps;
    this.momentum = momentumOf(this.typeName, options);
    this.affine = affine;
    this.trackRunningStats = trackRunningStats;
    this.unbiasedRunningVar = unbiasedRunningVar;
    const count = () => full([], 0, { dtype: "int32" });
    this.weight = this.parameter("weight", affine ? ones([numFeatures]) : null);
    this.bias = this.parameter("bias", affine ? zeros([numFeatures]) : null);
    this.runningMean = this.buffer("running_mean", trackRunningStats ? zeros([numFeatures]) : null);
    this.runningVar = this.buffer("running_var", trackRunningStats ? ones([numFeatures]) : null, { check: checkVariance });
    this.numBatchesTracked = this.buffer("num_batches_tracked", trackRunningStats ? count() : null, { mayBeMissing: true });
    this.rejected = this.buffer("rejected", trackRunningStats ? count() : null, { persistent: false });
  }

  forward(x: Tensor): Tensor {
    this.checkInput(x);
    const { training, eps, momentum, weight, bias, unbiasedRunningVar } = this;
    const seesRunning = !training || this.trackRunningStats;
    const options = {
      runningMean: seesRunning ? this.runningMean : null,
      runningVar: seesRunning ? this.runningVar : null,
      weight,
      bias,
      training: training || this.runningMean === null,
      momentum,
      eps,
      unbiasedRunningVar,
      counter: seesRunning ? this.numBatchesTracked : null,
      rejected: seesRunning ? this.rejected : null,
      who: this.typeName,
    };
    // From here on nothing can be refused: only now may the counter move. An empty batch is no batch.
    checkBatchNorm(x, options);
    if (training && options.counter !== null && x.size > 0) {
      x.backend.call("addToInt", { cell: options.counter.storage, amount: 1 });
    }
    return batchNorm(x, options);
  }

  private checkInput(x: Tensor): void {
    const texts = this.layouts.map((axes) => `[${[...axes].map((a) => (a === "C" ? this.numFeatures : a)).join(", ")}]`);
    const layout = this.layouts.findIndex((axes) => axes.length === x.rank);
    const got = formatShape(x.shape);
    if (layout < 0) {
      const ranks = this.layouts.map((axes) => `${axes.length}D`).join(" or ");
      throw new ShapeError(
        `${this.typeName}: expected ${ranks} input (got ${x.rank}D input): expected ${texts.join(" or ")}, got ${got}.`,
      );
    }
    if (x.shape[1] !== this.numFeatures) {
      throw new ShapeError(
        `${this.typeName}: expected input ${texts[layout]}, got ${got}. The layer was built with numFeatures = ${this.numFeatures}.`,
      );
    }
  }

  /** Puts running mean, variance and both counters back to 0, 1 and 0. */
  resetRunningStats(): void {
    if (this.runningMean !== null) init.zeros(this.runningMean);
    if (this.runningVar !== null) init.ones(this.runningVar);
    if (this.numBatchesTracked !== null) init.zeros(this.numBatchesTracked);
    if (this.rejected !== null) init.zeros(this.rejected);
  }

  /** Puts γ to 1, β to 0, and resets the running values. */
  resetParameters(): void {
    this.resetRunningStats();
    if (this.weight !== null) init.ones(this.weight);
    if (this.bias !== null) init.zeros(this.bias);
  }

  protected override describe(): string {
    const { numFeatures, eps, momentum, affine, trackRunningStats } = this;
    return `${numFeatures}, eps = ${eps}, momentum = ${momentum}, affine = ${affine}, trackRunningStats = ${trackRunningStats}`;
  }
}

/**
 * Normalizes each channel over the batch: y = γ · (x − μ) / √(σ² + ε) + β, with γ and β of shape [C].
 *
 * Training: μ and σ² (biased) are the batch's own, and gradients flow through both; the running mean and *unbiased*
 * variance move towards them: running ← (1 − momentum) · running + momentum · new. Evaluation: only the running values
 * are used, so that an example's output does not depend on the batch it comes in.
 * A batch whose statistics are not finite does not enter the running values (`rejected` counts its channels); an empty batch
 * changes nothing.
 *
 * @param numFeatures channels C
 * @param options.eps added to the variance (default 1e-5); a larger one damps channels that hardly vary
 * @param options.momentum weight of the newest batch, 0 to 1, or null for the average of all batches (default 0.1)
 * @param options.decay 1 − momentum, for those who count that way
 * @param options.affine whether there are γ and β (default true)
 * @param options.trackRunningStats whether running values are kept (default true); if not, evaluation is as training
 * @param options.unbiasedRunningVar whether the running variance is the unbiased one (default true)
 * Shapes: [N, C] or [N, C, L] → the same.
 * @throws OptionError if eps is negative; ShapeError if rank or C differ; TrainingError if there is one value per channel while
 * training. A failed call leaves the running values and the counter as they were.
 * @example
 * const bn = new nn.BatchNorm1d(64);
 * bn.forward(uniform([32, 64])); // moves bn.runningMean and bn.runningVar
 * bn.eval().forward(uniform([1, 64])).shape; // [1, 64]
 * @see Ioffe & Szegedy 2015, algorithms 1 and 2
 */
export class BatchNorm1d extends BatchNorm {
  protected readonly layouts = ["NC", "NCL"];
}

/**
 * Batch normalization of images: BatchNorm1d with statistics over batch, height and width; options, modes and errors are
 * the same.
 *
 * Shapes: [N, C, H, W] → the same.
 * @example
 * new nn.BatchNorm2d(16).forward(uniform([8, 16, 32, 32])).shape; // [8, 16, 32, 32]
 */
export class BatchNorm2d extends BatchNorm {
  protected readonly layouts = ["NCHW"];
}

/**
 * Batch normalization of volumes: BatchNorm1d with statistics over batch, depth, height and width; options, modes and
 * errors are the same.
 *
 * Shapes: [N, C, D, H, W] → the same.
 * @example
 * new nn.BatchNorm3d(4).forward(uniform([2, 4, 3, 8, 8])).shape; // [2, 4, 3, 8, 8]
 */
export class BatchNorm3d extends BatchNorm {
  protected readonly layouts = ["NCDHW"];
}
