// Normalization of each unit over the batch by another measure of spread than the standard deviation.
import { Module } from "../nn/module.js";
import { abs, maximum, slice } from "../ops/index.js";
import { ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";

const EPS = 1e-5;

/**
 * y = γ · (x − μ) / (spread + ε) + β with μ the mean of the batch, and as spread the mean ("l1") or the largest ("linf") of |x − μ|.
 * It keeps no running values: evaluation uses the batch's own as well.
 *
 * Shapes: [N, C] → [N, C].
 * @see Santurkar, Tsipras, Ilyas & Mądry 2018, section 3.3
 */
export class LpNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    width: number,
    private readonly p: "l1" | "linf",
  ) {
    super();
    this.weight = this.parameter("weight", ones([width]));
    this.bias = this.parameter("bias", zeros([width]));
  }

  forward(x: Tensor): Tensor {
    const centred = x.sub(x.mean(0, true));
    const sizes = abs(centred);
    const spread = this.p === "l1" ? sizes.mean(0, true) : largest(sizes);
    return centred.div(spread.add(EPS)).mul(this.weight).add(this.bias);
  }
}

/** Largest value of each column [N, C] → [1, C], by halves. */
function largest(x: Tensor): Tensor {
  let rest = x;
  while (rest.shape[0]! > 1) {
    const rows = rest.shape[0]!;
    const half = (rows + 1) >> 1;
    // With an odd number of rows the one in the middle meets itself.
    rest = maximum(slice(rest, 0, 0, half), slice(rest, 0, rows - half, rows));
  }
  return rest;
}
