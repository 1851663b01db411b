import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { groupNorm } from "../ops/group-norm.js";
import { checkEps } from "../ops/row-norm.js";
import { ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";

export interface GroupNormLayerOptions {
  /** Added to the variance under the root (default 1e-5); a larger one damps groups that hardly vary. */
  eps?: number;
  /** Whether there are a learned scale γ and shift β for each channel (default true). */
  affine?: boolean;
}

/**
 * Normalizes groups of channels of each example: y = γ · (x − μ) / √(σ² + ε) + β, with γ and β of shape [C].
 *
 * The same in training and evaluation, and for an example alone as in any batch, to the bit: μ and σ² (biased) are taken over
 * the C / numGroups neighbouring channels of a group and all further axes, and gradients flow through both. One group is
 * layer normalization over all of an example (with γ and β by channel), C groups are instance normalization.
 *
 * @param numGroups number of groups; more of them leave fewer values to each
 * @param numChannels channels C, a multiple of `numGroups`
 * @param options.eps added to the variance (default 1e-5); a larger one damps groups that hardly vary
 * @param options.affine whether there are γ and β (default true)
 * Shapes: [N, C] or [N, C, …] → the same.
 * @throws OptionError if `numGroups` does not divide `numChannels` or eps is negative; ShapeError if C differs; TrainingError,
 * as PyTorch in both modes, for a single example with one value in each group
 * @example
 * new nn.GroupNorm(4, 16).forward(uniform([2, 16, 8, 8])).shape; // [2, 16, 8, 8]
 * @see Wu & He 2018, "Group Normalization", https://arxiv.org/abs/1803.08494
 */
export class GroupNorm extends Module {
  readonly eps: number;
  readonly affine: boolean;
  /** γ, [C], from 1. */
  readonly weight: Tensor | null;
  /** β, [C], from 0. */
  readonly bias: Tensor | null;

  constructor(
    readonly numGroups: number,
    readonly numChannels: number,
    { eps = 1e-5, affine = true }: GroupNormLayerOptions = {},
  ) {
    super();
    checkInteger(this.typeName, "numGroups", numGroups);
    checkInteger(this.typeName, "numChannels", numChannels);
    if (numChannels % numGroups !== 0) {
      throw new OptionError(`${this.typeName}: num_channels (${numChannels}) must be divisible by num_groups (${numGroups}).`);
    }
    checkEps(this.typeName, eps);
    this.eps = eps;
    this.affine = affine;
    this.weight = this.parameter("weight", affine ? ones([numChannels]) : null);
    this.bias = this.parameter("bias", affine ? zeros([numChannels]) : null);
  }

  forward(x: Tensor): Tensor {
    if (x.rank >= 2 && x.shape[1] !== this.numChannels) {
      throw new ShapeError(
        `${this.typeName}: expected input [N, ${this.numChannels}, …], got ${formatShape(x.shape)}. ` +
          `The layer was built with numChannels = ${this.numChannels}.`,
      );
    }
    const { weight, bias, eps, typeName: who } = this;
    return groupNorm(x, this.numGroups, { weight, bias, eps, who });
  }

  /** Puts γ to 1 and β to 0. */
  resetParameters(): void {
    if (this.weight !== null) init.ones(this.weight);
    if (this.bias !== null) init.zeros(this.bias);
  }

  protected override describe(): string {
    return `${this.numGroups}, ${this.numChannels}, eps = ${this.eps}, affine = ${this.affine}`;
  }
}
