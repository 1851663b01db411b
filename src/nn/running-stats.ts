import { full, ones, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import * as init from "./init.js";

/** Name of the set of running statistics that a layer starts with. */
export const DEFAULT_SET = "default";

/** One set of running statistics of a layer. */
export class RunningStats {
  /** [C], from 0. */
  readonly mean: Tensor;
  /** [C], from 1. */
  readonly variance: Tensor;
  /** Batches that moved the values, one int32. */
  readonly numBatches: Tensor;
  /** For each channel, how often its statistics were not finite and therefore kept out; int32 [C]. */
  readonly rejected: Tensor;

  constructor(channels: number) {
    this.mean = zeros([channels]);
    this.variance = ones([channels]);
    this.numBatches = full([], 0, { dtype: "int32" });
    this.rejected = full([channels], 0, { dtype: "int32" });
  }

  /** Puts mean, variance and both counters back to 0, 1 and 0. */
  reset(): void {
    init.zeros(this.mean);
    init.ones(this.variance);
    init.zeros(this.numBatches);
    init.zeros(this.rejected);
  }
}

/** What is wrong with variances that are to be loaded, or null. */
export function checkVariance(values: ArrayLike<number>): string | null {
  for (let c = 0; c < values.length; c++) {
    if (values[c]! < 0) return `expected variances of at least 0, got ${values[c]} for channel ${c}.`;
  }
  return null;
}

/** Keys of the buffers of a set of running statistics. */
export function setKeys(name: string) {
  const suffix = name === DEFAULT_SET ? "" : `@${name}`;
  return {
    mean: `running_mean${suffix}`,
    variance: `running_var${suffix}`,
    numBatches: `num_batches_tracked${suffix}`,
    rejected: `rejected${suffix}`,
  };
}
