import { noGrad } from "../autograd/mode.js";
import { DTypeError, OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { batchNorm } from "./batch-norm.js";
import { checkChannelParameters, checkRowNorm, rowNorm } from "./row-norm.js";

export interface InstanceNormOptions {
  /** Running mean and variance, [C] each: both or neither. Updated if the input's own statistics are used, else used. */
  runningMean?: Tensor | null;
  runningVar?: Tensor | null;
  /** γ, [C] (default 1). */
  weight?: Tensor | null;
  /** β, [C] (default 0). */
  bias?: Tensor | null;
  /** Whether to normalize with the input's own statistics rather than the running ones (default true). */
  useInputStats?: boolean;
  /** Weight of the newest batch in the running values; null averages all batches alike, which needs `counter` (default 0.1). */
  momentum?: number | null;
  /** Added to the variance under the root (default 1e-5). */
  eps?: number;
  /** Number of batches so far, this one included: one int32. */
  counter?: Tensor | null;
  /** Who speaks in errors (default "instanceNorm"). */
  who?: string;
}

/** The options with their defaults, and the running values as a pair or null. */
function resolve(options: InstanceNormOptions) {
  const { weight, bias, useInputStats = true, momentum = 0.1, eps = 1e-5, counter, who = "instanceNorm" } = options;
  const { runningMean, runningVar } = options;
  if ((runningMean == null) !== (runningVar == null)) {
    const got = runningMean ? "runningMean" : "runningVar";
    throw new OptionError(`${who}: expected runningMean and runningVar both or neither, got only ${got}.`);
  }
  const running = runningMean && runningVar ? { mean: runningMean, variance: runningVar } : null;
  if (!useInputStats && !running) {
    throw new TrainingError(`${who}: Expected running_mean and running_var to be defined when use_input_stats is false.`);
  }
  return { weight, bias, useInputStats, momentum, eps, counter, who, running };
}

type Resolved = ReturnType<typeof resolve>;

function checkRunning(x: Tensor, { running, counter, momentum, useInputStats, eps, who }: Resolved): void {
  if (!running) return;
  checkRowNorm(x, { weight: running.mean, bias: running.variance, eps, who });
  for (const [name, t] of [["running_mean", running.mean] as const, ["running_var", running.variance] as const]) {
    if (t.rank === 1 && t.shape[0] === x.shape[1]) continue;
    throw new ShapeError(
      `${who}: ${name} should contain ${x.shape[1]} elements not ${t.size}: the input is ${formatShape(x.shape)}.`,
    );
  }
  if (momentum === null ? useInputStats && !counter : !Number.isFinite(momentum)) {
    throw new OptionError(`${who}: expected momentum to be a number, or null with a counter of batches, got ${momentum}.`);
  }
  if (counter && (counter.dtype !== "int32" || counter.size !== 1)) {
    throw new DTypeError(
      `${who}: expected counter to be one int32, got ${counter.dtype} of shape ${formatShape(counter.shape)}.`,
    );
  }
}

function check(x: Tensor, options: Resolved): void {
  const { who, useInputStats } = options;
  const got = formatShape(x.shape);
  checkRowNorm(x, options);
  if (x.rank < 3) throw new ShapeError(`${who}: expected input [N, C, L] or [N, C, …], got ${got}.`);
  if (x.shape[1] === 0) throw new ShapeError(`${who}: expected at least one channel at axis 1, got ${got}.`);
  checkChannelParameters(x, options);
  checkRunning(x, options);
  if (useInputStats && sizeOf(x.shape.slice(2)) === 1) {
    throw new TrainingError(
      `${who}: Expected more than 1 spatial element when training, got input size ${got}. ` +
        "Each channel of an example is one value: normalize over channels or over the batch instead.",
    );
  }
}

/** The checks of `instanceNorm`, for layers that change state of their own before the call. Throws what `instanceNorm` would. */
export function checkInstanceNorm(x: Tensor, options: InstanceNormOptions): void {
  check(x, resolve(options));
}

/** x [N, C, …] with every channel of every example as a channel of one example. */
function asOneExample(x: Tensor): Tensor {
  return x.reshape([1, x.shape[0]! * x.shape[1]!, ...x.shape.slice(2)]);
}

/**
 * Moves the running values to the average over the examples of where each example alone would have moved them, as PyTorch does.
 * An example whose statistics are not finite counts with the old values.
 */
function moveRunning(x: Tensor, { momentum, counter }: Resolved, { mean, variance }: { mean: Tensor; variance: Tensor }): void {
  const [n, c] = x.shape as [number, number];
  const repeated = (t: Tensor) =>
    t
      .detach()
      .reshape([1, c])
      .expand([n, c])
      .reshape([n * c]);
  noGrad(() =>
    tidy(() => {
      const own = { runningMean: repeated(mean), runningVar: repeated(variance) };
      batchNorm(asOneExample(x), { ...own, training: true, momentum, counter: counter ?? null });
      for (const [to, values] of [[mean, own.runningMean] as const, [variance, own.runningVar] as const]) {
        const average = values.reshape([n, c]).mean(0);
        to.backend.call("copy", { x: average.storage, y: to.storage, n: c });
      }
    }),
  );
}

/**
 * Instance normalization: y = γ · (x − μ) / √(σ² + ε) + β, with the mean μ and the biased variance σ² of each channel of each
 * example over all axes after the second.
 *
 * With `useInputStats`, as in training, μ and σ² are the input's own, gradients flow through both, and the running values, if
 * given, move towards the average over the examples of mean and unbiased variance. Without, the running values are used.
 * A constant channel gives exactly β. Statistics that are not finite never enter the running values. An empty batch changes
 * nothing.
 *
 * @param x [N, C, …] with at least one axis after C
 * @returns the same shape
 * @throws ShapeError, OptionError or TrainingError before anything is changed
 * @see Ulyanov, Vedaldi & Lempitsky 2016, "Instance Normalization", https://arxiv.org/abs/1607.08022, equation 6
 */
export function instanceNorm(x: Tensor, options: InstanceNormOptions = {}): Tensor {
  const resolved = resolve(options);
  check(x, resolved);
  const { running, useInputStats, weight, bias, eps } = resolved;
  if (!useInputStats && running) {
    return batchNorm(x, {
      runningMean: running.mean,
      runningVar: running.variance,
      weight: weight ?? null,
      bias: bias ?? null,
      eps,
    });
  }
  const [n, channels] = x.shape as [number, number];
  const y = rowNorm("instanceNorm", x, { rows: n * channels, c: 1, s: sizeOf(x.shape.slice(2)), groups: channels }, resolved);
  if (running && x.size > 0) moveRunning(x.detach(), resolved, running);
  return y;
}
