import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { checkIterNormOptions, defaultGroupSize, identity, iterNorm } from "../ops/iter-norm.js";
import { ones, zeros } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";
import { isUpdatingStats } from "./stats-update.js";

export interface IterNormLayerOptions {
  /** Channels d that are whitened together; divides numFeatures (default: all up to 64, else the largest divisor up to 64). */
  groupSize?: number;
  /** Newton's iterations, T in the paper (default 5). More come closer to uncorrelated outputs, at the price of noise. */
  iterations?: number;
  /** Added to the diagonal of the covariance, above 0 (default 1e-5); a larger one damps directions that hardly vary. */
  eps?: number;
  /** Weight of the newest batch in the running values, 0 to 1 (default 0.1); a larger one follows faster and is noisier. */
  momentum?: number;
  /** Whether there are a learned scale γ and shift β (default true). */
  affine?: boolean;
}

/**
 * Whitens groups of channels over the batch: y = γ · Σ^(−1/2) · (x − μ) + β, with the mean μ [d] and the covariance
 * Σ = (1/m) · (x − μ)(x − μ)ᵀ + ε·I [d, d] of the m values of each of a group's d channels, and γ and β of shape [C].
 * Σ^(−1/2) comes from T of Newton's iterations on Σ / tr Σ, from the identity on. Few iterations whiten the directions that vary
 * most and spare the others, whose estimates are noisy; groups of one channel give batch normalization.
 *
 * Training: μ and Σ are the batch's own, and gradients flow through both; the running mean and the running whitening matrix
 * Σ^(−1/2) move towards them: running ← (1 − momentum) · running + momentum · new. Evaluation: only the running values are
 * used, so that an example's output does not depend on the batch it comes in.
 * A group whose statistics are not finite does not enter the running values; an empty batch changes nothing.
 *
 * @param numFeatures channels C
 * @param options.groupSize channels that are whitened together (default: all up to 64, else the largest divisor of C up to 64)
 * @param options.iterations T (default 5); more come closer to uncorrelated outputs, at the price of noise
 * @param options.eps added to the diagonal of Σ, above 0 (default 1e-5); a larger one damps directions that hardly vary
 * @param options.momentum weight of the newest batch, 0 to 1 (default 0.1)
 * @param options.affine whether there are γ and β (default true)
 * Shapes: [N, C] or [N, C, …] → the same. State keys: weight, bias [C], running_mean [C / d, d, 1], running_wm [C / d, d, d].
 * @throws OptionError for an option that cannot be used; ShapeError if C differs; TrainingError if there is one value per channel
 * while training. A failed call leaves the running values as they were.
 * @example
 * const layer = new nn.IterNorm(16, { groupSize: 8 });
 * layer.forward(uniform([32, 16])); // moves layer.runningMean and layer.runningWm
 * layer.eval().forward(uniform([1, 16, 4, 4])).shape; // [1, 16, 4, 4]
 * @see Huang, Zhou, Zhu, Liu & Shao 2019, "Iterative normalization: beyond standardization towards efficient whitening"
 */
export class IterNorm extends Module {
  readonly groupSize: number;
  readonly iterations: number;
  readonly eps: number;
  /** May be changed between batches. */
  momentum: number;
  readonly affine: boolean;

  /** γ, [C], from 1. */
  readonly weight: Tensor | null;
  /** β, [C], from 0. */
  readonly bias: Tensor | null;
  /** [C / d, d, 1], from 0. */
  readonly runningMean: Tensor;
  /** [C / d, d, d], from the identity. */
  readonly runningWm: Tensor;

  constructor(
    readonly numFeatures: number,
    options: IterNormLayerOptions = {},
  ) {
    super();
    checkInteger("IterNorm", "numFeatures", numFeatures);
    checkIterNormOptions("IterNorm", numFeatures, options);
    const { groupSize = defaultGroupSize(numFeatures), iterations = 5, eps = 1e-5, momentum = 0.1, affine = true } = options;
    this.groupSize = groupSize;
    this.iterations = iterations;
    this.eps = eps;
    this.momentum = momentum;
    this.affine = affine;
    const groups = numFeatures / groupSize;
    this.weight = this.parameter("weight", affine ? ones([numFeatures]) : null);
    this.bias = this.parameter("bias", affine ? zeros([numFeatures]) : null);
    this.runningMean = this.buffer("running_mean", zeros([groups, groupSize, 1]));
    this.runningWm = this.buffer("running_wm", zeros([groups, groupSize, groupSize]));
    this.resetRunningStats();
  }

  /** Whether the batch's own statistics are used, as things are. */
  override get mixesExamples(): boolean {
    return this.training;
  }

  forward(x: Tensor): Tensor {
    const { numFeatures, training, weight, bias, groupSize, iterations, eps, momentum } = this;
    if (x.rank < 2 || x.shape[1] !== numFeatures) {
      throw new ShapeError(
        `${this.who}: expected input [N, ${numFeatures}] or [N, ${numFeatures}, …], got ${formatShape(x.shape)}. ` +
          `The layer was built with numFeatures = ${numFeatures}.`,
      );
    }
    const seesRunning = !training || isUpdatingStats();
    const runningMean = seesRunning ? this.runningMean : null;
    const runningWm = seesRunning ? this.runningWm : null;
    const options = { training, weight, bias, groupSize, iterations, eps, momentum, who: this.who };
    return iterNorm(x, { ...options, runningMean, runningWm });
  }

  /** Puts the running mean back to 0 and the running whitening matrix to the identity. */
  resetRunningStats(): void {
    const { runningMean, runningWm } = this;
    init.zeros(runningMean);
    tidy(() => {
      const unit = identity(runningWm, this.groupSize).expand(runningWm.shape);
      runningWm.backend.call("copy", { x: unit.storage, y: runningWm.storage, n: runningWm.size });
    });
  }

  /** Puts γ to 1, β to 0, and resets the running values. */
  resetParameters(): void {
    this.resetRunningStats();
    if (this.weight !== null) init.ones(this.weight);
    if (this.bias !== null) init.zeros(this.bias);
  }

  protected override describe(): string {
    const { numFeatures, groupSize, iterations, eps, momentum, affine } = this;
    return `${numFeatures}, groupSize = ${groupSize}, iterations = ${iterations}, eps = ${eps}, momentum = ${momentum}, affine = ${affine}`;
  }
}
