import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/** y = x, for any shape; a place holder where a module is expected. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}
