import { defineOp } from "../autograd/op.js";
import { ShapeError } from "../core/errors.js";
import {
  broadcastStrides,
  checkShape,
  collapseAxes,
  formatShape,
  normalizeAxis,
  type Shape,
  sameShape,
  sizeOf,
  stridesOf,
} from "../core/shape.js";
import { installMethods, Tensor } from "../tensor/tensor.js";

/** y[…] = x[…] over `shape`, with strides and offsets in elements; y is written only where named. */
function stridedCopy(
  x: Tensor,
  y: Tensor,
  shape: Shape,
  xStrides: readonly number[],
  yStrides: readonly number[],
  xOffset: number,
  yOffset: number,
): void {
  if (sizeOf(shape) === 0) return;
  const axes = collapseAxes("copy", shape, [...xStrides], [...yStrides]);
  const call = { x: x.storage, y: y.storage, shape: axes.shape, xStrides: axes.strides[0]!, yStrides: axes.strides[1]! };
  x.backend.call("stridedCopy", { ...call, xOffset, yOffset });
}

const reshapeOp = defineOp<Shape>("reshape", {
  forward: ([x], shape) => x!.view(shape),
  gradient: () => (saved, dy) => [reshape(dy, saved.shapes[0]!)],
});

/** The same values in another shape; one size may be −1. No copy is made. @throws ShapeError if the sizes differ */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = sizeOf(shape.filter((n) => n !== -1));
  const out = shape.map((n) => (n === -1 ? x.size / known : n));
  if (shape.filter((n) => n === -1).length > 1 || out.some((n) => !Number.isInteger(n)) || sizeOf(out) !== x.size) {
    throw new ShapeError(`reshape: shape ${formatShape(x.shape)} with ${x.size} values cannot become ${formatShape(shape)}.`);
  }
  checkShape("reshape", out);
  return reshapeOp([x], out);
}

/** Joins all axes from `startAxis` on into one. */
export function flatten(x: Tensor, startAxis = 1): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const start = normalizeAxis("flatten", startAxis, x.rank);
  return reshape(x, [...x.shape.slice(0, start), sizeOf(x.shape.slice(start))]);
}

const permuteOp = defineOp<readonly number[]>("permute", {
  forward: ([x], axes) => {
    const strides = stridesOf(x!.shape);
    const shape = axes.map((a) => x!.shape[a]!);
    const y = Tensor.empty(x!.backend, shape, x!.dtype);
    stridedCopy(
      x!,
      y,
      shape,
      axes.map((a) => strides[a]!),
      stridesOf(shape),
      0,
      0,
    );
    return y;
  },
  gradient: (axes) => (_saved, dy) => {
    const back = new Array<number>(axes.length);
    axes.forEach((a, i) => {
      back[a] = i;
    });
    return [permute(dy, back)];
  },
});

/** Axes in another order: y has shape `axes.map(a => x.shape[a])`. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((a) => normalizeAxis("permute", a, x.rank));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ShapeError(`permute: expected each of the ${x.rank} axes once, got [${axes.join(", ")}].`);
  }
  return permuteOp([x], order);
}

/** Exchanges two axes (default: the last two). */
export function transpose(x: Tensor, axis0 = -2, axis1 = -1): Tensor {
  const a = normalizeAxis("transpose", axis0, x.rank);
  const b = normalizeAxis("transpose", axis1, x.rank);
  const axes = x.shape.map((_, i) => (i === a ? b : i === b ? a : i));
  return permuteOp([x], axes);
}

const expandOp = defineOp<Shape>("expand", {
  forward: ([x], shape) => {
    const y = Tensor.empty(x!.backend, shape, x!.dtype);
    stridedCopy(x!, y, shape, broadcastStrides(x!.shape, shape), stridesOf(shape), 0, 0);
    return y;
  },
  gradient: () => (saved, dy) => [dy.sumTo(saved.shapes[0]!)],
});

/** Repeats axes of size 1, and new axes in front, to `shape` (NumPy's broadcasting). */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkShape("expand", shape);
  const lead = shape.length - x.rank;
  if (lead < 0 || x.shape.some((n, i) => n !== 1 && n !== shape[lead + i])) {
    throw new ShapeError(`expand: shape ${formatShape(x.shape)} cannot be broadcast to ${formatShape(shape)}.`);
  }
  return sameShape(x.shape, shape) ? reshape(x, shape) : expandOp([x], [...shape]);
}

interface SliceOptions {
  axis: number;
  start: number;
  end: number;
}

const sliceOp = defineOp<SliceOptions>("slice", {
  forward: ([x], { axis, start, end }) => {
    const strides = stridesOf(x!.shape);
    const shape = x!.shape.map((n, i) => (i === axis ? end - start : n));
    const y = Tensor.empty(x!.backend, shape, x!.dtype);
    stridedCopy(x!, y, shape, strides, stridesOf(shape), start * strides[axis]!, 0);
    return y;
  },
  gradient:
    ({ axis, start }) =>
    (saved, dy) => [place(dy, saved.shapes[0]!, axis, start)],
});

/** Positions [start, end) of one axis; negative positions count from the end. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const a = normalizeAxis("slice", axis, x.rank);
  const size = x.shape[a]!;
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  if (!(Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to && to <= size)) {
    throw new ShapeError(`slice: [${start}, ${end}) is not a range of axis ${a}, whose size is ${size}.`);
  }
  return sliceOp([x], { axis: a, start: from, end: to });
}

const placeOp = defineOp<{ shape: Shape; axis: number; start: number }>("place", {
  forward: ([x], { shape, axis, start }) => {
    const y = Tensor.empty(x!.backend, shape, x!.dtype);
    y.backend.call(y.dtype === "int32" ? "fillInt" : "fill", { y: y.storage, n: y.size, value: 0 });
    const strides = stridesOf(shape);
    stridedCopy(x!, y, x!.shape, stridesOf(x!.shape), strides, 0, start * strides[axis]!);
    return y;
  },
  gradient:
    ({ axis, start }) =>
    (saved, dy) => [slice(dy, axis, start, start + saved.shapes[0]![axis]!)],
});

/** Zeros of `shape` with `x` at position `start` of one axis: the transpose of `slice`. */
export function place(x: Tensor, shape: Shape, axis: number, start: number): Tensor {
  return placeOp([x], { shape, axis, start });
}

const catOp = defineOp<number>("cat", {
  forward: (xs, axis) => {
    const total = xs.reduce((sum, x) => sum + x.shape[axis]!, 0);
    const shape = xs[0]!.shape.map((n, i) => (i === axis ? total : n));
    const y = Tensor.empty(xs[0]!.backend, shape, xs[0]!.dtype);
    const strides = stridesOf(shape);
    let at = 0;
    for (const x of xs) {
      stridedCopy(x, y, x.shape, stridesOf(x.shape), strides, 0, at * strides[axis]!);
      at += x.shape[axis]!;
    }
    return y;
  },
  gradient: (axis) => (saved, dy) => {
    let at = 0;
    return saved.shapes.map((shape, i) => {
      const start = at;
      at += shape[axis]!;
      return saved.needs[i] ? slice(dy, axis, start, at) : null;
    });
  },
});

/** Tensors one after the other along `axis` (default 0); all other sizes must agree. */
export function cat(tensors: readonly Tensor[], axis = 0): Tensor {
  const first = tensors[0];
  if (first === undefined) throw new ShapeError("cat: expected at least one tensor, got none.");
  const a = normalizeAxis("cat", axis, first.rank);
  for (const t of tensors) {
    if (t.rank !== first.rank || t.dtype !== first.dtype || t.shape.some((n, i) => i !== a && n !== first.shape[i])) {
      throw new ShapeError(
        `cat: expected tensors that agree outside axis ${a}, got ${formatShape(first.shape)} ${first.dtype} and ${formatShape(t.shape)} ${t.dtype}.`,
      );
    }
  }
  return catOp(tensors, a);
}

installMethods({
  reshape(shape) {
    return reshape(this, shape);
  },
  flatten(startAxis) {
    return flatten(this, startAxis);
  },
  permute(axes) {
    return permute(this, axes);
  },
  transpose(axis0, axis1) {
    return transpose(this, axis0, axis1);
  },
  expand(shape) {
    return expand(this, shape);
  },
  slice(axis, start, end) {
    return slice(this, axis, start, end);
  },
});
