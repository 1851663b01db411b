import { isRecording } from "../autograd/mode.js";
import type { Saved } from "../autograd/node.js";
import { defineOp, type Op } from "../autograd/op.js";
import { BackendError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape, type Shape, sameShape, sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like, storageOf } from "./operand.js";

/**
 * How an input is seen: as [rows, c, s], each row of which is normalized over its own c · s values. γ and β hold groups · c
 * values; row r takes those of group r % groups.
 */
export interface RowLayout {
  rows: number;
  c: number;
  s: number;
  groups: number;
}

interface RowNormOptions extends RowLayout {
  eps: number;
  /** Divides by the root mean square and leaves the mean where it is. */
  rms: boolean;
  has: readonly [weight: boolean, bias: boolean];
}

export interface RowNormParameters {
  /** γ (default 1). */
  weight?: Tensor | null | undefined;
  /** β (default 0). */
  bias?: Tensor | null | undefined;
  /** Added to the variance under the root. */
  eps: number;
  /** Who speaks in errors. */
  who: string;
}

/** The gradients of the inputs by the kernel; rows of zeros where there are no examples. */
function kernelGradients(saved: Saved, dy: Tensor, { rows, c, s, groups, rms, has }: RowNormOptions): (Tensor | null)[] {
  const x = saved.input(0);
  const gradients = saved.shapes.map((shape, i) => (saved.needs[i] ? like(x, shape) : null));
  x.backend.call("rowNormBackward", {
    x: x.storage,
    dy: dy.storage,
    weight: has[0] ? saved.input(1).storage : null,
    stats: saved.extra(0).storage,
    dx: storageOf(gradients[0]),
    dweight: has[0] ? storageOf(gradients[1]) : null,
    dbias: has[1] ? storageOf(gradients[has[0] ? 2 : 1]) : null,
    rows,
    c,
    s,
    groups,
    rms: rms ? 1 : 0,
  });
  return gradients;
}

/**
 * The same as ops, which `createGraph` differentiates: with g = dy·γ and means over a row,
 * dx = (g − mean(g) − x̂·mean(g·x̂)) / √(σ² + ε), dγ = Σ dy·x̂, dβ = Σ dy. Without mean(g) for the root mean square.
 */
function composedGradients(saved: Saved, dy: Tensor, options: RowNormOptions): (Tensor | null)[] {
  const { rows, c, s, groups, eps, rms, has } = options;
  const view = (t: Tensor) => t.reshape([rows / groups, groups, c, s]);
  const mean = (t: Tensor) => t.mean([2, 3], true);
  const x = view(saved.input(0));
  const flow = view(dy);
  let centred = x;
  if (!rms) {
    // In two steps, so that little of the mean is lost at a large offset.
    const rough = x.sub(mean(x));
    centred = rough.sub(mean(rough));
  }
  const inverse = mean(centred.square()).add(eps).sqrt().reciprocal();
  const xhat = centred.mul(inverse);
  const g = has[0] ? flow.mul(saved.input(1).reshape([1, groups, c, 1])) : flow;
  const through = () => {
    const own = rms ? g : g.sub(mean(g));
    return own.sub(xhat.mul(mean(g.mul(xhat)))).mul(inverse);
  };
  const sums = [through, ...(has[0] ? [() => flow.mul(xhat).sum([0, 3])] : []), ...(has[1] ? [() => flow.sum([0, 3])] : [])];
  return sums.map((gradient, i) => (saved.needs[i] ? gradient().reshape(saved.shapes[i]!) : null));
}

/** An op that normalizes rows: inputs are x, then γ and β as far as there are any. */
function defineRowNorm(name: string): Op<RowNormOptions> {
  return defineOp<RowNormOptions>(name, {
    keepInputs: [0, 1],
    forward: (inputs, { rows, c, s, groups, eps, rms, has }, save) => {
      const x = inputs[0]!;
      const y = like(x);
      const stats = like(x, [3, rows]);
      x.backend.call("rowNorm", {
        x: x.storage,
        weight: has[0] ? inputs[1]!.storage : null,
        bias: has[1] ? inputs[has[0] ? 2 : 1]!.storage : null,
        y: y.storage,
        stats: stats.storage,
        rows,
        c,
        s,
        groups,
        eps,
        rms: rms ? 1 : 0,
      });
      save(stats);
      return y;
    },
    gradient: (options) => (saved, dy) =>
      isRecording() && dy.size > 0 ? composedGradients(saved, dy, options) : kernelGradients(saved, dy, options),
  });
}

const ops = {
  layerNorm: defineRowNorm("layerNorm"),
  groupNorm: defineRowNorm("groupNorm"),
  instanceNorm: defineRowNorm("instanceNorm"),
  rmsNorm: defineRowNorm("rmsNorm"),
};

/** Normalizes the rows of x, which the caller has checked. */
export function rowNorm(kind: keyof typeof ops, x: Tensor, layout: RowLayout, { weight, bias, eps }: RowNormParameters): Tensor {
  const has = [weight != null, bias != null] as const;
  const inputs = [x, weight, bias].filter((t) => t != null);
  // Without parameters it does not matter which part of a row is which.
  const plain = has[0] || has[1] ? layout : { rows: layout.rows, c: 1, s: layout.c * layout.s, groups: 1 };
  return ops[kind](inputs, { ...plain, eps, rms: kind === "rmsNorm", has });
}

/** Refuses tensors of other types or backends than the kernels can work on together, and a negative eps. */
export function checkRowNorm(x: Tensor, { weight, bias, eps, who }: RowNormParameters): void {
  for (const t of [weight, bias]) {
    if (t && t.backend !== x.backend)
      throw new BackendError(`${who}: the input and the layer's tensors lie on different backends.`);
  }
  checkFloat(who, x, weight, bias);
  checkEps(who, eps);
}

/** Refuses an eps below 0 or without end. @throws OptionError */
export function checkEps(who: string, eps: number): void {
  if (!(eps >= 0 && eps < Infinity)) throw new OptionError(`${who}: expected eps of at least 0, got ${eps}.`);
}

/** The sizes of the last axes as a list. @throws ShapeError if it is empty or has a size below 1 */
export function normalizedShapeOf(who: string, shape: number | readonly number[]): readonly number[] {
  const list = typeof shape === "number" ? [shape] : [...shape];
  if (list.length === 0) {
    throw new ShapeError(
      `${who}: Expected normalized_shape to be at least 1-dimensional, got []. Name the sizes of the last axes.`,
    );
  }
  if (!list.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new ShapeError(`${who}: expected normalizedShape to hold integers of at least 1, got ${formatShape(list)}.`);
  }
  return list;
}

/** The layout of rows that are the last axes of x. @throws ShapeError if x does not end in `shape` or a parameter is not of it */
export function lastAxes(x: Tensor, shape: Shape, { who, weight, bias }: RowNormParameters): RowLayout {
  if (x.rank < shape.length || !sameShape(x.shape.slice(x.rank - shape.length), shape)) {
    throw new ShapeError(
      `${who}: Given normalized_shape=${formatShape(shape)}, expected input with shape [*, ${shape.join(", ")}], ` +
        `but got input of size${formatShape(x.shape)}.`,
    );
  }
  for (const [name, t] of [["weight", weight] as const, ["bias", bias] as const]) {
    if (!t || sameShape(t.shape, shape)) continue;
    throw new ShapeError(
      `${who}: Expected ${name} to be of same shape as normalized_shape, but got ${name} of shape ${formatShape(t.shape)} ` +
        `and normalized_shape = ${formatShape(shape)}.`,
    );
  }
  const c = sizeOf(shape);
  return { rows: x.size / c, c, s: 1, groups: 1 };
}

/** Refuses parameters that do not have one value for each channel of x [N, C, …]. */
export function checkChannelParameters(x: Tensor, { who, weight, bias }: RowNormParameters): void {
  for (const [name, t] of [["weight", weight] as const, ["bias", bias] as const]) {
    if (!t || (t.rank === 1 && t.shape[0] === x.shape[1])) continue;
    throw new ShapeError(
      `${who}: Expected ${name} to be a vector of size equal to the number of channels in input, ` +
        `but got ${name} of shape ${formatShape(t.shape)} and input of shape ${formatShape(x.shape)}.`,
    );
  }
}
