import { DTypeError, ShapeError } from "../core/errors.js";
import { checkShape, formatShape, type Shape, sizeOf } from "../core/shape.js";
import { currentBackend } from "../engine/current.js";
import { refuseInStep, WRITING_REFUSED } from "../engine/recorder.js";
import { drawRandom } from "./random.js";
import { type NestedArray, Tensor, type TensorDType } from "./tensor.js";

export interface TensorOptions {
  /** Whether autograd follows what is computed from it (default false). */
  requiresGrad?: boolean;
  /** Default: int32 for an Int32Array, else float32. */
  dtype?: TensorDType;
}

/** The type that `options` ask for, before any memory is taken. */
function dtypeOf(who: string, options: TensorOptions, usual: TensorDType, allowed: readonly TensorDType[]): TensorDType {
  const dtype = options.dtype ?? usual;
  if (!allowed.includes(dtype)) {
    throw new DTypeError(`${who}: expected dtype ${allowed.map((d) => `"${d}"`).join(" or ")}, got ${JSON.stringify(dtype)}.`);
  }
  if (options.requiresGrad && dtype !== "float32") throw new DTypeError(`requiresGrad: expected a float32 tensor, got ${dtype}.`);
  return dtype;
}

function finish(t: Tensor, options: TensorOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true;
  return t;
}

function shapeOf(value: NestedArray): number[] {
  const shape: number[] = [];
  for (let v: NestedArray | undefined = value; Array.isArray(v); v = v[0]) shape.push(v.length);
  return shape;
}

function flattenInto(value: NestedArray, shape: Shape, axis: number, out: number[]): void {
  if (!Array.isArray(value)) {
    if (axis !== shape.length)
      throw new ShapeError(`tensor: nested arrays of unequal depth; expected shape ${formatShape(shape)}.`);
    out.push(value);
    return;
  }
  if (axis >= shape.length || value.length !== shape[axis]) {
    throw new ShapeError(`tensor: nested arrays of unequal length; expected shape ${formatShape(shape)}.`);
  }
  for (const item of value) flattenInto(item, shape, axis + 1, out);
}

/**
 * Makes a tensor from numbers: a typed array or flat array with a shape, nested arrays, or one number.
 *
 * @param shape sizes, outermost first (default: that of the nested arrays; `[length]` for a flat array)
 * @throws ShapeError if the number of values does not fit the shape, or nested arrays are ragged
 */
export function tensor(values: ArrayLike<number> | NestedArray, shape?: Shape, options: TensorOptions = {}): Tensor {
  let flat: ArrayLike<number>;
  let own: Shape;
  if (typeof values === "number" || Array.isArray(values)) {
    own = shapeOf(values as NestedArray);
    const list: number[] = [];
    flattenInto(values as NestedArray, own, 0, list);
    flat = list;
  } else {
    flat = values as ArrayLike<number>;
    own = [flat.length];
  }
  refuseInStep("tensor", WRITING_REFUSED);
  const finalShape = shape ?? own;
  checkShape("tensor", finalShape);
  if (sizeOf(finalShape) !== flat.length) {
    throw new ShapeError(`tensor: shape ${formatShape(finalShape)} needs ${sizeOf(finalShape)} values, got ${flat.length}.`);
  }
  const dtype = dtypeOf("tensor", options, flat instanceof Int32Array ? "int32" : "float32", ["float32", "int32"]);
  const t = Tensor.empty(currentBackend(), [...finalShape], dtype);
  t.backend.write(t.storage, flat);
  return finish(t, options);
}

/** A tensor in which every value is `value`. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  checkShape("full", shape);
  const dtype = dtypeOf("full", options, "float32", ["float32", "int32"]);
  const t = Tensor.empty(currentBackend(), [...shape], dtype);
  t.backend.call(t.dtype === "int32" ? "fillInt" : "fill", { y: t.storage, n: t.size, value });
  return finish(t, options);
}

export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

/** Independent values, uniform in [low, high). */
export function uniform(shape: Shape, low = 0, high = 1, options: TensorOptions = {}): Tensor {
  checkShape("uniform", shape);
  dtypeOf("uniform", options, "float32", ["float32"]);
  const t = Tensor.empty(currentBackend(), [...shape]);
  drawRandom(t.backend, (state) => t.backend.call("randomUniform", { state, y: t.storage, n: t.size, low, high }));
  return finish(t, options);
}

/** Independent normal values. */
export function normal(shape: Shape, mean = 0, std = 1, options: TensorOptions = {}): Tensor {
  checkShape("normal", shape);
  dtypeOf("normal", options, "float32", ["float32"]);
  const t = Tensor.empty(currentBackend(), [...shape]);
  drawRandom(t.backend, (state) => t.backend.call("randomNormal", { state, y: t.storage, n: t.size, mean, std }));
  return finish(t, options);
}
