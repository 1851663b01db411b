import { maxPool2d } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";
import { formatPair, type Pair, toPair } from "./options.js";

export interface MaxPool2dOptions {
  /** Distance between windows (default: kernelSize, so that they touch). */
  stride?: Pair;
  /** Places added on each side, which never win (default 0). */
  padding?: Pair;
}

/**
 * The largest value of each window of an image. The gradient goes to the first largest value.
 *
 * The same in training and evaluation.
 * @param kernelSize size of the window, one number or [height, width]
 * @param options.stride distance between windows (default kernelSize)
 * @param options.padding places added on each side (default 0), at most half of kernelSize
 * Shapes: [N, C, H, W] → [N, C, H', W'], H' = ⌊(H + 2·padding − kernelSize) / stride⌋ + 1.
 * @throws ShapeError if the input is no batch of images or smaller than the window
 * @example
 * new nn.MaxPool2d(2).forward(uniform([1, 6, 24, 24])).shape; // [1, 6, 12, 12]
 */
export class MaxPool2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];

  constructor(kernelSize: Pair, { stride = kernelSize, padding = 0 }: MaxPool2dOptions = {}) {
    super();
    this.kernelSize = toPair("MaxPool2d", "kernelSize", kernelSize);
    this.stride = toPair("MaxPool2d", "stride", stride);
    this.padding = toPair("MaxPool2d", "padding", padding, 0);
  }

  forward(x: Tensor): Tensor {
    const { kernelSize, stride, padding } = this;
    return maxPool2d(x, { kernelSize, stride, padding });
  }

  protected override describe(): string {
    const { kernelSize, stride, padding } = this;
    return `kernelSize = ${formatPair(kernelSize)}, stride = ${formatPair(stride)}, padding = ${formatPair(padding)}`;
  }
}
