import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { conv2d } from "../ops/conv.js";
import { weightStandardization } from "../ops/weight-standardization.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { Conv2d, type Conv2dOptions } from "./conv2d.js";
import type { Pair } from "./options.js";

export interface StdConv2dOptions extends Conv2dOptions {
  /** Added to the variance of the weights under the root, above 0 (default 1e-6); a larger one damps channels of small weights. */
  eps?: number;
}

/**
 * Convolution of images with standardized weights: Conv2d with ŵ = (w − μ) / √(σ² + ε) in place of W, where μ and σ² (biased)
 * are mean and variance of the inChannels / groups · kernelHeight · kernelWidth weights of each output channel.
 *
 * The same in training and evaluation: W itself is what is trained and saved, under Conv2d's keys, so weights of the one can be
 * loaded into the other. Gradients flow through μ and σ². It stands before a normalization that keeps batches out, such as
 * GroupNorm, and lets it train as batch normalization does.
 *
 * @param options.eps added to the variance, above 0 (default 1e-6); a larger one damps channels of small weights
 * @param options others are those of Conv2d, with the same defaults
 * Shapes: as Conv2d: [N, inChannels, H, W] → [N, outChannels, H', W'].
 * @throws OptionError if eps is not above 0 or an output channel has a single weight; ShapeError if the input does not fit
 * @example
 * new nn.StdConv2d(3, 16, 3, { padding: 1, bias: false }).forward(uniform([8, 3, 32, 32])).shape; // [8, 16, 32, 32]
 * @see Qiao et al. 2019, "Micro-batch training with batch-channel normalization and weight standardization", equations 5 to 7
 */
export class StdConv2d extends Conv2d {
  readonly eps: number;

  constructor(inChannels: number, outChannels: number, kernelSize: Pair, { eps = 1e-6, ...options }: StdConv2dOptions = {}) {
    super(inChannels, outChannels, kernelSize, options);
    if (!(eps > 0 && eps < Infinity)) throw new OptionError(`StdConv2d: expected eps above 0, got ${eps}.`);
    if (this.weight.size === outChannels) {
      throw new OptionError(
        `StdConv2d: expected more than 1 weight per output channel, got weights ${formatShape(this.weight.shape)}. ` +
          "A single weight standardizes to 0: use Conv2d.",
      );
    }
    this.eps = eps;
  }

  override forward(x: Tensor): Tensor {
    if (x.rank !== 4 || x.shape[1] !== this.inChannels) {
      throw new ShapeError(
        `${this.who}: expected input [N, ${this.inChannels}, H, W], got ${formatShape(x.shape)}. ` +
          `The layer was built with inChannels = ${this.inChannels}.`,
      );
    }
    const { weight, bias, eps, stride, padding, dilation, groups, who } = this;
    return tidy(() => {
      const standardized = weightStandardization(weight, { eps, who });
      return conv2d(x, standardized, bias, { stride, padding, dilation, groups });
    });
  }

  protected override describe(): string {
    return `${super.describe()}, eps = ${this.eps}`;
  }
}
