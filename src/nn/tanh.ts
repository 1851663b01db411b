import { tanh } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Hyperbolic tangent: y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ), between −1 and 1.
 *
 * The same in training and evaluation.
 * Shapes: any → the same.
 * @example
 * new nn.Tanh().forward(uniform([2, 3])).shape; // [2, 3]
 */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x);
  }
}
