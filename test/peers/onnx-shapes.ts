/** Operators of ONNX that move values and compute none. */
import { broadcastShapes, normalizeAxis, sizeOf } from "../../src/core/shape.js";
import * as ops from "../../src/ops/index.js";
import { axesOf, notApplicable, type Operator } from "./onnx-call.js";

const reshape: Operator = (call) => {
  const x = call.x();
  const shape = call.ints("shape", undefined) ?? call.integers(1)!;
  const copiesZeros = call.int("allowzero", 0) === 0;
  return x.reshape(shape.map((n, i) => (n === 0 && copiesZeros ? x.shape[i]! : n)));
};

const flatten: Operator = (call) => {
  const x = call.x();
  const axis = call.int("axis", 1);
  const start = axis < 0 ? axis + x.rank : axis;
  return x.reshape([sizeOf(x.shape.slice(0, start)), sizeOf(x.shape.slice(start))]);
};

const squeeze: Operator = (call) => {
  const x = call.x();
  const axes = axesOf(call)?.map((axis) => normalizeAxis("Squeeze", axis, x.rank));
  return x.reshape(x.shape.filter((n, i) => (axes === undefined ? n !== 1 : !axes.includes(i))));
};

const unsqueeze: Operator = (call) => {
  const x = call.x();
  const rank = x.rank + axesOf(call)!.length;
  const axes = axesOf(call)!.map((axis) => normalizeAxis("Unsqueeze", axis, rank));
  const sizes = [...x.shape];
  return x.reshape(Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : sizes.shift()!)));
};

const transpose: Operator = (call) => {
  const x = call.x();
  return ops.permute(x, call.ints("perm", x.shape.map((_, i) => i).reverse()));
};

const slice: Operator = (call) => {
  const given = (name: string, i: number) => call.ints(name, undefined) ?? call.integers(i);
  const [starts, ends] = [given("starts", 1)!, given("ends", 2)!];
  const axes = given("axes", 3) ?? starts.map((_, i) => i);
  if (call.integers(4)?.some((step) => step !== 1)) notApplicable("steps other than 1");
  return axes.reduce((x, axis, i) => {
    const size = x.shape[normalizeAxis("Slice", axis, x.rank)]!;
    const position = (at: number) => Math.min(size, Math.max(0, at < 0 ? at + size : at));
    return ops.slice(x, axis, position(starts[i]!), position(ends[i]!));
  }, call.x());
};

const split: Operator = (call) => {
  const [x, axis] = [call.x(), call.int("axis", 0)];
  const size = x.shape[normalizeAxis("Split", axis, x.rank)]!;
  const part = Math.ceil(size / call.outputs);
  const equal = Array.from({ length: call.outputs }, (_, i) => Math.min(part, size - i * part));
  const sizes = call.ints("split", undefined) ?? call.integers(1) ?? equal;
  let at = 0;
  return sizes.map((n) => {
    at += n;
    return ops.slice(x, axis, at - n, at);
  });
};

export const shapeOperators: Readonly<Record<string, Operator>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Slice: slice,
  Split: split,
  Concat: (call) => ops.cat(call.all(), call.int("axis", 1)),
  Expand: (call) => ops.expand(call.x(), broadcastShapes("Expand", call.x().shape, call.integers(1)!)),
};
