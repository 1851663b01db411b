import { OptionError, TrainingError } from "../core/errors.js";
import { sizeOf } from "../core/shape.js";
import type { BatchNormOptions } from "../ops/batch-norm-options.js";
import { cat } from "../ops/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import type { BatchNormLayerOptions } from "./batch-norm-options.js";
import { checkInteger } from "./options.js";

/**
 * Ghost batch normalization: in training each `ghostSize` neighbouring examples are normalized by statistics of their own,
 * y = γ · (x − μ_i) / √(σ_i² + ε) + β for the examples of ghost batch i, whatever the size of the batch, which keeps the noise
 * of small batches when batches are large.
 *
 * The running values move once for each ghost batch, in order (the paper's sum over ghost batches). The last ghost batch may
 * be smaller; with a single value per channel it joins the one before. Evaluation, state and options are those of BatchNorm1d.
 *
 * @param numFeatures channels C
 * @param ghostSize examples that share statistics; the smaller, the noisier
 * Shapes: [N, C] or [N, C, …] → the same.
 * @throws OptionError if ghostSize is no integer of at least 1; what BatchNorm1d throws
 * @example
 * new nn.GhostBatchNorm(8, 16).forward(uniform([64, 8])).shape; // [64, 8]
 * @see Hoffer, Hubara & Soudry 2017, "Train longer, generalize better", algorithm 1
 */
export class GhostBatchNorm extends BatchNorm {
  protected readonly layouts = ["NC", "NCL", "NCHW", "NCDHW"];

  constructor(
    numFeatures: number,
    readonly ghostSize: number,
    options: BatchNormLayerOptions = {},
  ) {
    super(numFeatures, options);
    checkInteger(this.typeName, "ghostSize", ghostSize);
  }

  protected override normalize(x: Tensor, extra: BatchNormOptions): Tensor {
    if (extra.mask) throw new OptionError(`${this.who}: takes no mask.`);
    const n = x.shape[0] ?? 0;
    if (!this.mixesExamples || n <= this.ghostSize) return super.normalize(x, extra);
    // What the first ghost batch passes, the others pass, too: all checks come before the first change.
    const ghosts = this.starts(n, sizeOf(x.shape.slice(2))).map((start, i, all) => x.slice(0, start, all[i + 1] ?? n));
    return cat(ghosts.map((ghost) => super.normalize(ghost, extra)));
  }

  /** Where the ghost batches of n examples with s values per channel each begin. */
  private starts(n: number, s: number): number[] {
    const starts = Array.from({ length: Math.ceil(n / this.ghostSize) }, (_, i) => i * this.ghostSize);
    if ((n - starts.at(-1)!) * s === 1 && starts.length > 1) starts.pop();
    return starts;
  }

  override together(): never {
    throw new TrainingError(`${this.who}: has no rule for parts of a batch: ghost batches depend on where the parts begin.`);
  }

  protected override describe(): string {
    return `${super.describe()}, ghostSize = ${this.ghostSize}`;
  }
}
