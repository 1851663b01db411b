import { isRecording } from "../autograd/mode.js";
import type { Saved } from "../autograd/node.js";
import { defineOp, refuseRecording } from "../autograd/op.js";
import { BackendError, DTypeError, OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like, storageOf } from "./operand.js";

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
  /** Counts channels whose statistics were not finite and did not enter the running values: one int32. */
  rejected?: Tensor | null;
  /** Who speaks in errors (default "batchNorm"). */
  who?: string;
}

interface Sizes {
  n: number;
  c: number;
  s: number;
}

interface TrainOptions extends Sizes {
  options: BatchNormOptions;
  has: readonly [weight: boolean, bias: boolean];
}

interface EvalOptions extends Sizes {
  mean: Tensor;
  variance: Tensor;
  eps: number;
  /** Whether a backward pass may follow. */
  recorded: boolean;
  has: readonly [weight: boolean, bias: boolean];
}

/** Optional inputs after x, in order; positions differ with what is given. */
function pick(inputs: readonly (Tensor | null | undefined)[], has: readonly [boolean, boolean]): [Tensor | null, Tensor | null] {
  const weight = has[0] ? inputs[1]! : null;
  const bias = has[1] ? inputs[has[0] ? 2 : 1]! : null;
  return [weight, bias];
}

/** Gradients in the order of the inputs. */
function order(
  has: readonly [boolean, boolean],
  dx: Tensor | null,
  dweight: Tensor | null,
  dbias: Tensor | null,
): (Tensor | null)[] {
  return [dx, ...(has[0] ? [dweight] : []), ...(has[1] ? [dbias] : [])];
}

const trainOp = defineOp<TrainOptions>("batchNormTrain", {
  keepInputs: [0, 1],
  forward: (inputs, { options, has, n, c, s }, save) => {
    const x = inputs[0]!;
    const [weight, bias] = pick(inputs, has);
    const y = like(x);
    const stats = like(x, [3, c]);
    const { runningMean, runningVar, counter, rejected, momentum = 0.1, eps = 1e-5, unbiasedRunningVar = true } = options;
    x.backend.call("batchNormTrain", {
      x: x.storage,
      weight: storageOf(weight),
      bias: storageOf(bias),
      runningMean: storageOf(runningMean),
      runningVar: storageOf(runningVar),
      counter: storageOf(counter),
      rejected: storageOf(rejected),
      y: y.storage,
      stats: stats.storage,
      n,
      c,
      s,
      eps,
      momentum: momentum ?? 0,
      cumulative: momentum === null ? 1 : 0,
      unbiased: unbiasedRunningVar ? 1 : 0,
      guard: 1,
    });
    save(stats);
    return y;
  },
  gradient: (options) => (saved, dy) => {
    const { backend, call, gradients } = backwardCall(options, saved, dy);
    backend.call("batchNormBackward", { ...call, stats: saved.extra(0).storage });
    return gradients;
  },
});

/** What the backward kernels of both modes take, and the gradients that they write. */
function backwardCall({ has, n, c, s }: Sizes & Pick<TrainOptions, "has">, saved: Saved, dy: Tensor) {
  refuseRecording("batchNorm");
  const x = saved.input(0);
  const { needs } = saved;
  const dx = needs[0] ? like(x) : null;
  const dweight = has[0] && needs[1] ? like(x, [c]) : null;
  const dbias = has[1] && needs[has[0] ? 2 : 1] ? like(x, [c]) : null;
  const call = {
    x: x.storage,
    dy: dy.storage,
    weight: has[0] ? saved.input(1).storage : null,
    dx: storageOf(dx),
    dweight: storageOf(dweight),
    dbias: storageOf(dbias),
    n,
    c,
    s,
  };
  return { backend: x.backend, call, gradients: order(has, dx, dweight, dbias) };
}

const evalOp = defineOp<EvalOptions>("batchNormEval", {
  keepInputs: [0, 1],
  forward: (inputs, { mean, variance, eps, recorded, has, n, c, s }, save) => {
    const x = inputs[0]!;
    const [weight, bias] = pick(inputs, has);
    const y = like(x);
    const own = { x: x.storage, y: y.storage, weight: storageOf(weight), bias: storageOf(bias) };
    x.backend.call("batchNormEval", { ...own, mean: mean.storage, variance: variance.storage, n, c, s, eps });
    // The running values may move before the backward pass: it needs those of now.
    if (recorded) save(copyOf(mean), copyOf(variance));
    return y;
  },
  gradient: (options) => (saved, dy) => {
    const { backend, call, gradients } = backwardCall(options, saved, dy);
    const [mean, variance] = [saved.extra(0).storage, saved.extra(1).storage];
    backend.call("batchNormEvalBackward", { ...call, mean, variance, eps: options.eps });
    return gradients;
  },
});

function copyOf(t: Tensor): Tensor {
  const copy = like(t);
  t.backend.call("copy", { x: t.storage, y: copy.storage, n: t.size });
  return copy;
}

/** Refuses a per-channel tensor that does not have one value for each of the `c` channels of the input. */
function checkChannels(who: string, name: string, t: Tensor | null | undefined, x: Tensor): void {
  const c = x.shape[1]!;
  if (t && (t.rank !== 1 || t.shape[0] !== c)) {
    throw new ShapeError(
      `${who}: ${name} should contain ${c} elements not ${t.size}: the input is ${formatShape(x.shape)}, its axis 1 has ${c} channels.`,
    );
  }
}

/** The checks of `batchNorm`, for layers that change state of their own before the call. Throws what `batchNorm` would. */
export function checkBatchNorm(x: Tensor, options: BatchNormOptions): void {
  const { runningMean, runningVar, weight, bias, training = false, momentum = 0.1, eps = 1e-5, counter, rejected } = options;
  const who = options.who ?? "batchNorm";
  for (const t of [runningMean, runningVar, weight, bias, counter, rejected]) {
    if (t && t.backend !== x.backend)
      throw new BackendError(`${who}: the input and the layer's tensors lie on different backends.`);
  }
  checkFloat(who, x, runningMean, runningVar, weight, bias);
  for (const t of [counter, rejected]) {
    if (t && (t.dtype !== "int32" || t.size !== 1)) {
      throw new DTypeError(
        `${who}: expected counter and rejected to be one int32 each, got ${t.dtype} of shape ${formatShape(t.shape)}.`,
      );
    }
  }
  if (x.rank < 2) throw new ShapeError(`${who}: expected input [N, C] or [N, C, …], got ${formatShape(x.shape)}.`);
  if (x.shape[1] === 0) throw new ShapeError(`${who}: expected at least one channel at axis 1, got ${formatShape(x.shape)}.`);
  if ((runningMean == null) !== (runningVar == null)) {
    throw new OptionError(
      `${who}: expected runningMean and runningVar both or neither, got only ${runningMean ? "runningMean" : "runningVar"}.`,
    );
  }
  if (!training && !runningMean)
    throw new TrainingError(`${who}: running_mean must be defined in evaluation mode: pass runningMean and runningVar.`);
  checkChannels(who, "running_mean", runningMean, x);
  checkChannels(who, "running_var", runningVar, x);
  checkChannels(who, "weight", weight, x);
  checkChannels(who, "bias", bias, x);
  if (!(eps >= 0)) throw new OptionError(`${who}: expected eps of at least 0, got ${eps}.`);
  if (momentum === null ? runningMean && training && !counter : !Number.isFinite(momentum)) {
    throw new OptionError(`${who}: expected momentum to be a number, or null with a counter of batches, got ${momentum}.`);
  }
  if (training && x.size > 0 && x.size === x.shape[1]) {
    throw new TrainingError(
      `${who}: Expected more than 1 value per channel when training, got input size ${formatShape(x.shape)}. ` +
        "Use a larger batch (a last batch of one can be dropped or merged: dropLast of the loader) or evaluation mode.",
    );
  }
}

/**
 * Batch normalization: y = γ · (x − μ) / √(σ² + ε) + β for each channel, over the batch and all further axes.
 *
 * Training: μ and σ² (biased) are the batch's own, gradients flow through both, and the running values, if given, move
 * towards the batch's mean and unbiased variance. Evaluation: the running values are used.
 * Non-finite statistics never enter the running values. An empty batch changes nothing.
 *
 * @param x [N, C] or [N, C, …]
 * @returns the same shape
 * @throws ShapeError, OptionError or TrainingError before anything is changed
 * @see Ioffe & Szegedy 2015, algorithms 1 and 2
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  checkBatchNorm(x, options);
  const { runningMean, runningVar, weight, bias, training = false, eps = 1e-5 } = options;
  const sizes = { n: x.shape[0]!, c: x.shape[1]!, s: sizeOf(x.shape.slice(2)) };
  const has = [weight != null, bias != null] as const;
  const inputs = [x, weight, bias].filter((t) => t != null);
  if (x.size === 0) return emptyOp(inputs);
  if (training) return trainOp(inputs, { ...sizes, options, has });
  const recorded = isRecording() && inputs.some((t) => t.requiresGrad);
  return evalOp(inputs, { ...sizes, mean: runningMean!, variance: runningVar!, eps, recorded, has });
}

/** An empty batch: the gradients of γ and β are zeros. */
const emptyOp = defineOp("batchNormEmpty", {
  forward: ([x]) => like(x!),
  gradient: () => (saved, dy) =>
    saved.shapes.map((shape, i) => {
      if (!saved.needs[i]) return null;
      const zero = like(dy, shape);
      if (zero.size > 0) zero.backend.call("fill", { y: zero.storage, n: zero.size, value: 0 });
      return zero;
    }),
});
