import { sigmoid } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Logistic function: y = 1 / (1 + e⁻ˣ), between 0 and 1.
 *
 * The same in training and evaluation.
 * Shapes: any → the same.
 * @example
 * new nn.Sigmoid().forward(uniform([2, 3])).shape; // [2, 3]
 */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}
