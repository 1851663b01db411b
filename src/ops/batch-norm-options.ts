import { BackendError, DTypeError, OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat } from "./operand.js";

export interface BatchNormOptions {
  /** Running mean and variance, [C] each: both or neither. Updated in training, used in evaluation. */
  runningMean?: Tensor | null;
  runningVar?: Tensor | null;
  /** γ, [C] (default 1). */
  weight?: Tensor | null;
  /** β, [C] (default 0). */
  bias?: Tensor | null;
  /** Normalize with the batch's own statistics (default false). */
  training?: boolean;
  /** Weight of the newest batch in the running values; null averages all batches alike, which needs `counter` (default 0.1). */
  momentum?: number | null;
  /** Added to the variance under the root (default 1e-5). */
  eps?: number;
  /** Whether the running variance takes n / (n − 1) times the batch's (default true, as in PyTorch). */
  unbiasedRunningVar?: boolean;
  /** Number of batches so far, this one included: one int32. */
  counter?: Tensor | null;
  /** Counts, for each channel, the batches whose statistics were not finite and did not enter the running values: int32 [C]. */
  rejected?: Tensor | null;
  /**
   * Where there is data, [N] or [N, …] without the channel axis, 0 or another number: statistics are those of the positions
   * that are not 0, and at the others y and the gradient are 0.
   */
  mask?: Tensor | null;
  /** What is applied to y in the same pass over memory (default nothing). */
  activation?: "relu" | null;
  /**
   * Treats the batch's mean and variance as constants in the backward pass (default false). The gradient is then wrong; this
   * is for experiments that show why both are differentiated through (Ioffe & Szegedy 2015, section 2).
   */
  detachStats?: boolean;
  /** "torch": statistics that are not finite enter the running values, as in PyTorch. */
  compat?: "torch" | null;
  /** Who speaks in errors (default "batchNorm"). */
  who?: string;
}

/** Refuses a per-channel tensor that does not have one value for each of the channels of the input. */
function checkChannels(who: string, name: string, t: Tensor | null | undefined, x: Tensor): void {
  const c = x.shape[1]!;
  if (t && (t.rank !== 1 || t.shape[0] !== c)) {
    throw new ShapeError(
      `${who}: ${name} should contain ${c} elements not ${t.size}: the input is ${formatShape(x.shape)}, its axis 1 has ${c} channels.`,
    );
  }
}

function checkTensors(who: string, x: Tensor, options: BatchNormOptions): void {
  const { runningMean, runningVar, weight, bias, counter, rejected, mask } = options;
  for (const t of [runningMean, runningVar, weight, bias, counter, rejected, mask]) {
    if (t && t.backend !== x.backend) {
      throw new BackendError(`${who}: the input and the layer's tensors lie on different backends.`);
    }
  }
  checkFloat(who, x, runningMean, runningVar, weight, bias, mask);
  if (counter && (counter.dtype !== "int32" || counter.size !== 1)) {
    throw new DTypeError(
      `${who}: expected counter to be one int32, got ${counter.dtype} of shape ${formatShape(counter.shape)}.`,
    );
  }
  if (rejected && rejected.dtype !== "int32")
    throw new DTypeError(`${who}: expected rejected to be int32, got ${rejected.dtype}.`);
}

function checkShapes(who: string, x: Tensor, options: BatchNormOptions): void {
  const { runningMean, runningVar, weight, bias, rejected, mask } = options;
  if (x.rank < 2) throw new ShapeError(`${who}: expected input [N, C] or [N, C, …], got ${formatShape(x.shape)}.`);
  if (x.shape[1] === 0) throw new ShapeError(`${who}: expected at least one channel at axis 1, got ${formatShape(x.shape)}.`);
  checkChannels(who, "running_mean", runningMean, x);
  checkChannels(who, "running_var", runningVar, x);
  checkChannels(who, "rejected", rejected, x);
  checkChannels(who, "weight", weight, x);
  checkChannels(who, "bias", bias, x);
  const positions = [x.shape[0]!, ...x.shape.slice(2)];
  if (mask && !sameShape(mask.shape, positions)) {
    throw new ShapeError(
      `${who}: expected mask ${formatShape(positions)} (the input ${formatShape(x.shape)} without its channels), got ${formatShape(mask.shape)}.`,
    );
  }
}

/** The checks of `batchNorm` that concern its tensors. */
export function checkBatchNormOperands(who: string, x: Tensor, options: BatchNormOptions): void {
  checkTensors(who, x, options);
  checkShapes(who, x, options);
}

/** The checks of `batchNorm` that concern its numbers. */
export function checkBatchNormSettings(who: string, options: BatchNormOptions): void {
  const { runningMean, training = false, momentum = 0.1, eps = 1e-5, counter, activation, compat } = options;
  if (!(eps >= 0 && eps < Infinity)) throw new OptionError(`${who}: expected eps of at least 0, got ${eps}.`);
  if (momentum === null ? runningMean && training && !counter : !Number.isFinite(momentum)) {
    throw new OptionError(`${who}: expected momentum to be a number, or null with a counter of batches, got ${momentum}.`);
  }
  if (activation && activation !== "relu") {
    throw new OptionError(`${who}: expected activation "relu" or null, got ${JSON.stringify(activation)}.`);
  }
  if (compat && compat !== "torch") {
    throw new OptionError(`${who}: expected compat "torch" or null, got ${JSON.stringify(compat)}.`);
  }
}

/** The checks of `batchNorm`, for layers that change state of their own before the call. Throws what `batchNorm` would. */
export function checkBatchNorm(x: Tensor, options: BatchNormOptions): void {
  const { runningMean, runningVar, training = false } = options;
  const who = options.who ?? "batchNorm";
  checkBatchNormOperands(who, x, options);
  if ((runningMean == null) !== (runningVar == null)) {
    throw new OptionError(
      `${who}: expected runningMean and runningVar both or neither, got only ${runningMean ? "runningMean" : "runningVar"}.`,
    );
  }
  if (!training && !runningMean) {
    throw new TrainingError(`${who}: running_mean must be defined in evaluation mode: pass runningMean and runningVar.`);
  }
  checkBatchNormSettings(who, options);
  if (training && x.size > 0 && x.size === x.shape[1]) {
    throw new TrainingError(
      `${who}: Expected more than 1 value per channel when training, got input size ${formatShape(x.shape)}. ` +
        "Use a larger batch (a last batch of one can be dropped or merged: dropLast of the loader) or evaluation mode.",
    );
  }
}
