import { type CrossEntropyOptions, crossEntropy, type Reduction } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * How far logits are from the right classes: −log of the softmax at the label, averaged over the examples.
 *
 * The same in training and evaluation.
 * @param options.weight a weight for each class, [C], a buffer of the module (default: all 1)
 * @param options.labelSmoothing part of the target that is spread over all classes, 0 to 1 (default 0)
 * @param options.ignoreIndex targets with this value do not count (default −100)
 * @param options.reduction "mean", "sum" or "none" (default "mean")
 * Shapes: logits [N, C] or [N, C, …], labels [N] or [N, …] (Int32Array or int32 tensor) → [], or as the labels for "none".
 * @throws DataError if a label of an Int32Array is out of range
 * @example
 * new nn.CrossEntropyLoss().forward(uniform([2, 10]), Int32Array.of(3, 7)).shape; // []
 */
export class CrossEntropyLoss extends Module {
  readonly weight: Tensor | null;
  readonly labelSmoothing: number;
  readonly ignoreIndex: number;
  readonly reduction: Reduction;

  constructor({ weight, labelSmoothing = 0, ignoreIndex = -100, reduction = "mean" }: CrossEntropyOptions = {}) {
    super();
    this.weight = this.buffer("weight", weight ?? null);
    this.labelSmoothing = labelSmoothing;
    this.ignoreIndex = ignoreIndex;
    this.reduction = reduction;
  }

  forward(logits: Tensor, target: Int32Array | Tensor): Tensor {
    const { weight, labelSmoothing, ignoreIndex, reduction } = this;
    return crossEntropy(logits, target, { ...(weight && { weight }), labelSmoothing, ignoreIndex, reduction });
  }

  protected override describe(): string {
    return `labelSmoothing = ${this.labelSmoothing}, reduction = ${this.reduction}`;
  }
}
