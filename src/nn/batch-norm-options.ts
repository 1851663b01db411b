import { OptionError } from "../core/errors.js";
import { warnOnce } from "../core/warnings.js";

export interface BatchNormLayerOptions {
  /** Added to the variance under the root (default 1e-5); a larger one damps channels that hardly vary. */
  eps?: number;
  /**
   * Weight of the newest batch in the running values, 0 to 1 (default 0.1); a larger one follows faster and is noisier.
   * null averages all batches since the last reset alike.
   */
  momentum?: number | null;
  /** Weight of the old running values, 1 − momentum, as Keras, Flax and ONNX count; instead of `momentum`. */
  decay?: number;
  /** Whether there are a learned scale γ and shift β (default true). */
  affine?: boolean;
  /** Whether there is a γ (default: `affine`). */
  weight?: boolean;
  /** Whether there is a β (default: `affine`). */
  bias?: boolean;
  /** Whether running values are kept (default true). Without them evaluation uses the batch's own statistics, too. */
  trackRunningStats?: boolean;
  /** Whether the running variance takes n / (n − 1) times the batch's (default true, as PyTorch; Keras, Flax and ONNX do not). */
  unbiasedRunningVar?: boolean;
  /** Treats the batch's statistics as constants in the backward pass, which is wrong; for experiments (default false). */
  detachStats?: boolean;
  /**
   * "torch" follows PyTorch where evenkeel departs from it: the counter moves before the input is checked, empty batches
   * count, and statistics that are not finite enter the running values (default null).
   */
  compat?: "torch" | null;
}

/** The options with their defaults. @throws OptionError if one cannot be used */
export function resolveBatchNormOptions(who: string, options: BatchNormLayerOptions) {
  const { eps = 1e-5, affine = true, trackRunningStats = true, unbiasedRunningVar = true } = options;
  const { weight = affine, bias = affine, detachStats = false, compat = null } = options;
  if (!(eps >= 0 && eps < Infinity)) throw new OptionError(`${who}: expected eps of at least 0, got ${eps}.`);
  if (eps === 0) warnOnce(`${who}: with eps = 0 a channel that does not vary gives NaN or Infinity in evaluation.`);
  if (compat !== null && compat !== "torch") {
    throw new OptionError(`${who}: expected compat "torch" or null, got ${JSON.stringify(compat)}.`);
  }
  const momentum = momentumOf(who, options);
  return { eps, momentum, weight, bias, trackRunningStats, unbiasedRunningVar, detachStats, compat };
}

export type ResolvedBatchNormOptions = ReturnType<typeof resolveBatchNormOptions>;

function momentumOf(who: string, { momentum, decay }: BatchNormLayerOptions): number | null {
  if (momentum !== undefined && decay !== undefined) {
    throw new OptionError(`${who}: expected momentum or decay, got both. momentum = 1 - decay.`);
  }
  const value = decay === undefined ? (momentum === undefined ? 0.1 : momentum) : 1 - decay;
  if (value !== null && !Number.isFinite(value)) {
    throw new OptionError(`${who}: expected momentum to be a number from 0 to 1 or null, got ${value}.`);
  }
  if (value !== null && (value < 0 || value > 1)) {
    warnOnce(`${who}: momentum is the weight of the newest batch, from 0 to 1, got ${value}. The running values may diverge.`);
  }
  return value;
}
