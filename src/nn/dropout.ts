import { OptionError } from "../core/errors.js";
import { dropout } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Training: each value becomes 0 with probability p and is divided by 1 − p otherwise, so that its mean stays what it was.
 * Evaluation: y = x.
 *
 * The variance is not what it was: dropout before batch normalization makes the running variance too large.
 *
 * @param p probability of 0, 0 ≤ p < 1 (default 0.5); a larger p regularizes more
 * Shapes: any → the same.
 * @throws OptionError if p is out of range
 * @example
 * new nn.Dropout(0.2).eval().forward(uniform([4, 8])).shape; // [4, 8]
 * @see Srivastava et al. 2014; on the variance, Li et al. 2018, arXiv:1801.05134
 */
export class Dropout extends Module {
  constructor(readonly p = 0.5) {
    super();
    if (!(p >= 0 && p < 1)) throw new OptionError(`Dropout: expected a probability p with 0 <= p < 1, got ${p}.`);
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }

  protected override describe(): string {
    return `p = ${this.p}`;
  }
}
