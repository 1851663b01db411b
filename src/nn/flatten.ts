import { flatten } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Joins all axes from `startAxis` on, as between convolutions and a dense layer. The same in training and evaluation.
 *
 * @param startAxis the first of the axes that are joined (default 1: all but the batch)
 * Shapes: [N, C, H, W] → [N, C·H·W].
 * @example
 * new nn.Flatten().forward(uniform([2, 16, 4, 4])).shape; // [2, 256]
 */
export class Flatten extends Module {
  constructor(readonly startAxis = 1) {
    super();
  }

  forward(x: Tensor): Tensor {
    return flatten(x, this.startAxis);
  }

  protected override describe(): string {
    return `startAxis = ${this.startAxis}`;
  }
}
