import { BatchNorm } from "./batch-norm-base.js";

export { BatchNorm } from "./batch-norm-base.js";
export type { BatchNormLayerOptions } from "./batch-norm-options.js";

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
