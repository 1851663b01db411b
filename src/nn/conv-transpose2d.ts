import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { checkOutputPadding } from "../ops/conv-transpose.js";
import { convTranspose2d } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { checkChannels, describeConvolution } from "./convolution.js";
import { layerDefault } from "./init.js";
import { Module } from "./module.js";
import { type Pair, toPair } from "./options.js";

export interface ConvTranspose2dOptions {
  /** Distance between the windows of neighbouring pixels (default 1). A larger stride gives a larger image. */
  stride?: Pair;
  /** Rows and columns cut off on each side of the output (default 0). */
  padding?: Pair;
  /** Rows and columns added at the bottom and on the right of the output, below the stride or the dilation (default 0). */
  outputPadding?: Pair;
  /** Parts into which the channels fall; each output sees one part of the input (default 1). */
  groups?: number;
  /** Whether a bias is added to each channel (default true). Before batch normalization it has no effect: leave it out there. */
  bias?: boolean;
  /** Distance between neighbouring taps of the kernel (default 1). */
  dilation?: Pair;
}

/**
 * Transposed convolution of images, which makes them larger: pixel (i, j) of channel c adds x[n, c, i, j] · W[c, o] to the
 * window of channel o that begins at (i, j) · stride − padding, and b[o] is added to all pixels; with
 * W [inChannels, outChannels / groups, kernelHeight, kernelWidth] and b [outChannels]. It is the transpose of `Conv2d` with
 * the same weight and options: Σ conv(x) · y = Σ x · convTranspose(y).
 *
 * The same in training and evaluation. As in PyTorch, W and b start uniform in ±1 / √(outChannels / groups · taps).
 *
 * @param kernelSize one number or [height, width]
 * @param options.stride distance between windows (default 1); a larger one gives a larger image
 * @param options.padding rows and columns cut off on each side (default 0)
 * @param options.outputPadding rows and columns added at the bottom and on the right (default 0): with stride s, s sizes of an
 *   image are convolved to the same size, and this says which of them comes back
 * @param options.groups parts of the channels that do not see each other (default 1)
 * @param options.bias whether b is added (default true)
 * @param options.dilation distance between taps (default 1); a larger one widens the window
 * Shapes: [N, inChannels, H, W] → [N, outChannels, H', W'],
 *   H' = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1.
 * @throws OptionError if groups does not divide both channel counts, or outputPadding is below neither stride nor dilation;
 *   ShapeError if the input does not fit or the output would be empty
 * @example
 * new nn.ConvTranspose2d(16, 3, 4, { stride: 2, padding: 1 }).forward(uniform([8, 16, 16, 16])).shape; // [8, 3, 32, 32]
 * @see Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", section 4
 */
export class ConvTranspose2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly outputPadding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Pair,
    { stride = 1, padding = 0, outputPadding = 0, groups = 1, bias = true, dilation = 1 }: ConvTranspose2dOptions = {},
  ) {
    super();
    checkChannels("ConvTranspose2d", inChannels, outChannels, groups);
    this.kernelSize = toPair("ConvTranspose2d", "kernelSize", kernelSize);
    this.stride = toPair("ConvTranspose2d", "stride", stride);
    this.padding = toPair("ConvTranspose2d", "padding", padding, 0);
    this.outputPadding = toPair("ConvTranspose2d", "outputPadding", outputPadding, 0);
    this.dilation = toPair("ConvTranspose2d", "dilation", dilation);
    this.groups = groups;
    checkOutputPadding("ConvTranspose2d", this.outputPadding, this.stride, this.dilation);
    const backend = currentBackend();
    this.weight = this.parameter("weight", Tensor.empty(backend, [inChannels, outChannels / groups, ...this.kernelSize]));
    this.bias = this.parameter("bias", bias ? Tensor.empty(backend, [outChannels]) : null);
    this.resetParameters();
  }

  /** Draws weight and bias anew. */
  resetParameters(): void {
    layerDefault(this.weight, this.bias);
  }

  forward(x: Tensor): Tensor {
    if (x.rank !== 4 || x.shape[1] !== this.inChannels) {
      throw new ShapeError(
        `ConvTranspose2d: expected input [N, ${this.inChannels}, H, W], got ${formatShape(x.shape)}. ` +
          `The layer was built with inChannels = ${this.inChannels}.`,
      );
    }
    const { stride, padding, outputPadding, dilation, groups } = this;
    return convTranspose2d(x, this.weight, this.bias, { stride, padding, outputPadding, dilation, groups });
  }

  protected override describe(): string {
    return describeConvolution(this);
  }
}
