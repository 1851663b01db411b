import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { conv3d } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { checkChannels, describeConvolution } from "./convolution.js";
import { layerDefault } from "./init.js";
import { Module } from "./module.js";
import { type Triple, toTriple } from "./options.js";

export interface Conv3dOptions {
  /** Distance between neighbouring windows (default 1). A larger stride gives a smaller volume. */
  stride?: Triple;
  /** Zeros added on each side (default 0). */
  padding?: Triple;
  /** Distance between neighbouring taps of the kernel (default 1). */
  dilation?: Triple;
  /** Parts into which the channels fall; each output sees one part of the input (default 1). */
  groups?: number;
  /** Whether a bias is added to each channel (default true). Before batch normalization it has no effect: leave it out there. */
  bias?: boolean;
}

/**
 * Convolution of volumes (cross-correlation, as everywhere in this field):
 * y[n, o] = b[o] + Σ over i, t, u, v of W[o, i, t, u, v] · x[n, i, shifted by (t, u, v)],
 * with W [outChannels, inChannels / groups, kernelDepth, kernelHeight, kernelWidth] and b [outChannels].
 *
 * The same in training and evaluation. W and b start uniform in ±1 / √(values that feed one output), as in PyTorch. Working
 * memory: about kernelDepth / stride times the input.
 *
 * @param kernelSize one number or [depth, height, width]
 * @param options.stride distance between windows (default 1); a larger one gives a smaller volume
 * @param options.padding zeros on each side (default 0)
 * @param options.dilation distance between taps (default 1); a larger one widens the window
 * @param options.groups parts of the channels that do not see each other (default 1)
 * @param options.bias whether b is added (default true)
 * Shapes: [N, inChannels, D, H, W] → [N, outChannels, D', H', W'],
 *   D' = ⌊(D + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, H' and W' alike.
 * @throws OptionError if groups does not divide both channel counts; ShapeError if the input does not fit
 * @example
 * new nn.Conv3d(1, 8, 3, { padding: 1 }).forward(uniform([2, 1, 8, 16, 16])).shape; // [2, 8, 8, 16, 16]
 */
export class Conv3d extends Module {
  readonly kernelSize: readonly [number, number, number];
  readonly stride: readonly [number, number, number];
  readonly padding: readonly [number, number, number];
  readonly dilation: readonly [number, number, number];
  readonly groups: number;
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Triple,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true }: Conv3dOptions = {},
  ) {
    super();
    checkChannels("Conv3d", inChannels, outChannels, groups);
    this.kernelSize = toTriple("Conv3d", "kernelSize", kernelSize);
    this.stride = toTriple("Conv3d", "stride", stride);
    this.padding = toTriple("Conv3d", "padding", padding, 0);
    this.dilation = toTriple("Conv3d", "dilation", dilation);
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
    if (x.rank !== 5 || x.shape[1] !== this.inChannels) {
      throw new ShapeError(
        `Conv3d: expected input [N, ${this.inChannels}, D, H, W], got ${formatShape(x.shape)}. ` +
          `The layer was built with inChannels = ${this.inChannels}.`,
      );
    }
    const { stride, padding, dilation, groups } = this;
    return conv3d(x, this.weight, this.bias, { stride, padding, dilation, groups });
  }

  protected override describe(): string {
    return describeConvolution(this);
  }
}
