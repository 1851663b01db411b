import type { Tensor } from "../tensor/tensor.js";

/** What all parts of a batch have in common: see BatchNorm.together. */
export interface BatchStatistics {
  /** The moments, γ and β, as far as there are any. */
  inputs: Tensor[];
  normalize(x: Tensor, inputs: readonly Tensor[]): Tensor;
}
