import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { conv1d } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { checkChannels, describeConvolution } from "./convolution.js";
import { layerDefault } from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";

export interface Conv1dOptions {
  /** Distance between neighbouring windows (default 1). A larger stride gives a shorter sequence. */
  stride?: number;
  /** Zeros added at each end (default 0). */
  padding?: number;
  /** Distance between neighbouring taps of the kernel (default 1). */
  dilation?: number;
  /** Parts into which the channels fall; each output sees one part of the input (default 1). */
  groups?: number;
  /** Whether a bias is added to each channel (default true). Before batch normalization it has no effect: leave it out there. */
  bias?: boolean;
}

/**
 * Convolution of sequences (cross-correlation, as everywhere in this field):
 * y[n, o, l] = b[o] + Σ over i, u of W[o, i, u] · x[n, i, l·stride − padding + u·dilation], where x is 0 beyond its ends,
 * with W [outChannels, inChannels / groups, kernelSize] and b [outChannels].
 *
 * The same in training and evaluation. W and b start uniform in ±1 / √(values that feed one output), as in PyTorch.
 *
 * @param kernelSize taps of the kernel
 * @param options.stride distance between windows (default 1); a larger one gives a shorter sequence
 * @param options.padding zeros at each end (default 0)
 * @param options.dilation distance between taps (default 1); a larger one widens the window
 * @param options.groups parts of the channels that do not see each other (default 1)
 * @param options.bias whether b is added (default true)
 * Shapes: [N, inChannels, L] → [N, outChannels, L'], L' = ⌊(L + 2·padding − dilation·(kernelSize − 1) − 1) / stride⌋ + 1.
 * @throws OptionError if groups does not divide both channel counts; ShapeError if the input does not fit
 * @example
 * new nn.Conv1d(3, 16, 5, { padding: 2 }).forward(uniform([8, 3, 100])).shape; // [8, 16, 100]
 */
export class Conv1d extends Module {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernelSize: number,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true }: Conv1dOptions = {},
  ) {
    super();
    checkChannels("Conv1d", inChannels, outChannels, groups);
    checkInteger("Conv1d", "kernelSize", kernelSize);
    checkInteger("Conv1d", "stride", stride);
    checkInteger("Conv1d", "padding", padding, 0);
    checkInteger("Conv1d", "dilation", dilation);
    this.stride = stride;
    this.padding = padding;
    this.dilation = dilation;
    this.groups = groups;
    const backend = currentBackend();
    this.weight = this.parameter("weight", Tensor.empty(backend, [outChannels, inChannels / groups, kernelSize]));
    this.bias = this.parameter("bias", bias ? Tensor.empty(backend, [outChannels]) : null);
    this.resetParameters();
  }

  /** Draws weight and bias anew. */
  resetParameters(): void {
    layerDefault(this.weight, this.bias);
  }

  forward(x: Tensor): Tensor {
    if (x.rank !== 3 || x.shape[1] !== this.inChannels) {
      throw new ShapeError(
        `Conv1d: expected input [N, ${this.inChannels}, L], got ${formatShape(x.shape)}. ` +
          `The layer was built with inChannels = ${this.inChannels}.`,
      );
    }
    const { stride, padding, dilation, groups } = this;
    return conv1d(x, this.weight, this.bias, { stride, padding, dilation, groups });
  }

  protected override describe(): string {
    return describeConvolution(this);
  }
}
