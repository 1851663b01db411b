import { noGrad } from "../autograd/mode.js";
import { OptionError } from "../core/errors.js";
import { refuseInStep } from "../engine/recorder.js";
import type { BatchNormOptions } from "../ops/batch-norm-options.js";
import { maximum, minimum } from "../ops/binary.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import type { BatchNormLayerOptions } from "./batch-norm-options.js";

/** A limit, or what gives it for the number of batches so far (0 at the first). */
export type RenormLimit = number | ((batch: number) => number);

export interface BatchRenormOptions extends BatchNormLayerOptions {
  /** Most that the scale may be corrected by, at least 1; 1 does not correct (default: the paper's schedule). */
  rMax?: RenormLimit;
  /** Most that the mean may be corrected by, in standard deviations, at least 0; 0 does not correct (default: the paper's schedule). */
  dMax?: RenormLimit;
}

/** `from` until batch `start`, then in a straight line to `to` at batch `end`. */
export function ramp(from: number, to: number, start: number, end: number): (batch: number) => number {
  return (batch) => from + (to - from) * Math.min(1, Math.max(0, (batch - start) / (end - start)));
}

/** The schedule of the paper, section 4.1. */
export const paperLimits = { rMax: ramp(1, 3, 5_000, 40_000), dMax: ramp(0, 5, 5_000, 25_000) } as const;

/**
 * Batch renormalization: in training, too, outputs are those of the running values, as far as the limits allow:
 * y = γ · ((x − μ_B) / σ_B · r + d) + β with r = clip(σ_B / σ, 1/rMax, rMax), d = clip((μ_B − μ) / σ, −dMax, dMax), where
 * μ_B, σ_B are the batch's and μ, σ the running values before it. r and d are constants in the backward pass. For small or
 * dependent batches, with which training and evaluation of batch normalization differ.
 *
 * With rMax = 1, dMax = 0 it is batch normalization; without limits y is exactly that of the running values. Evaluation, state
 * keys and the other options are those of BatchNorm1d. The running values average variances (the paper: standard deviations),
 * so that a state can be exchanged with BatchNorm.
 *
 * @param options.rMax, options.dMax limits, or functions of the number of batches; default the paper's: 1 and 0 for 5,000
 * batches, then growing to 3 at 40,000 and 5 at 25,000
 * Shapes: [N, C] or [N, C, …] → the same.
 * @throws OptionError if rMax is below 1, dMax below 0, or no running values are kept
 * @example
 * const bn = new nn.BatchRenorm(8, { rMax: 3, dMax: 5 });
 * bn.forward(uniform([4, 8])).shape; // [4, 8]
 * @see Ioffe 2017, "Batch renormalization", algorithm 1 and section 4.1
 */
export class BatchRenorm extends BatchNorm {
  protected readonly layouts = ["NC", "NCL", "NCHW", "NCDHW"];
  readonly rMax: RenormLimit;
  readonly dMax: RenormLimit;
  private batches = 0;

  constructor(numFeatures: number, options: BatchRenormOptions = {}) {
    super(numFeatures, options);
    const { rMax = paperLimits.rMax, dMax = paperLimits.dMax } = options;
    if (!this.options.trackRunningStats) {
      throw new OptionError("BatchRenorm: expected trackRunningStats, got false: it corrects by the running values.");
    }
    this.rMax = rMax;
    this.dMax = dMax;
    this.limits();
  }

  /** The limits for the next batch. */
  private limits(): { rMax: number; dMax: number } {
    const now = (limit: RenormLimit) => (typeof limit === "number" ? limit : limit(this.batches));
    const [rMax, dMax] = [now(this.rMax), now(this.dMax)];
    if (!(rMax >= 1)) throw new OptionError(`${this.who}: expected rMax of at least 1, got ${rMax}.`);
    if (!(dMax >= 0)) throw new OptionError(`${this.who}: expected dMax of at least 0, got ${dMax}.`);
    return { rMax, dMax };
  }

  protected override normalize(x: Tensor, extra: BatchNormOptions): Tensor {
    if (extra.mask) throw new OptionError(`${this.who}: takes no mask.`);
    // Before anything changes: a schedule may give what is refused.
    this.limits();
    return super.normalize(x, extra);
  }

  protected override scaleAndShift(moments: () => Tensor, options: BatchNormOptions) {
    const { training = false, weight, bias, runningMean, runningVar } = options;
    if (!training) return { weight: weight ?? null, bias: bias ?? null };
    const { rMax, dMax } = this.limits();
    if (runningMean) this.countBatch();
    const { r, d } = noGrad(() => {
      const m = moments();
      const [mean, variance] = [m.slice(0, 0, 1), m.slice(0, 2, 3)].map((t) => t.reshape([this.numFeatures])) as [Tensor, Tensor];
      const sigma = (runningVar ?? this.runningVar!).add(this.eps).sqrt();
      const ratio = variance.add(this.eps).sqrt().div(sigma);
      const shift = mean.sub(runningMean ?? this.runningMean!).div(sigma);
      return { r: minimum(maximum(ratio, 1 / rMax), rMax), d: minimum(maximum(shift, -dMax), dMax) };
    });
    const moved = weight ? weight.mul(d) : d;
    return { weight: weight ? weight.mul(r) : r, bias: bias ? moved.add(bias) : moved };
  }

  /** Only schedules ask for the number of batches. */
  private countBatch(): void {
    if (typeof this.rMax === "number" && typeof this.dMax === "number") return;
    refuseInStep(this.who, "a recorded step cannot follow a schedule of rMax or dMax: give numbers, or run the step as it is.");
    this.batches++;
  }

  override resetRunningStats(): void {
    super.resetRunningStats();
    this.batches = 0;
  }

  protected override afterLoad(state: ReadonlyMap<string, Tensor>): void {
    super.afterLoad(state);
    this.batches = this.numBatchesTracked!.item();
  }

  protected override describe(): string {
    const text = (limit: RenormLimit) => (typeof limit === "number" ? `${limit}` : "a schedule");
    return `${super.describe()}, rMax = ${text(this.rMax)}, dMax = ${text(this.dMax)}`;
  }
}
