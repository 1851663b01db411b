import { withBackend } from "../engine/current.js";
import { full } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import type { BatchNormOptions } from "./batch-norm-options.js";
import { equal, greater, keepWhere } from "./binary.js";
import { storageOf } from "./operand.js";

/** All axes but that of the channels. */
function reduced(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
}

/** [C] → [1, C, 1, …], to be broadcast over x. */
export function overChannels(t: Tensor, x: Tensor): Tensor {
  return t.reshape(x.shape.map((_, axis) => (axis === 1 ? x.shape[1]! : 1)));
}

/** What the backward pass of batch normalization starts from: x̂ and 1/σ, as ops that can be differentiated again. */
export interface Normalized {
  /** x̂ = (x − μ) / √(σ² + ε) */
  xhat: Tensor;
  /** 1 / √(σ² + ε), [1, C, 1, …] */
  inverseStd: Tensor;
}

/** x̂ with the batch's own statistics. */
export function normalizedByBatch(x: Tensor, eps: number, detachStats: boolean): Normalized {
  const axes = reduced(x);
  const constant = (t: Tensor) => (detachStats ? t.detach() : t);
  // In two steps, so that little of the mean is lost at a large offset.
  const near = constant(x.mean(axes, true));
  const rough = x.sub(near);
  const centred = rough.sub(constant(rough.mean(axes, true)));
  const variance = constant(centred.square().mean(axes, true));
  const inverseStd = withoutZero(variance, eps).add(eps).sqrt().reciprocal();
  return { xhat: centred.mul(inverseStd), inverseStd };
}

/** A variance of 0 as infinity if there is no ε: 1/√ of it is then 0, and a constant channel comes out as β. */
export function withoutZero(variance: Tensor, eps: number): Tensor {
  if (eps > 0) return variance;
  const infinity = withBackend(variance.backend, () => full(variance.shape, Infinity));
  return variance.add(keepWhere(infinity, equal(variance, 0)));
}

/** x̂ with given statistics, [C] each. */
export function normalizedBy(x: Tensor, mean: Tensor, variance: Tensor, eps: number): Normalized {
  const inverseStd = overChannels(variance, x).add(eps).sqrt().reciprocal();
  return { xhat: x.sub(overChannels(mean, x)).mul(inverseStd), inverseStd };
}

export interface ComposedBackward extends Normalized {
  dy: Tensor;
  weight: Tensor | null;
  bias: Tensor | null;
  relu: boolean;
  /** Whether gradients flow through mean and variance. */
  throughStats: boolean;
}

/**
 * The gradients of batch normalization as ops, which `createGraph` differentiates:
 * dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/√(σ² + ε) · (dy − mean(dy) − x̂ · mean(dy·x̂)); without the means if statistics are constants.
 */
export function composedBackward({ xhat, inverseStd, dy, weight, bias, relu, throughStats }: ComposedBackward) {
  const axes = reduced(dy);
  const gamma = weight && overChannels(weight, dy);
  let flow = dy;
  if (relu) {
    const scaled = gamma ? xhat.mul(gamma) : xhat;
    flow = dy.mul(greater(bias ? scaled.add(overChannels(bias, dy)) : scaled, 0));
  }
  const product = flow.mul(xhat);
  const slope = gamma ? inverseStd.mul(gamma) : inverseStd;
  const through = throughStats ? flow.sub(flow.mean(axes, true)).sub(xhat.mul(product.mean(axes, true))) : flow;
  return { dx: through.mul(slope), dweight: product.sum(axes), dbias: flow.sum(axes) };
}

/** Moves the running values by moments (rows: mean, its low part, biased variance) of `count` values per channel. */
export function moveRunning(moments: Tensor, count: Tensor, options: BatchNormOptions): void {
  const { runningMean, runningVar, momentum = 0.1, unbiasedRunningVar = true, counter, rejected, compat } = options;
  if (!runningMean || !runningVar) return;
  moments.backend.call("updateRunning", {
    moments: moments.storage,
    count: count.storage,
    runningMean: runningMean.storage,
    runningVar: runningVar.storage,
    counter: storageOf(counter),
    rejected: storageOf(rejected),
    c: runningMean.size,
    momentum: momentum ?? 0,
    cumulative: momentum === null ? 1 : 0,
    unbiased: unbiasedRunningVar ? 1 : 0,
    guard: compat === "torch" ? 0 : 1,
  });
}
