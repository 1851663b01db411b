import { OptionError } from "../core/errors.js";
import { add } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * The sum of its inputs: y = x₁ + x₂ + …; where branches of a `Graph` meet.
 *
 * The same in training and evaluation. Shapes: any that can be broadcast → the broadcast shape.
 * @throws ShapeError if the inputs cannot be added
 * @example
 * new nn.Add().forward(uniform([2, 8]), uniform([2, 8])).shape; // [2, 8]
 */
export class Add extends Module {
  forward(...inputs: Tensor[]): Tensor {
    const [first, ...rest] = inputs;
    if (first === undefined) throw new OptionError("Add: expected at least one input, got none.");
    return rest.reduce((sum, x) => add(sum, x), first);
  }
}
