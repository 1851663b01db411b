import { isRecording, noGrad } from "../autograd/mode.js";
import { defineOp } from "../autograd/op.js";
import { sizeOf } from "../core/shape.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { channelMoments } from "./batch-moments.js";
import { backwardCall, type Common, emptyOp, order, pick, savedInputs, wantedBy } from "./batch-norm-call.js";
import { composedBackward, normalizedBy, normalizedByBatch } from "./batch-norm-composed.js";
import { maskedBatchNorm } from "./batch-norm-masked.js";
import { type BatchNormOptions, checkBatchNorm } from "./batch-norm-options.js";
import { like, storageOf } from "./operand.js";

interface TrainOptions extends Common {
  options: BatchNormOptions;
}

interface EvalOptions extends Common {
  mean: Tensor;
  variance: Tensor;
  /** Whether a backward pass may follow. */
  recorded: boolean;
}

const trainOp = defineOp<TrainOptions>("batchNormTrain", {
  keepInputs: "all",
  forward: (inputs, { options, has, n, c, s, eps, relu }, save) => {
    const x = inputs[0]!;
    const [weight, bias] = pick(inputs, has);
    const y = like(x);
    const stats = like(x, [3, c]);
    const { runningMean, runningVar, counter, rejected, momentum = 0.1, unbiasedRunningVar = true, compat } = options;
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
      guard: compat === "torch" ? 0 : 1,
      relu: relu ? 1 : 0,
    });
    save(stats);
    return y;
  },
  gradient: (options) => (saved, dy) => {
    const { has, eps, relu } = options;
    const { detachStats = false } = options.options;
    if (isRecording()) {
      const [x, weight, bias] = savedInputs(saved, has);
      const normalized = normalizedByBatch(x, eps, detachStats);
      return order(has, composedBackward({ ...normalized, dy, weight, bias, relu, throughStats: !detachStats }));
    }
    const { backend, call, gradients } = backwardCall(options, wantedBy(saved, has), saved, dy);
    backend.call("batchNormBackward", { ...call, stats: saved.extra(0).storage, detached: detachStats ? 1 : 0 });
    return order(has, gradients);
  },
});

const evalOp = defineOp<EvalOptions>("batchNormEval", {
  keepInputs: "all",
  forward: (inputs, { mean, variance, recorded, has, n, c, s, eps, relu }, save) => {
    const x = inputs[0]!;
    const [weight, bias] = pick(inputs, has);
    const y = like(x);
    const own = { x: x.storage, y: y.storage, weight: storageOf(weight), bias: storageOf(bias), relu: relu ? 1 : 0 };
    const statistics = { mean: mean.storage, meanLow: null, variance: variance.storage };
    x.backend.call("batchNormEval", { ...own, ...statistics, n, c, s, eps });
    // The running values may move before the backward pass: it needs those of now.
    if (recorded) save(copyOf(mean), copyOf(variance));
    return y;
  },
  gradient: (options) => (saved, dy) => {
    const { has, eps, relu } = options;
    const [mean, variance] = [saved.extra(0), saved.extra(1)];
    if (isRecording()) {
      const [x, weight, bias] = savedInputs(saved, has);
      const normalized = normalizedBy(x, mean, variance, eps);
      return order(has, composedBackward({ ...normalized, dy, weight, bias, relu, throughStats: false }));
    }
    const { backend, call, gradients } = backwardCall(options, wantedBy(saved, has), saved, dy);
    const statistics = { mean: mean.storage, meanLow: null, variance: variance.storage };
    backend.call("batchNormEvalBackward", { ...call, ...statistics, eps });
    return order(has, gradients);
  },
});

function copyOf(t: Tensor): Tensor {
  const copy = like(t);
  t.backend.call("copy", { x: t.storage, y: copy.storage, n: t.size });
  return copy;
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
  const { runningMean, runningVar, weight, bias, training = false, eps = 1e-5, mask } = options;
  const inputs = [x, weight, bias].filter((t) => t != null);
  if (x.size === 0) return emptyOp(inputs);
  if (mask) return tidy(() => maskedBatchNorm(x, mask, options));
  const relu = options.activation === "relu";
  const common = { n: x.shape[0]!, c: x.shape[1]!, s: sizeOf(x.shape.slice(2)), eps, relu };
  const has = [weight != null, bias != null] as const;
  if (training) return trainOp(inputs, { ...common, options, has });
  const recorded = isRecording() && inputs.some((t) => t.requiresGrad);
  return evalOp(inputs, { ...common, mean: runningMean!, variance: runningVar!, recorded, has });
}

/** What `batchNormWithStats` returns. */
export interface BatchNormResult {
  y: Tensor;
  /** Mean of the batch, [C]; null in evaluation and of an empty batch. */
  mean: Tensor | null;
  /** Biased variance of the batch, [C]; null likewise. */
  variance: Tensor | null;
  /** The running mean after this call, [C], in memory of its own; null if none was given. */
  runningMean: Tensor | null;
  /** The running variance after this call, likewise. */
  runningVar: Tensor | null;
}

/**
 * `batchNorm` with its statistics as results: those of the batch, and the running values after it.
 *
 * @param options those of `batchNorm`, and `inPlace`: whether the running values that were given are written, too (default true);
 * without it the call changes nothing and the new values are in the result alone.
 * @throws what `batchNorm` throws, before anything is changed
 */
export function batchNormWithStats(
  x: Tensor,
  options: Omit<BatchNormOptions, "mask"> & { inPlace?: boolean } = {},
): BatchNormResult {
  const { inPlace = true, ...rest } = options;
  checkBatchNorm(x, rest);
  const copies = noGrad(() => ({
    runningMean: rest.runningMean ? copyOf(rest.runningMean) : null,
    runningVar: rest.runningVar ? copyOf(rest.runningVar) : null,
  }));
  const rejected = inPlace ? (rest.rejected ?? null) : null;
  const y = batchNorm(x, { ...rest, ...copies, rejected });
  const moments = rest.training && x.size > 0 ? noGrad(() => channelMoments([x])) : null;
  const row = (i: number) => noGrad(() => tidy(() => moments?.slice(0, i, i + 1).reshape([x.shape[1]!]) ?? null));
  if (inPlace && rest.training) {
    for (const name of ["runningMean", "runningVar"] as const) {
      const [from, to] = [copies[name], rest[name]];
      if (from && to) from.backend.call("copy", { x: from.storage, y: to.storage, n: to.size });
    }
  }
  const [mean, variance] = [row(0), row(2)];
  moments?.dispose();
  return { y, mean, variance, ...copies };
}
