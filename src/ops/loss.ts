import { isRecording } from "../autograd/mode.js";
import type { Saved } from "../autograd/node.js";
import { defineOp } from "../autograd/op.js";
import { DataError, DTypeError, GradientError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape, type Shape, sameShape, sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { full, tensor } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like, storageOf } from "./operand.js";
import { softmax } from "./softmax.js";

/** How losses of single examples become one: "mean" (weighted where there are class weights), "sum", or "none". */
export type Reduction = "mean" | "sum" | "none";

export interface CrossEntropyOptions {
  /** A weight for each class, [C] (default: all 1). */
  weight?: Tensor;
  /** Part of the target that is spread evenly over all classes, 0 to 1 (default 0; Szegedy et al. 2016). */
  labelSmoothing?: number;
  /** Targets with this value do not count (default −100). */
  ignoreIndex?: number;
  /** Default "mean". */
  reduction?: Reduction;
}

interface Options {
  smoothing: number;
  ignoreIndex: number;
  reduction: Reduction;
  hasWeight: boolean;
}

/** Logits [N, C, …] as [outer, classes, inner]. */
function sizesOf(x: Tensor): { outer: number; count: number; inner: number } {
  return { outer: x.shape[0]!, count: x.shape[1]!, inner: sizeOf(x.shape.slice(2)) };
}

const crossEntropyOp = defineOp<Options>("crossEntropy", {
  keepInputs: [0, 1, 2],
  forward: ([x, target, weight], { smoothing, ignoreIndex, reduction }, save) => {
    const rows = target!.shape;
    const [loss, rowWeight, lse] = [like(x!, rows), like(x!, rows), like(x!, rows)];
    const memory = { loss: loss.storage, rowWeight: rowWeight.storage };
    const sizes = sizesOf(x!);
    const inputs = { x: x!.storage, target: target!.storage, weight: storageOf(weight), lse: lse.storage };
    if (loss.size > 0) x!.backend.call("crossEntropy", { ...inputs, ...memory, ...sizes, smoothing, ignoreIndex });
    const total = like(x!, []);
    const totalWeight = like(x!, []);
    const mean = reduction === "mean" ? 1 : 0;
    x!.backend.call("crossEntropyReduce", {
      ...memory,
      total: total.storage,
      totalWeight: totalWeight.storage,
      n: loss.size,
      mean,
    });
    save(lse, totalWeight);
    rowWeight.dispose();
    (reduction === "none" ? total : loss).dispose();
    return reduction === "none" ? loss : total;
  },
  gradient: (options) => (saved, dloss) => [
    isRecording() ? composedBackward(saved, dloss, options) : kernelBackward(saved, saved.extra(0), dloss, options),
  ],
});

/** dx = dloss · (softmax(x) · Σ c − c), where c is the weight of each class in the loss; softmax(x) is exp(x − lse). */
function kernelBackward(saved: Saved, lse: Tensor, dloss: Tensor, options: Options): Tensor {
  const x = saved.input(0);
  const dx = like(x);
  if (dx.size === 0) return dx;
  const { smoothing, ignoreIndex, reduction, hasWeight } = options;
  x.backend.call("crossEntropyBackward", {
    x: x.storage,
    target: saved.input(1).storage,
    weight: hasWeight ? saved.input(2).storage : null,
    lse: lse.storage,
    totalWeight: reduction === "none" ? null : saved.extra(1).storage,
    dloss: dloss.storage,
    dx: dx.storage,
    ...sizesOf(x),
    smoothing,
    ignoreIndex,
  });
  return dx;
}

/** The same from ops on x and dloss, for createGraph. */
function composedBackward(saved: Saved, dloss: Tensor, options: Options): Tensor {
  const x = saved.input(0);
  // With lse = ∞ the kernel takes the softmax for 0: what it gives for dloss = 1 is −c.
  const constant = (shape: Shape, value: number) => withBackend(x.backend, () => full(shape, value));
  const minusC = kernelBackward(saved, constant(saved.extra(0).shape, Infinity), constant(dloss.shape, 1), options);
  const [n, ...inner] = dloss.shape;
  const each = options.reduction === "none" ? dloss.reshape([n!, 1, ...inner]) : dloss;
  return minusC.sub(softmax(x, 1).mul(minusC.sum(1, true))).mul(each);
}

/** Labels from JavaScript, checked one by one; labels that are tensors already are trusted (a wrong one gives NaN). */
function targetOf(x: Tensor, target: Int32Array | Tensor, ignoreIndex: number): Tensor {
  const rows = [x.shape[0]!, ...x.shape.slice(2)];
  if (!(target instanceof Int32Array)) {
    if (target.dtype !== "int32") throw new DTypeError(`crossEntropy: expected int32 labels, got ${target.dtype}.`);
    if (!sameShape(target.shape, rows)) {
      throw new ShapeError(
        `crossEntropy: expected target ${formatShape(rows)} for logits ${formatShape(x.shape)}, got ${formatShape(target.shape)}.`,
      );
    }
    return target;
  }
  if (target.length !== sizeOf(rows)) {
    throw new ShapeError(
      `crossEntropy: expected ${sizeOf(rows)} labels for logits ${formatShape(x.shape)}, got ${target.length}.`,
    );
  }
  for (let i = 0; i < target.length; i++) {
    const label = target[i]!;
    if (label !== ignoreIndex && (label < 0 || label >= x.shape[1]!)) {
      throw new DataError(`crossEntropy: Target ${label} is out of bounds: label ${i} must be from 0 to ${x.shape[1]! - 1}.`);
    }
  }
  return withBackend(x.backend, () => tensor(target, rows));
}

/**
 * Cross-entropy of logits against class labels: −log softmax(x)[target].
 *
 * @param x logits [N, C] or [N, C, …]
 * @param target class labels [N] or [N, …], an Int32Array (checked) or an int32 tensor (trusted)
 * @returns one value, or [N, …] with reduction "none"; NaN if "mean" has nothing to count
 * @throws DataError if a label is out of range; GradientError if the class weights require grad
 */
export function crossEntropy(x: Tensor, target: Int32Array | Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { weight, labelSmoothing = 0, ignoreIndex = -100, reduction = "mean" } = options;
  checkFloat("crossEntropy", x, weight);
  if (x.rank < 2) throw new ShapeError(`crossEntropy: expected logits [N, C], got ${formatShape(x.shape)}.`);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new OptionError(`crossEntropy: expected labelSmoothing from 0 to 1, got ${labelSmoothing}.`);
  }
  checkReduction("crossEntropy", reduction);
  if (weight && !sameShape(weight.shape, [x.shape[1]!])) {
    throw new ShapeError(`crossEntropy: expected weight [${x.shape[1]}], got ${formatShape(weight.shape)}.`);
  }
  if (weight?.requiresGrad) throw new GradientError("crossEntropy: class weights have no derivative here; pass weight.detach().");
  const labels = targetOf(x, target, ignoreIndex);
  const inputs = weight ? [x, labels, weight] : [x, labels];
  const y = crossEntropyOp(inputs, { smoothing: labelSmoothing, ignoreIndex, reduction, hasWeight: weight !== undefined });
  if (labels !== target) labels.dispose();
  return y;
}

function checkReduction(who: string, reduction: Reduction): void {
  if (!["mean", "sum", "none"].includes(reduction)) {
    throw new OptionError(`${who}: expected reduction "mean", "sum" or "none", got ${JSON.stringify(reduction)}.`);
  }
}

/** Squared error (x − target)², averaged over all values by default. */
export function mseLoss(x: Tensor, target: Tensor, { reduction = "mean" }: { reduction?: Reduction } = {}): Tensor {
  checkReduction("mseLoss", reduction);
  if (!sameShape(x.shape, target.shape)) {
    throw new ShapeError(`mseLoss: expected a target of shape ${formatShape(x.shape)}, got ${formatShape(target.shape)}.`);
  }
  checkFloat("mseLoss", x, target);
  return tidy(() => {
    const squares = x.sub(target).square();
    return reduction === "none" ? squares : reduction === "sum" ? squares.sum() : squares.mean();
  });
}
