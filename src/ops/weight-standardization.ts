import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat } from "./operand.js";

export interface WeightStandardizationOptions {
  /** Added to the variance under the root, above 0 (default 1e-6). */
  eps?: number;
  /** Who speaks in errors (default "weightStandardization"). */
  who?: string;
}

/**
 * Weight standardization: ŵ = (w − μ) / √(σ² + ε), with mean μ and biased variance σ² of the weights of each output channel.
 * Gradients flow through μ and σ², and can be differentiated again.
 *
 * @param weight [O, …], as of a convolution [O, C / groups, kH, kW] or a dense layer [O, in]
 * @returns the same shape
 * @throws ShapeError if an output channel has fewer than two weights; OptionError if eps is not above 0
 * @see Qiao et al. 2019, "Micro-batch training with batch-channel normalization and weight standardization", equations 5 to 7
 */
export function weightStandardization(weight: Tensor, options: WeightStandardizationOptions = {}): Tensor {
  const { eps = 1e-6, who = "weightStandardization" } = options;
  checkFloat(who, weight);
  if (weight.rank < 2 || sizeOf(weight.shape.slice(1)) < 2) {
    throw new ShapeError(
      `${who}: expected weight [O, …] with more than 1 weight per output channel, got ${formatShape(weight.shape)}. ` +
        "A single weight standardizes to 0: leave this layer as it is.",
    );
  }
  if (!(eps > 0 && eps < Infinity)) throw new OptionError(`${who}: expected eps above 0, got ${eps}.`);
  const axes = weight.shape.map((_, axis) => axis).slice(1);
  return tidy(() => {
    // In two steps, so that a mean that is rounded to 32 bits costs nothing.
    const rough = weight.sub(weight.mean(axes, true));
    const centred = rough.sub(rough.mean(axes, true));
    return centred.div(centred.square().mean(axes, true).add(eps).sqrt());
  });
}
