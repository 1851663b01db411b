import { formatShape, type Shape } from "../core/shape.js";
import { rmsNorm } from "../ops/rms-norm.js";
import { checkEps, normalizedShapeOf } from "../ops/row-norm.js";
import { ones } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";

export interface RMSNormLayerOptions {
  /**
   * Added to the mean square under the root; a larger one damps small examples. null (the default) is the machine epsilon of
   * float32, 2⁻²³.
   */
  eps?: number | null;
  /** Whether there is a learned scale γ, one value for every normalized position (default true). */
  elementwiseAffine?: boolean;
}

/**
 * Divides each example by its root mean square over the last axes: y = γ · x / √(mean(x²) + ε), with γ of shape
 * `normalizedShape`.
 *
 * The same in training and evaluation, and for an example alone as in any batch, to the bit. Unlike LayerNorm it neither takes
 * the mean out nor adds a shift: scaling an example changes nothing but for ε, adding a constant does.
 *
 * @param normalizedShape sizes of the last axes, over which is normalized; a number stands for one axis
 * @param options.eps added to the mean square (default null: 2⁻²³, the machine epsilon of float32)
 * @param options.elementwiseAffine whether there is a γ (default true)
 * Shapes: [..., *normalizedShape] → the same.
 * @throws ShapeError if the input does not end in `normalizedShape`; OptionError if eps is negative
 * @example
 * new nn.RMSNorm(64).forward(uniform([8, 10, 64])).shape; // [8, 10, 64]
 * @see Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", https://arxiv.org/abs/1910.07467
 */
export class RMSNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number | null;
  readonly elementwiseAffine: boolean;
  /** γ, of the normalized shape, from 1. */
  readonly weight: Tensor | null;

  constructor(normalizedShape: number | readonly number[], options: RMSNormLayerOptions = {}) {
    super();
    const { eps = null, elementwiseAffine = true } = options;
    this.normalizedShape = normalizedShapeOf(this.typeName, normalizedShape);
    if (eps !== null) checkEps(this.typeName, eps);
    this.eps = eps;
    this.elementwiseAffine = elementwiseAffine;
    this.weight = this.parameter("weight", elementwiseAffine ? ones(this.normalizedShape) : null);
  }

  forward(x: Tensor): Tensor {
    const { weight, eps, typeName: who } = this;
    return rmsNorm(x, this.normalizedShape, { weight, eps, who });
  }

  /** Puts γ to 1. */
  resetParameters(): void {
    if (this.weight !== null) init.ones(this.weight);
  }

  protected override describe(): string {
    const { normalizedShape, eps, elementwiseAffine } = this;
    return `${formatShape(normalizedShape)}, eps = ${eps}, elementwiseAffine = ${elementwiseAffine}`;
  }
}
