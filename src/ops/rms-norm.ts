import type { Tensor } from "../tensor/tensor.js";
import { checkRowNorm, lastAxes, normalizedShapeOf, rowNorm } from "./row-norm.js";

export interface RMSNormOptions {
  /** γ, of the normalized shape (default 1). */
  weight?: Tensor | null;
  /** Added to the mean square under the root; null (the default) is the machine epsilon of float32, 2⁻²³. */
  eps?: number | null;
  /** Who speaks in errors (default "rmsNorm"). */
  who?: string;
}

/**
 * Root mean square normalization: y = γ · x / √(mean(x²) + ε), with the mean of each example over the last axes, which are
 * `normalizedShape`. The mean of x stays in it, unlike in layer normalization.
 *
 * The same in training and evaluation.
 *
 * @param x [..., *normalizedShape]
 * @returns the same shape
 * @throws ShapeError if x does not end in `normalizedShape` or γ is not of it; OptionError if eps is negative
 * @see Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", https://arxiv.org/abs/1910.07467, equation 4
 */
export function rmsNorm(x: Tensor, normalizedShape: number | readonly number[], options: RMSNormOptions = {}): Tensor {
  const { weight, eps, who = "rmsNorm" } = options;
  const parameters = { weight, eps: eps ?? 2 ** -23, who };
  const shape = normalizedShapeOf(who, normalizedShape);
  checkRowNorm(x, parameters);
  return rowNorm("rmsNorm", x, lastAxes(x, shape, parameters), parameters);
}
