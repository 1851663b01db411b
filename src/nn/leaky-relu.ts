import { leakyRelu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Leaky rectified linear unit: y = x where x > 0, else negativeSlope · x.
 *
 * The same in training and evaluation.
 * @param negativeSlope slope left of 0 (default 0.01); 0 gives ReLU
 * Shapes: any → the same.
 * @example
 * new nn.LeakyReLU(0.1).forward(uniform([2, 3])).shape; // [2, 3]
 * @see Maas, Hannun, Ng 2013
 */
export class LeakyReLU extends Module {
  constructor(readonly negativeSlope = 0.01) {
    super();
  }

  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope);
  }

  protected override describe(): string {
    return `negativeSlope = ${this.negativeSlope}`;
  }
}
