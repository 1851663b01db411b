import { isRecording } from "../autograd/mode.js";
import type { Saved } from "../autograd/node.js";
import { defineOp } from "../autograd/op.js";
import { ShapeError } from "../core/errors.js";
import { formatShape, sameShape, sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { full } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { backwardCall, type Common, emptyOp, type Gradients, order, pick, savedInputs } from "./batch-norm-call.js";
import { composedBackward, normalizedBy, overChannels, withoutZero } from "./batch-norm-composed.js";
import { checkBatchNormSettings } from "./batch-norm-options.js";
import { checkFloat, like, storageOf } from "./operand.js";
import { cat } from "./shape.js";

/** Values per channel and example of [N, C, …]. */
const spaceOf = (x: Tensor): number => sizeOf(x.shape.slice(2));

/** Values per channel of [N, C, …]. */
const countOf = (x: Tensor): number => x.shape[0]! * spaceOf(x);

/** Row i of moments [3, C], as [C]. */
export const row = (moments: Tensor, i: number): Tensor => moments.slice(0, i, i + 1).reshape([moments.shape[1]!]);

/** Moments [3, C] of one part; zeros if it is empty. */
function momentsOf(x: Tensor): Tensor {
  const c = x.shape[1]!;
  const moments = like(x, [3, c]);
  if (x.size === 0) x.backend.call("fill", { y: moments.storage, n: moments.size, value: 0 });
  else x.backend.call("channelMoments", { x: x.storage, moments: moments.storage, n: x.shape[0]!, c, s: spaceOf(x) });
  return moments;
}

/** Moments of all parts together, which have `counts` values per channel. */
function merged(parts: readonly Tensor[], counts: readonly number[]): Tensor {
  const [first] = parts;
  const moments = like(first!);
  const all = cat(parts);
  const cells = withBackend(first!.backend, () => cat(counts.map((count) => full([1], count, { dtype: "int32" }))));
  const sizes = { k: parts.length, c: first!.shape[1]! };
  first!.backend.call("mergeMoments", { parts: all.storage, counts: cells.storage, moments: moments.storage, ...sizes });
  return moments;
}

const momentsOp = defineOp<{ counts: readonly number[] }>("channelMoments", {
  keepInputs: "all",
  keepOutput: true,
  forward: (parts, { counts }) => tidy(() => (parts.length === 1 ? momentsOf(parts[0]!) : merged(parts.map(momentsOf), counts))),
  gradient:
    ({ counts }) =>
    (saved, dmoments) => {
      const total = counts.reduce((sum, n) => sum + n, 0);
      const moments = saved.output();
      // The low part of the mean has no slope of its own: it is what rounding took from the high part.
      const slopeOfMean = row(dmoments, 0).mul(1 / total);
      const slopeOfVariance = row(dmoments, 2).mul(2 / total);
      return counts.map((_, i) => {
        if (!saved.needs[i]) return null;
        const x = saved.input(i);
        if (isRecording()) {
          const centred = x.sub(overChannels(row(moments, 0), x)).sub(overChannels(row(moments, 1), x));
          return centred.mul(overChannels(slopeOfVariance, x)).add(overChannels(slopeOfMean, x));
        }
        return affine(x, moments, slopeOfVariance, slopeOfMean);
      });
    },
});

/** (x − mean) · scale + shift in one pass, which is evaluation with a variance of 1. */
function affine(x: Tensor, moments: Tensor, scale: Tensor, shift: Tensor): Tensor {
  const y = like(x);
  const c = x.shape[1]!;
  const one = withBackend(x.backend, () => full([c], 1));
  const own = { x: x.storage, weight: scale.storage, bias: shift.storage, y: y.storage };
  const sizes = { n: x.shape[0]!, c, s: spaceOf(x) };
  x.backend.call("batchNormEval", { ...own, ...statistics(moments, 1), variance: one.storage, ...sizes, eps: 0, relu: 0 });
  return y;
}

/**
 * Mean and biased variance of each channel over all parts of a batch together, whatever their sizes.
 *
 * @param parts [Nᵢ, C, …] each, with the same C
 * @returns [3, C]: the mean rounded to float32, what rounding took from it, and the variance
 * @throws ShapeError if there is no part, or the channels differ
 * @see Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", equation 2.1
 */
export function channelMoments(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (first === undefined) throw new ShapeError("channelMoments: expected at least one part, got none.");
  for (const x of parts) {
    checkFloat("channelMoments", x);
    if (x.rank < 2 || x.shape[1] !== first.shape[1] || x.shape[1] === 0) {
      throw new ShapeError(
        `channelMoments: expected parts [N, C, …] with the same C, got ${parts.map((p) => formatShape(p.shape)).join(", ")}.`,
      );
    }
  }
  const counts = parts.map(countOf);
  if (counts.every((n) => n === 0)) throw new ShapeError("channelMoments: expected at least one value per channel, got none.");
  return momentsOp(parts, { counts });
}

/** Moments as the kernels of evaluation take them. */
function statistics(moments: Tensor, eps: number) {
  const variance = withoutZero(row(moments, 2), eps);
  return { mean: row(moments, 0).storage, meanLow: row(moments, 1).storage, variance: variance.storage };
}

/** The moments are the last input. */
const byMomentsOp = defineOp<Common>("batchNormByMoments", {
  keepInputs: "all",
  forward: (inputs, { has, n, c, s, eps, relu }) =>
    tidy(() => {
      const [x, moments] = [inputs[0]!, inputs.at(-1)!];
      const [weight, bias] = pick(inputs, has);
      const y = like(x);
      const own = { x: x.storage, weight: storageOf(weight), bias: storageOf(bias), y: y.storage };
      x.backend.call("batchNormEval", { ...own, ...statistics(moments, eps), n, c, s, eps, relu: relu ? 1 : 0 });
      return y;
    }),
  gradient: (options) => (saved, dy) => {
    const { has, eps } = options;
    const last = saved.needs.length - 1;
    const moments = saved.input(last);
    const gradients = isRecording()
      ? composedByMoments(options, saved, moments, dy)
      : fusedByMoments(options, saved, moments, dy);
    if (!saved.needs[last]) return [...order(has, gradients), null];
    const [, weight] = savedInputs(saved, has);
    const inverseStd = withoutZero(row(moments, 2), eps).add(eps).sqrt().reciprocal();
    const slope = weight ? inverseStd.mul(weight) : inverseStd;
    const dmean = gradients.dbias!.mul(slope).neg().reshape([1, options.c]);
    const dvariance = gradients.dweight!.mul(slope).mul(inverseStd).mul(-0.5).reshape([1, options.c]);
    return [...order(has, gradients), cat([dmean, dmean, dvariance])];
  },
});

function composedByMoments({ has, eps, relu }: Common, saved: Saved, moments: Tensor, dy: Tensor): Gradients {
  const [x, weight, bias] = savedInputs(saved, has);
  const normalized = normalizedBy(
    x.sub(overChannels(row(moments, 1), x)),
    row(moments, 0),
    withoutZero(row(moments, 2), eps),
    eps,
  );
  return composedBackward({ ...normalized, dy, weight, bias, relu, throughStats: false });
}

/** The gradients of γ and β are those of variance and mean, too, up to a factor: they are always computed. */
function fusedByMoments(options: Common, saved: Saved, moments: Tensor, dy: Tensor): Gradients {
  const { backend, call, gradients } = backwardCall(options, [saved.needs[0]!, true, true], saved, dy);
  backend.call("batchNormEvalBackward", { ...call, ...statistics(moments, options.eps), eps: options.eps });
  return gradients;
}

export interface ByMomentsOptions {
  /** γ, [C] (default 1). */
  weight?: Tensor | null;
  /** β, [C] (default 0). */
  bias?: Tensor | null;
  /** Added to the variance under the root (default 1e-5). */
  eps?: number;
  /** What is applied to y in the same pass over memory (default nothing). */
  activation?: "relu" | null;
}

/**
 * Batch normalization by moments that are inputs themselves, [3, C] as `channelMoments` gives them; gradients flow to them,
 * too. With the moments of all parts of a batch, each part comes out as in the whole batch.
 *
 * @param x [N, C] or [N, C, …]
 * @throws ShapeError if the channels of x, the moments, γ and β differ
 */
export function batchNormByMoments(x: Tensor, moments: Tensor, options: ByMomentsOptions = {}): Tensor {
  const { weight, bias, eps = 1e-5, activation } = options;
  checkFloat("batchNormByMoments", x, moments, weight, bias);
  const c = x.shape[1];
  if (x.rank < 2 || !sameShape(moments.shape, [3, c!])) {
    throw new ShapeError(
      `batchNormByMoments: expected input [N, C, …] and moments [3, C], got ${formatShape(x.shape)} and ${formatShape(moments.shape)}.`,
    );
  }
  for (const t of [weight, bias]) {
    if (t && !sameShape(t.shape, [c!])) {
      throw new ShapeError(`batchNormByMoments: expected weight and bias [${c}], got ${formatShape(t.shape)}.`);
    }
  }
  const has = [weight != null, bias != null] as const;
  const inputs = [x, weight, bias, moments].filter((t) => t != null);
  checkBatchNormSettings("batchNormByMoments", { eps, activation: activation ?? null });
  if (x.size === 0) return emptyOp(inputs);
  return byMomentsOp(inputs, { n: x.shape[0]!, c: c!, s: spaceOf(x), eps, relu: activation === "relu", has });
}
