import { mseLoss, type Reduction } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Squared error: (x − target)², averaged over all values.
 *
 * The same in training and evaluation.
 * @param options.reduction "mean", "sum" or "none" (default "mean")
 * Shapes: two of the same shape → [], or that shape for "none".
 * @throws ShapeError if the shapes differ
 * @example
 * new nn.MSELoss().forward(uniform([4, 3]), uniform([4, 3])).shape; // []
 */
export class MSELoss extends Module {
  readonly reduction: Reduction;

  constructor({ reduction = "mean" }: { reduction?: Reduction } = {}) {
    super();
    this.reduction = reduction;
  }

  forward(x: Tensor, target: Tensor): Tensor {
    return mseLoss(x, target, { reduction: this.reduction });
  }

  protected override describe(): string {
    return `reduction = ${this.reduction}`;
  }
}
