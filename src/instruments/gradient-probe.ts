import { listenToGradient } from "../autograd/gradient-listeners.js";
import { isRecording } from "../autograd/mode.js";
import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { isMeasuring } from "./measure.js";
import { type Moments, momentsOf } from "./moments.js";
import { normOf } from "./vectors.js";

/** What a gradient is like; mean, std, skewness and kurtosis only with `distribution`. */
export type GradientSummary = Pick<Moments, "size" | "norm" | "rms"> & Partial<Moments>;

/** One backward pass through the module. */
export interface GradientRecord {
  /** Which run of the module it belongs to: the number of earlier runs whose output required grad. */
  pass: number;
  /** Gradient of the loss towards the module's output; null if none came by. */
  output: GradientSummary | null;
  /** Gradient towards its first input, along all ways from there to the loss; null if the input needs none. */
  input: GradientSummary | null;
}

export interface GradientProbeOptions {
  /** Looks at every k-th run of the module, from the first on (default 1). */
  every?: number;
  /** Whether mean, std, skewness and kurtosis are taken beside the norm (default false). */
  distribution?: boolean;
}

/**
 * Sits on a module and notes, in each backward pass, the norm of the gradient towards its output and its input (and how it is
 * distributed, if asked for). Forward and backward keep their bits.
 *
 * An input that is also used elsewhere, such as that of a residual branch, has one gradient: the sum over all its ways to the loss.
 * The first layer's input has none, unless it requires grad. What instruments run on their own is not noted.
 *
 * Cost: one reading of each gradient, which waits for what is pending; with `distribution` some five, and memory for two copies of
 * a gradient. A recorded step runs as it is while a probe sits anywhere in it, and batch normalization and ReLU separately: detach
 * the probe between samples of a long run.
 *
 * @throws OptionError if `every` is no integer of at least 1; RecordingError in a recorded step
 * @example
 * const probe = new GradientProbe(model.at(3));
 * nn.crossEntropy(model.call(x), labels).backward();
 * probe.last?.output?.norm;
 * probe.detach();
 */
export class GradientProbe {
  /** All that was noted, oldest first. */
  readonly records: GradientRecord[] = [];
  private readonly every: number;
  private readonly isDistribution: boolean;
  private passes = 0;
  private isAttached = true;
  private readonly removeHook: () => void;

  constructor(
    readonly module: Module,
    { every = 1, distribution = false }: GradientProbeOptions = {},
  ) {
    if (!Number.isSafeInteger(every) || every < 1) {
      throw new OptionError(`GradientProbe: expected every to be an integer of at least 1, got ${every}.`);
    }
    this.every = every;
    this.isDistribution = distribution;
    this.removeHook = module.registerForwardHook((_, [input], output) => this.watch(input, output));
  }

  /** The latest record, or null. */
  get last(): GradientRecord | null {
    return this.records.at(-1) ?? null;
  }

  /** Forgets all records. */
  clear(): void {
    this.records.length = 0;
  }

  /** Takes the probe off the module; its records stay. Harmless when repeated. */
  detach(): void {
    this.isAttached = false;
    this.removeHook();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  private watch(input: Tensor | undefined, output: Tensor): void {
    if (isMeasuring() || !isRecording() || !output.requiresGrad) return;
    const pass = this.passes++;
    if (pass % this.every !== 0) return;
    let record: GradientRecord | null = null;
    const note = (place: "output" | "input", gradient: Tensor) => {
      if (!this.isAttached || isMeasuring()) return;
      // A second backward pass over the same graph is a record of its own.
      if (record === null || record[place] !== null) {
        record = { pass, output: null, input: null };
        this.records.push(record);
      }
      record[place] = this.summarize(gradient);
    };
    listenToGradient(output, (gradient) => note("output", gradient));
    if (input?.requiresGrad) listenToGradient(input, (gradient) => note("input", gradient));
  }

  private summarize(gradient: Tensor): GradientSummary {
    if (this.isDistribution) return momentsOf([gradient]);
    const norm = normOf([gradient]);
    return { size: gradient.size, norm, rms: norm / Math.sqrt(gradient.size) };
  }
}
