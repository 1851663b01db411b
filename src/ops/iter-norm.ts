import { noGrad } from "../autograd/mode.js";
import { BackendError, OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, type Shape, sameShape, sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { full } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { equal, keepWhere } from "./binary.js";
import { matmul } from "./matmul.js";
import { checkFloat } from "./operand.js";
import { place } from "./shape.js";

export interface IterNormOptions {
  /** Running mean [G, d, 1] and running whitening matrices [G, d, d]: both or neither. Updated in training, used in evaluation. */
  runningMean?: Tensor | null;
  runningWm?: Tensor | null;
  /** γ, [C] (default 1). */
  weight?: Tensor | null;
  /** β, [C] (default 0). */
  bias?: Tensor | null;
  /** Whiten with the batch's own statistics (default false). */
  training?: boolean;
  /** Channels d that are whitened together; divides C (default: all up to 64, else the largest divisor up to 64). */
  groupSize?: number;
  /** Newton's iterations, T in the paper (default 5). More come closer to the identity, at the price of noise. */
  iterations?: number;
  /** Weight of the newest batch in the running values, 0 to 1 (default 0.1). */
  momentum?: number;
  /** Added to the diagonal of the covariance, above 0 (default 1e-5). */
  eps?: number;
  /** Who speaks in errors (default "iterNorm"). */
  who?: string;
}

/** Most channels that are whitened together unless told otherwise. */
const LARGEST_GROUP = 64;

/** All channels up to 64, else the largest divisor of their number up to 64. */
export function defaultGroupSize(channels: number): number {
  let size = Math.min(channels, LARGEST_GROUP);
  while (channels % size !== 0) size--;
  return size;
}

/** Refuses options of which no input could make sense; also for the layer's constructor. */
export function checkIterNormOptions(who: string, channels: number, options: IterNormOptions): void {
  const { groupSize = defaultGroupSize(channels), iterations = 5, momentum = 0.1, eps = 1e-5 } = options;
  if (!(Number.isInteger(groupSize) && groupSize >= 1 && channels % groupSize === 0)) {
    throw new OptionError(`${who}: expected groupSize to divide the ${channels} channels, got ${groupSize}.`);
  }
  if (!(Number.isInteger(iterations) && iterations >= 0)) {
    throw new OptionError(`${who}: expected iterations to be an integer of at least 0, got ${iterations}.`);
  }
  if (!(momentum >= 0 && momentum <= 1)) {
    throw new OptionError(`${who}: expected momentum to be a number from 0 to 1, got ${momentum}.`);
  }
  if (!(eps > 0 && eps < Infinity)) throw new OptionError(`${who}: expected eps above 0, got ${eps}.`);
}

function checkState(who: string, name: string, t: Tensor | null | undefined, shape: Shape, x: Tensor): void {
  if (t && !sameShape(t.shape, shape)) {
    throw new ShapeError(
      `${who}: expected ${name} ${formatShape(shape)} for input ${formatShape(x.shape)}, got ${formatShape(t.shape)}.`,
    );
  }
}

function checkIterNorm(who: string, x: Tensor, options: IterNormOptions): void {
  const { runningMean, runningWm, weight, bias, training = false } = options;
  for (const t of [runningMean, runningWm, weight, bias]) {
    if (t && t.backend !== x.backend) {
      throw new BackendError(`${who}: the input and the layer's tensors lie on different backends.`);
    }
  }
  checkFloat(who, x, runningMean, runningWm, weight, bias);
  if (x.rank < 2) throw new ShapeError(`${who}: expected input [N, C] or [N, C, …], got ${formatShape(x.shape)}.`);
  const c = x.shape[1]!;
  if (c === 0) throw new ShapeError(`${who}: expected at least one channel at axis 1, got ${formatShape(x.shape)}.`);
  checkIterNormOptions(who, c, options);
  if ((runningMean == null) !== (runningWm == null)) {
    throw new OptionError(
      `${who}: expected runningMean and runningWm both or neither, got only ${runningMean ? "runningMean" : "runningWm"}.`,
    );
  }
  if (!training && !runningMean) {
    throw new TrainingError(`${who}: running_mean must be defined in evaluation mode: pass runningMean and runningWm.`);
  }
  const d = options.groupSize ?? defaultGroupSize(c);
  checkState(who, "running_mean", runningMean, [c / d, d, 1], x);
  checkState(who, "running_wm", runningWm, [c / d, d, d], x);
  checkState(who, "weight", weight, [c], x);
  checkState(who, "bias", bias, [c], x);
  if (training && x.size === c) {
    throw new TrainingError(
      `${who}: Expected more than 1 value per channel when training, got input size ${formatShape(x.shape)}. ` +
        "Use a larger batch (a last batch of one can be dropped or merged: dropLast of the loader) or evaluation mode.",
    );
  }
}

/** The identity matrix [size, size] on the backend of `beside`, made by kernels alone. */
export function identity(beside: Tensor, size: number): Tensor {
  return noGrad(() =>
    tidy(() => {
      const ones = withBackend(beside.backend, () => full([size, 1], 1));
      // Rows of one value more than the matrix has: its diagonal is their first column.
      const rows = place(ones, [size, size + 1], 1, 0);
      return rows
        .flatten(0)
        .slice(0, 0, size * size)
        .reshape([size, size]);
    }),
  );
}

/** [N, C, …] → [G, d, m]: the values of each channel, group by group. */
function toGroups(x: Tensor, d: number): Tensor {
  const [n, c] = x.shape as [number, number];
  const s = sizeOf(x.shape.slice(2));
  return x
    .reshape([n, c, s])
    .permute([1, 0, 2])
    .reshape([c / d, d, n * s]);
}

/** The way back from `toGroups`. */
function fromGroups(y: Tensor, shape: Shape): Tensor {
  const [n, c] = shape as [number, number];
  return y
    .reshape([c, n, sizeOf(shape.slice(2))])
    .permute([1, 0, 2])
    .reshape(shape);
}

/**
 * Σ^(−1/2) of covariances [G, d, d] by Newton's iterations (algorithm 1). P_k is carried together with
 * Q_k = Σ_N P_k: the step P_k = ½ (3 P_{k−1} − P_{k−1}³ Σ_N) is then ½ (3I − P_{k−1} Q_{k−1}) P_{k−1}, and rounding errors die out,
 * while in the paper's form they grow from step to step (Higham 2008, Functions of Matrices, chapter 6).
 */
function inverseRoot(sigma: Tensor, unit: Tensor, iterations: number): Tensor {
  const trace = sigma.mul(unit).sum([1, 2], true);
  let p = unit;
  let q = sigma.div(trace);
  for (let k = 0; k < iterations; k++) {
    const step = unit.mul(1.5).sub(p.matmul(q).mul(0.5));
    p = step.matmul(p);
    if (k + 1 < iterations) q = q.matmul(step);
  }
  return p.div(trace.sqrt());
}

interface Statistics {
  /** [G, d, 1] */
  mean: Tensor;
  /** [G, d, d] */
  wm: Tensor;
}

/** running ← (1 − momentum) · running + momentum · batch, for the groups whose statistics are finite as a whole. */
function moveRunning({ mean, wm }: Statistics, running: Statistics, momentum: number): void {
  const sum = (t: Tensor) => t.sum([1, 2], true);
  // 0 · v is 0 for finite v and NaN for all others: the decision is a value like any other, and nothing is read.
  const finite = equal(sum(mean.mul(0)).add(sum(wm.mul(0))), 0);
  const refused = finite.neg().add(1);
  const next = (old: Tensor, batch: Tensor) => {
    const moved = old.mul(1 - momentum).add(batch.mul(momentum));
    return keepWhere(moved, finite).add(keepWhere(old, refused));
  };
  const pairs = [
    [running.mean, next(running.mean, mean)],
    [running.wm, next(running.wm, wm)],
  ] as const;
  // Only when everything is computed, so that want of memory leaves both as they were.
  for (const [old, now] of pairs) old.backend.call("copy", { x: now.storage, y: old.storage, n: old.size });
}

/** Centres and whitens groups [G, d, m] by their own statistics. */
function whitenByBatch(groups: Tensor, { iterations = 5, eps = 1e-5 }: IterNormOptions): Statistics & { y: Tensor } {
  const [, d, m] = groups.shape as [number, number, number];
  // In two steps, so that little of the mean is lost at a large offset.
  const near = groups.mean(2, true);
  const rough = groups.sub(near);
  const rest = rough.mean(2, true);
  const centred = rough.sub(rest);
  const unit = identity(groups, d);
  const sigma = matmul(centred, centred, { transB: true })
    .mul(1 / m)
    .add(unit.mul(eps));
  const wm = inverseRoot(sigma, unit, iterations);
  return { mean: near.add(rest), wm, y: wm.matmul(centred) };
}

/**
 * Iterative normalization: whitens groups of d channels, y = γ · Σ^(−1/2) · (x − μ) + β, with the covariance
 * Σ = (1/m) · (x − μ)(x − μ)ᵀ + ε·I over the batch and all further axes. Σ^(−1/2) comes from T of Newton's iterations:
 * Σ_N = Σ / tr Σ, P₀ = I, P_k = ½ (3 P_{k−1} − P_{k−1}³ Σ_N), Σ^(−1/2) ≈ P_T / √tr Σ.
 *
 * Training: μ and Σ are the batch's own, gradients of all orders flow through both, and the running values, if given, move
 * towards μ and Σ^(−1/2). Evaluation: the running values are used. A group whose statistics are not finite does not enter the
 * running values. An empty batch changes nothing.
 *
 * @param x [N, C] or [N, C, …]
 * @returns the same shape
 * @throws ShapeError, OptionError or TrainingError before anything is changed
 * @see Huang, Zhou, Zhu, Liu & Shao 2019, "Iterative normalization: beyond standardization towards efficient whitening"
 */
export function iterNorm(x: Tensor, options: IterNormOptions = {}): Tensor {
  const { runningMean, runningWm, weight, bias, training = false, momentum = 0.1, who = "iterNorm" } = options;
  checkIterNorm(who, x, options);
  const c = x.shape[1]!;
  const d = options.groupSize ?? defaultGroupSize(c);
  const perChannel = (t: Tensor) => t.reshape([c / d, d, 1]);
  return tidy(() => {
    let y = toGroups(x, d);
    let batch: Statistics | null = null;
    if (x.size > 0 && training) {
      const { mean, wm, y: white } = whitenByBatch(y, options);
      [y, batch] = [white, { mean, wm }];
    } else if (x.size > 0) {
      // A copy: the running values may move before the backward pass, which needs those of now.
      y = runningWm!.mul(1).matmul(y.sub(runningMean!));
    }
    if (weight) y = y.mul(perChannel(weight));
    if (bias) y = y.add(perChannel(bias));
    const result = fromGroups(y, x.shape);
    if (batch && runningMean && runningWm) {
      const found = batch;
      noGrad(() => moveRunning(found, { mean: runningMean, wm: runningWm }, momentum));
    }
    return result;
  });
}
