import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/index.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Batches } from "./batches.js";
import { type RecalibrateOptions, type Recalibration, recalibrate } from "./recalibrate.js";
import { batchNormsOf } from "./select.js";

/** "swa": every state counts the same. "ema": the newest counts 1 − decay. */
export type AverageKind = { kind: "swa" } | { kind: "ema"; decay: number };

const write = (t: Tensor, values: ArrayLike<number>) => t.backend.write(t.storage, values);

/**
 * The average of a model's parameters over training, in float64, beside the model.
 *
 * Running statistics are not averaged: those of averaged weights are others than the average of those of the weights. `apply` takes
 * them anew from batches (see `recalibrate`), which is what makes averaged networks with batch normalization work.
 *
 * @example
 * const average = new WeightAverage(model, { kind: "ema", decay: 0.999 });
 * average.update(); // after each step, or each epoch
 * const { restore } = average.apply(trainBatches);
 * @throws OptionError if decay is not in [0, 1)
 * @see Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", algorithm 1; Polyak & Juditsky 1992
 */
export class WeightAverage {
  /** Updates so far. */
  count = 0;
  private readonly sums = new Map<string, Float64Array>();

  constructor(
    private readonly model: Module,
    private readonly options: AverageKind = { kind: "swa" },
  ) {
    const { kind } = options;
    if (kind !== "swa" && kind !== "ema")
      throw new OptionError(`WeightAverage: expected kind "swa" or "ema", got ${JSON.stringify(kind)}.`);
    if (options.kind === "ema" && !(options.decay >= 0 && options.decay < 1)) {
      throw new OptionError(`WeightAverage: expected decay from 0 to below 1, got ${options.decay}.`);
    }
  }

  /** Takes the parameters as they are into the average. The first update is the average. */
  update(): void {
    this.count++;
    const share = this.options.kind === "swa" ? 1 / this.count : this.count === 1 ? 1 : 1 - this.options.decay;
    for (const [key, p] of this.model.namedParameters()) {
      const values = p.data();
      const sum = this.sums.get(key) ?? new Float64Array(values.length);
      for (let i = 0; i < values.length; i++) sum[i] = sum[i]! + (values[i]! - sum[i]!) * share;
      this.sums.set(key, sum);
    }
  }

  /** The average by key, rounded to float32. @throws OptionError before the first update */
  get values(): Map<string, Float32Array> {
    if (this.count === 0) throw new OptionError("WeightAverage: expected at least one update, got none.");
    return new Map([...this.sums].map(([key, sum]) => [key, Float32Array.from(sum)]));
  }

  /**
   * Writes the average into the model, and takes its running statistics anew.
   *
   * @param batches inputs for the statistics; null only for models without batch normalization, or whose statistics are frozen
   * @returns `restore`, which puts parameters and statistics back as they were, and what became of the statistics
   * @throws OptionError if batches are needed and not given; nothing has changed then
   */
  apply(batches: Batches | null, options?: RecalibrateOptions): { restore: () => void; recalibration: Recalibration | null } {
    const needs = [...batchNormsOf(this.model).values()].some((m) => m.runningMean !== null && !m.frozen.stats);
    if (needs && batches === null) {
      throw new OptionError(
        "WeightAverage.apply: expected batches, since running statistics of averaged weights are to be taken anew.",
      );
    }
    const { values } = this;
    const tensors = [...this.model.parameters(), ...this.model.buffers()];
    const saved = tensors.map((t) => [t, t.data()] as const);
    const restore = () => {
      for (const [t, old] of saved) write(t, old);
    };
    try {
      for (const [key, p] of this.model.namedParameters()) write(p, values.get(key)!);
      return { restore, recalibration: needs ? recalibrate(this.model, batches!, options) : null };
    } catch (error) {
      restore();
      throw error;
    }
  }
}
