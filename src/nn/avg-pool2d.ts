import { avgPool2d } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";
import { formatPair, type Pair, toPair } from "./options.js";

export interface AvgPool2dOptions {
  /** Distance between windows (default: kernelSize, so that they touch). */
  stride?: Pair;
  /** Zeros added on each side (default 0). */
  padding?: Pair;
  /** Whether those zeros count in the mean (default true). */
  countIncludePad?: boolean;
}

/**
 * The mean of each window of an image.
 *
 * The same in training and evaluation.
 * @param kernelSize size of the window, one number or [height, width]
 * @param options.stride distance between windows (default kernelSize)
 * @param options.padding zeros on each side (default 0), at most half of kernelSize
 * @param options.countIncludePad whether those zeros count in the mean (default true)
 * Shapes: [N, C, H, W] → [N, C, H', W'], H' = ⌊(H + 2·padding − kernelSize) / stride⌋ + 1.
 * @throws ShapeError if the input is no batch of images or smaller than the window
 * @example
 * new nn.AvgPool2d(2).forward(uniform([1, 6, 24, 24])).shape; // [1, 6, 12, 12]
 */
export class AvgPool2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly countIncludePad: boolean;

  constructor(kernelSize: Pair, { stride = kernelSize, padding = 0, countIncludePad = true }: AvgPool2dOptions = {}) {
    super();
    this.kernelSize = toPair("AvgPool2d", "kernelSize", kernelSize);
    this.stride = toPair("AvgPool2d", "stride", stride);
    this.padding = toPair("AvgPool2d", "padding", padding, 0);
    this.countIncludePad = countIncludePad;
  }

  forward(x: Tensor): Tensor {
    const { kernelSize, stride, padding, countIncludePad } = this;
    return avgPool2d(x, { kernelSize, stride, padding, countIncludePad });
  }

  protected override describe(): string {
    const { kernelSize, stride, padding } = this;
    const text = `kernelSize = ${formatPair(kernelSize)}, stride = ${formatPair(stride)}, padding = ${formatPair(padding)}`;
    return this.countIncludePad ? text : `${text}, countIncludePad = false`;
  }
}
