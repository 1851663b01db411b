import { softmax } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Positive values that sum to 1 along an axis: y = eˣ / Σ eˣ.
 *
 * The same in training and evaluation. CrossEntropyLoss contains it already: give that the logits.
 * @param axis the axis along which the values sum to 1; negative axes count from the end
 * Shapes: any → the same.
 * @throws ShapeError if there is no such axis
 * @example
 * new nn.Softmax(1).forward(uniform([2, 3])).shape; // [2, 3]
 */
export class Softmax extends Module {
  constructor(readonly axis: number) {
    super();
  }

  forward(x: Tensor): Tensor {
    return softmax(x, this.axis);
  }

  protected override describe(): string {
    return `axis = ${this.axis}`;
  }
}
