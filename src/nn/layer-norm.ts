import { formatShape, type Shape } from "../core/shape.js";
import { layerNorm } from "../ops/layer-norm.js";
import { checkEps, normalizedShapeOf } from "../ops/row-norm.js";
import { ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";

export interface LayerNormLayerOptions {
  /** Added to the variance under the root (default 1e-5); a larger one damps examples that hardly vary. */
  eps?: number;
  /** Whether there are a learned scale γ and shift β, one value of each for every normalized position (default true). */
  elementwiseAffine?: boolean;
  /** Whether there is a β, if there is a γ (default true). */
  bias?: boolean;
}

/**
 * Normalizes each example over its last axes: y = γ · (x − μ) / √(σ² + ε) + β, with γ and β of shape `normalizedShape`.
 *
 * The same in training and evaluation, and for an example alone as in any batch, to the bit: μ and σ² (biased) are the
 * example's own, and gradients flow through both. Adding a constant to an example changes nothing, nor does scaling it but for
 * ε. A constant example gives exactly β.
 *
 * @param normalizedShape sizes of the last axes, over which is normalized; a number stands for one axis
 * @param options.eps added to the variance (default 1e-5); a larger one damps examples that hardly vary
 * @param options.elementwiseAffine whether there are γ and β (default true)
 * @param options.bias whether there is a β beside γ (default true)
 * Shapes: [..., *normalizedShape] → the same.
 * @throws ShapeError if the input does not end in `normalizedShape`; OptionError if eps is negative
 * @example
 * new nn.LayerNorm(64).forward(uniform([8, 10, 64])).shape; // [8, 10, 64]
 * new nn.LayerNorm([3, 4]).forward(uniform([8, 3, 4])).shape; // [8, 3, 4]
 * @see Ba, Kiros & Hinton 2016, "Layer Normalization", https://arxiv.org/abs/1607.06450
 */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  readonly elementwiseAffine: boolean;
  /** γ, of the normalized shape, from 1. */
  readonly weight: Tensor | null;
  /** β, of the normalized shape, from 0. */
  readonly bias: Tensor | null;

  constructor(normalizedShape: number | readonly number[], options: LayerNormLayerOptions = {}) {
    super();
    const { eps = 1e-5, elementwiseAffine = true, bias = true } = options;
    this.normalizedShape = normalizedShapeOf(this.typeName, normalizedShape);
    checkEps(this.typeName, eps);
    this.eps = eps;
    this.elementwiseAffine = elementwiseAffine;
    this.weight = this.parameter("weight", elementwiseAffine ? ones(this.normalizedShape) : null);
    this.bias = this.parameter("bias", elementwiseAffine && bias ? zeros(this.normalizedShape) : null);
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, eps, typeName: who } = this;
    return layerNorm(x, this.normalizedShape, { weight, bias, eps, who });
  }

  /** Puts γ to 1 and β to 0. */
  resetParameters(): void {
    if (this.weight !== null) init.ones(this.weight);
    if (this.bias !== null) init.zeros(this.bias);
  }

  protected override describe(): string {
    const { normalizedShape, eps, elementwiseAffine, bias } = this;
    return `${formatShape(normalizedShape)}, eps = ${eps}, elementwiseAffine = ${elementwiseAffine}, bias = ${bias !== null}`;
  }
}
