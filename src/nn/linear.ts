import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { linear } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { layerDefault } from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";

export interface LinearOptions {
  /** Whether b is added (default true). Before batch normalization it has no effect: leave it out there. */
  bias?: boolean;
}

/**
 * A dense layer: y = x·Wᵀ + b, with W [outFeatures, inFeatures] and b [outFeatures].
 *
 * The same in training and evaluation. W and b start uniform in ±1 / √inFeatures, as in PyTorch.
 *
 * @param inFeatures size of the last axis of the input
 * @param outFeatures size of the last axis of the output
 * @param options.bias whether b is added (default true)
 * Shapes: [..., inFeatures] → [..., outFeatures].
 * @throws ShapeError if the last axis is not inFeatures
 * @example
 * new nn.Linear(784, 64).forward(uniform([32, 784])).shape; // [32, 64]
 */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true }: LinearOptions = {},
  ) {
    super();
    checkInteger("Linear", "inFeatures", inFeatures);
    checkInteger("Linear", "outFeatures", outFeatures);
    const backend = currentBackend();
    this.weight = this.parameter("weight", Tensor.empty(backend, [outFeatures, inFeatures]));
    this.bias = this.parameter("bias", bias ? Tensor.empty(backend, [outFeatures]) : null);
    this.resetParameters();
  }

  /** Draws weight and bias anew. */
  resetParameters(): void {
    layerDefault(this.weight, this.bias);
  }

  forward(x: Tensor): Tensor {
    if (x.shape[x.rank - 1] !== this.inFeatures) {
      throw new ShapeError(
        `Linear: expected input [..., ${this.inFeatures}], got ${formatShape(x.shape)}. ` +
          `The layer was built with inFeatures = ${this.inFeatures}.`,
      );
    }
    return linear(x, this.weight, this.bias);
  }

  protected override describe(): string {
    return `inFeatures = ${this.inFeatures}, outFeatures = ${this.outFeatures}, bias = ${this.bias !== null}`;
  }
}
