import { gelu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Gaussian error linear unit, the exact form: y = x·Φ(x), Φ the distribution function of the standard normal.
 *
 * The same in training and evaluation.
 * Shapes: any → the same.
 * @example
 * new nn.GELU().forward(uniform([2, 3])).shape; // [2, 3]
 * @see Hendrycks & Gimpel 2016, arXiv:1606.08415
 */
export class GELU extends Module {
  forward(x: Tensor): Tensor {
    return gelu(x);
  }
}
