import { adaptiveAvgPool2d } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";
import { formatPair, type Pair, toPair } from "./options.js";

/**
 * Means over windows chosen so that the output has a given size: window i covers rows ⌊i·H/H'⌋ to ⌈(i + 1)·H/H'⌉ − 1.
 *
 * The same in training and evaluation. Size 1 gives the mean of each channel ("global average pooling").
 * @param outputSize [H', W'] or one number for both
 * Shapes: [N, C, H, W] → [N, C, H', W'].
 * @throws ShapeError if the input is no batch of images
 * @example
 * new nn.AdaptiveAvgPool2d(1).forward(uniform([8, 64, 7, 5])).shape; // [8, 64, 1, 1]
 */
export class AdaptiveAvgPool2d extends Module {
  readonly outputSize: readonly [number, number];

  constructor(outputSize: Pair) {
    super();
    this.outputSize = toPair("AdaptiveAvgPool2d", "outputSize", outputSize);
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }

  protected override describe(): string {
    return `outputSize = ${formatPair(this.outputSize)}`;
  }
}
