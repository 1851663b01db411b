import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { warnOnce } from "../core/warnings.js";
import { checkInstanceNorm, instanceNorm } from "../ops/instance-norm.js";
import { checkEps } from "../ops/row-norm.js";
import { full, ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";
import { checkVariance } from "./running-stats.js";
import { isUpdatingStats } from "./stats-update.js";

export interface InstanceNormLayerOptions {
  /** Added to the variance under the root (default 1e-5); a larger one damps channels that hardly vary. */
  eps?: number;
  /**
   * Weight of the newest batch in the running values, 0 to 1 (default 0.1); a larger one follows faster and is noisier.
   * null averages all batches since the last reset alike.
   */
  momentum?: number | null;
  /** Whether there are a learned scale γ and shift β for each channel (default false). */
  affine?: boolean;
  /** Whether running values are kept and used in evaluation (default false). */
  trackRunningStats?: boolean;
}

function checkMomentum(who: string, momentum: number | null): void {
  if (momentum === null) return;
  if (!Number.isFinite(momentum)) {
    throw new OptionError(`${who}: expected momentum to be a number from 0 to 1 or null, got ${momentum}.`);
  }
  if (momentum < 0 || momentum > 1) {
    warnOnce(`${who}: momentum is the weight of the newest batch, from 0 to 1, got ${momentum}. The running values may diverge.`);
  }
}

/** What InstanceNorm1d, 2d and 3d have in common: all but the shapes they take. */
export abstract class InstanceNorm extends Module {
  /** The accepted input, a letter an axis; C is numFeatures. */
  protected abstract readonly layout: string;

  readonly eps: number;
  /** See InstanceNormLayerOptions; may be changed between batches. */
  momentum: number | null;
  readonly affine: boolean;
  readonly trackRunningStats: boolean;
  /** γ, [C], from 1. */
  readonly weight: Tensor | null;
  /** β, [C], from 0. */
  readonly bias: Tensor | null;
  /** [C], from 0. */
  readonly runningMean: Tensor | null;
  /** [C], from 1. */
  readonly runningVar: Tensor | null;
  /** Batches that moved the running values, one int32. PyTorch keeps this buffer, too, but leaves it at 0. */
  readonly numBatchesTracked: Tensor | null;

  constructor(
    readonly numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = false, trackRunningStats = false }: InstanceNormLayerOptions = {},
  ) {
    super();
    checkInteger(this.typeName, "numFeatures", numFeatures);
    checkEps(this.typeName, eps);
    checkMomentum(this.typeName, momentum);
    this.eps = eps;
    this.momentum = momentum;
    this.affine = affine;
    this.trackRunningStats = trackRunningStats;
    const tracked = <T>(make: () => T): T | null => (trackRunningStats ? make() : null);
    this.weight = this.parameter("weight", affine ? ones([numFeatures]) : null);
    this.bias = this.parameter("bias", affine ? zeros([numFeatures]) : null);
    this.runningMean = this.buffer(
      "running_mean",
      tracked(() => zeros([numFeatures])),
    );
    this.runningVar = this.buffer(
      "running_var",
      tracked(() => ones([numFeatures])),
      { check: checkVariance },
    );
    this.numBatchesTracked = this.buffer(
      "num_batches_tracked",
      tracked(() => full([], 0, { dtype: "int32" })),
      { mayBeMissing: true },
    );
  }

  forward(x: Tensor): Tensor {
    this.checkInput(x);
    const { training, weight, bias, momentum, eps, typeName: who } = this;
    const moves = training && isUpdatingStats();
    const seesRunning = !training || moves;
    const options = {
      runningMean: seesRunning ? this.runningMean : null,
      runningVar: seesRunning ? this.runningVar : null,
      weight,
      bias,
      useInputStats: training || !this.trackRunningStats,
      momentum,
      eps,
      counter: this.numBatchesTracked,
      who,
    };
    // From here on nothing can be refused: only now may the counter move. An empty batch is no batch.
    checkInstanceNorm(x, options);
    if (moves && this.numBatchesTracked !== null && x.size > 0) {
      x.backend.call("addToInt", { cell: this.numBatchesTracked.storage, amount: 1, condition: null });
    }
    return instanceNorm(x, options);
  }

  private checkInput(x: Tensor): void {
    const got = formatShape(x.shape);
    if (x.rank !== this.layout.length) {
      const wanted = [...this.layout].map((axis) => (axis === "C" ? this.numFeatures : axis)).join(", ");
      throw new ShapeError(
        `${this.typeName}: expected ${this.layout.length}D input (got ${x.rank}D input): expected [${wanted}], got ${got}.`,
      );
    }
    if (x.shape[1] !== this.numFeatures) {
      throw new ShapeError(
        `${this.typeName}: expected input's size at dim=1 to match num_features (${this.numFeatures}), but got: ${x.shape[1]} ` +
          `in ${got}. The layer was built with numFeatures = ${this.numFeatures}.`,
      );
    }
  }

  /** Puts running mean, variance and the counter back to 0, 1 and 0. */
  resetRunningStats(): void {
    if (this.runningMean !== null) init.zeros(this.runningMean);
    if (this.runningVar !== null) init.ones(this.runningVar);
    if (this.numBatchesTracked !== null) init.zeros(this.numBatchesTracked);
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
 * Normalizes each channel of each example: y = γ · (x − μ) / √(σ² + ε) + β, with γ and β of shape [C].
 *
 * μ and σ² (biased) are taken over the axes after the second, and gradients flow through both; what an example gives does not
 * depend on its batch, to the bit. Without `trackRunningStats` training and evaluation are the same. With it, training moves
 * the running values towards the average over the examples of mean and *unbiased* variance,
 * running ← (1 − momentum) · running + momentum · new, and evaluation normalizes with the running values instead.
 * An example whose statistics are not finite counts with the old running values; an empty batch changes nothing. Unlike
 * PyTorch, which has no cumulative average here, batches are counted.
 *
 * @param numFeatures channels C
 * @param options.eps added to the variance (default 1e-5); a larger one damps channels that hardly vary
 * @param options.momentum weight of the newest batch, 0 to 1, or null for the average of all batches (default 0.1)
 * @param options.affine whether there are γ and β (default false)
 * @param options.trackRunningStats whether running values are kept, and used in evaluation (default false)
 * Shapes: [N, C, L] → the same.
 * @throws OptionError if eps is negative; ShapeError if rank or C differ; TrainingError if a channel of an example has only one
 * value, unless running values are used. A failed call leaves the running values and the counter as they were.
 * @example
 * new nn.InstanceNorm1d(16).forward(uniform([4, 16, 100])).shape; // [4, 16, 100]
 * @see Ulyanov, Vedaldi & Lempitsky 2016, "Instance Normalization", https://arxiv.org/abs/1607.08022
 */
export class InstanceNorm1d extends InstanceNorm {
  protected readonly layout = "NCL";
}

/**
 * Instance normalization of images: InstanceNorm1d with statistics over height and width; options, modes and errors are the
 * same.
 *
 * Shapes: [N, C, H, W] → the same.
 * @example
 * new nn.InstanceNorm2d(3, { affine: true }).forward(uniform([2, 3, 32, 32])).shape; // [2, 3, 32, 32]
 */
export class InstanceNorm2d extends InstanceNorm {
  protected readonly layout = "NCHW";
}

/**
 * Instance normalization of volumes: InstanceNorm1d with statistics over depth, height and width; options, modes and errors are
 * the same.
 *
 * Shapes: [N, C, D, H, W] → the same.
 * @example
 * new nn.InstanceNorm3d(4).forward(uniform([2, 4, 3, 8, 8])).shape; // [2, 4, 3, 8, 8]
 */
export class InstanceNorm3d extends InstanceNorm {
  protected readonly layout = "NCDHW";
}
