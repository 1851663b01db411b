// Batch normalization followed by a shift that is drawn anew in every step, so that what comes out is never the same twice.
import { BatchNorm1d } from "../nn/batch-norm.js";
import { Module } from "../nn/module.js";
import { normal, uniform } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";

/** Ranges of what is drawn for each unit in each step. */
export interface NoiseLimits {
  /** Mean from −mean to mean. */
  mean: number;
  /** Standard deviation factor from 1 to scale. */
  scale: number;
  /** Within a step examples differ from the unit's mean by up to this, and from its factor with this standard deviation. */
  within: number;
}

/**
 * y = s ⊙ BN(x) + m. For each unit μ ~ U(−mean, mean) and σ ~ U(1, scale) are drawn in every step, and for each example
 * m ~ U(μ − within, μ + within), s ~ N(σ, within²). In evaluation mode there is no noise.
 *
 * Shapes: [N, C] → [N, C].
 * @see Santurkar, Tsipras, Ilyas & Mądry 2018, section 2.2
 */
export class NoisyBatchNorm extends Module {
  readonly norm: BatchNorm1d;

  constructor(
    private readonly width: number,
    private readonly limits: NoiseLimits,
  ) {
    super();
    this.norm = this.child("norm", new BatchNorm1d(width));
  }

  forward(x: Tensor): Tensor {
    const y = this.norm.call(x);
    if (!this.training) return y;
    const { mean, scale, within } = this.limits;
    const unit = [1, this.width];
    const centre = uniform(unit, -mean, mean);
    const spread = uniform(unit, 1, scale);
    const shift = uniform(x.shape, -within, within).add(centre);
    const factor = normal(x.shape, 0, within).add(spread);
    return y.mul(factor).add(shift);
  }
}
