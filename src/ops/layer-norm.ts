import type { Tensor } from "../tensor/tensor.js";
import { checkRowNorm, lastAxes, normalizedShapeOf, rowNorm } from "./row-norm.js";

export interface LayerNormOptions {
  /** γ, of the normalized shape (default 1). */
  weight?: Tensor | null;
  /** β, of the normalized shape (default 0). */
  bias?: Tensor | null;
  /** Added to the variance under the root (default 1e-5). */
  eps?: number;
  /** Who speaks in errors (default "layerNorm"). */
  who?: string;
}

/**
 * Layer normalization: y = γ · (x − μ) / √(σ² + ε) + β, with the mean μ and the biased variance σ² of each example over the
 * last axes, which are `normalizedShape`.
 *
 * A constant example gives exactly β. The same in training and evaluation.
 *
 * @param x [..., *normalizedShape]
 * @returns the same shape
 * @throws ShapeError if x does not end in `normalizedShape` or a parameter is not of it; OptionError if eps is negative
 * @see Ba, Kiros & Hinton 2016, "Layer Normalization", https://arxiv.org/abs/1607.06450, equations 3 and 4
 */
export function layerNorm(x: Tensor, normalizedShape: number | readonly number[], options: LayerNormOptions = {}): Tensor {
  const { weight, bias, eps = 1e-5, who = "layerNorm" } = options;
  const parameters = { weight, bias, eps, who };
  const shape = normalizedShapeOf(who, normalizedShape);
  checkRowNorm(x, parameters);
  return rowNorm("layerNorm", x, lastAxes(x, shape, parameters), parameters);
}
