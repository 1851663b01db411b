import { cat } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Its inputs side by side along one axis; where branches of a `Graph` meet, as in DenseNet.
 *
 * The same in training and evaluation.
 *
 * @param axis along which the inputs lie side by side (default 1, the channels)
 * Shapes: equal but for `axis` → the same with the sum of the sizes there.
 * @throws ShapeError if the inputs do not fit together
 * @example
 * new nn.Concat().forward(uniform([2, 8, 4, 4]), uniform([2, 3, 4, 4])).shape; // [2, 11, 4, 4]
 */
export class Concat extends Module {
  constructor(readonly axis = 1) {
    super();
  }

  forward(...inputs: Tensor[]): Tensor {
    return cat(inputs, this.axis);
  }

  protected override describe(): string {
    return `axis = ${this.axis}`;
  }
}
