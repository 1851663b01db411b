import { relu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Rectified linear unit: y = max(x, 0). Its derivative at 0 is taken as 0.
 *
 * The same in training and evaluation.
 * Shapes: any → the same.
 * @example
 * new nn.ReLU().forward(uniform([2, 3])).shape; // [2, 3]
 * @see Nair & Hinton 2010
 */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}
