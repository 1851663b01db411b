import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { conv2d } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { checkChannels, describeConvolution } from "./convolution.js";
import { layerDefault } from "./init.js";
import { Module } from "./module.js";
import { type Pair, toPair } from "./options.js";

export interface Conv2dOptions {
  /** Distance between neighbouring windows (default 1). A larger stride gives a smaller image. */
  stride?: Pair;
  /** Zeros added on each side (default 0). */
  padding?: Pair;
  /** Distance between neighbouring taps of the kernel (default 1). */
  dilation?: Pair;
  /** Parts into which the channels fall; each output sees one part of the input (default 1). */
  groups?: number;
  /** Whether a bias is added to each channel (default true). Before batch normalization it has no effect: leave it out there. */
  bias?: boolean;
}

/**
 * Convolution of images (cross-correlation, as everywhere in this field):
 * y[n, o] = b[o] + Σ over i, u, v of W[o, i, u, v] · x[n, i, shifted by (u, v)],
 * with W [outChannels, inChannels / groups, kernelHeight, kernelWidth] and b [outChannels].
 *
 * The same in training and evaluation. W and b start uniform in ±1 / √(values that feed one output), as in PyTorch.
 *
 * @param kernelSize one number or [height, width]
 * @param options.stride distance between windows (default 1)
 * @param options.padding zeros on each side (default 0)
 * @param options.dilation distance between taps (default 1)
 * @param options.groups parts of the channels that do not see each other (default 1)
 * @param options.bias whether b is added (default true)
 * Shapes: [N, inChannels, H, W] → [N, outChannels, H', W'], H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
 * @throws OptionError if groups does not divide both channel counts; ShapeError if the input does not fit
 * @example
 * new nn.Conv2d(3, 16, 3, { padding: 1 }).forward(uniform([8, 3, 32, 32])).shape; // [8, 16, 32, 32]
 */
export class Conv2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Pair,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true }: Conv2dOptions = {},
  ) {
    super();
    checkChannels("Conv2d", inChannels, outChannels, groups);
    this.kernelSize = toPair("Conv2d", "kernelSize", kernelSize);
    this.stride = toPair("Conv2d", "stride", stride);
    this.padding = toPair("Conv2d", "padding", padding, 0);
    this.dilation = toPair("Conv2d", "dilation", dilation);
    this.groups = groups;
    const backend = currentBackend();
    this.weight = this.parameter("weight", Tensor.empty(backend, [outChannels, inChannels / groups, ...this.kernelSize]));
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
        `Conv2d: expected input [N, ${this.inChannels}, H, W], got ${formatShape(x.shape)}. ` +
          `The layer was built with inChannels = ${this.inChannels}.`,
      );
    }
    const { stride, padding, dilation, groups } = this;
    return conv2d(x, this.weight, this.bias, { stride, padding, dilation, groups });
  }

  protected override describe(): string {
    return describeConvolution(this);
  }
}
