import { silu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Sigmoid linear unit (swish): y = x / (1 + e⁻ˣ).
 *
 * The same in training and evaluation.
 * Shapes: any → the same.
 * @example
 * new nn.SiLU().forward(uniform([2, 3])).shape; // [2, 3]
 * @see Hendrycks & Gimpel 2016, arXiv:1606.08415
 */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x);
  }
}
