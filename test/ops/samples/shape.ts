import * as ops from "../../../src/ops/index.js";
import { place } from "../../../src/ops/shape.js";
import { any, constant, type SampleTable, sample } from "./sample.js";

export const shape: SampleTable = {
  sum: [
    sample("all", [any(2, 3, 4)], (x) => ops.sum(x)),
    sample("the first axis", [any(3, 4)], (x) => ops.sum(x, 0)),
    sample("the last axis, kept", [any(3, 4)], (x) => ops.sum(x, -1, true)),
    sample("two axes apart", [any(2, 3, 4)], (x) => ops.sum(x, [0, 2])),
    sample("neighbours, kept", [any(2, 3, 4)], (x) => ops.sum(x, [2, 1], true)),
    sample("no axis", [any(3)], (x) => ops.sum(x, [])),
    sample("a scalar", [any()], (x) => ops.sum(x)),
    sample("sizes of 1", [any(1, 3, 1)], (x) => ops.sum(x, [0, 2])),
    sample("mean of rows", [any(3, 5)], (x) => ops.mean(x, 1)),
    sample("mean of all", [any(2, 2)], (x) => ops.mean(x)),
  ],
  sumChannels: [
    sample("a matrix", [any(4, 3)], ops.sumChannels),
    sample("images", [any(2, 3, 2, 5)], ops.sumChannels),
    sample("sizes of 1", [any(1, 1, 1)], ops.sumChannels),
  ],
  reshape: [
    sample("to a matrix", [any(12)], (x) => ops.reshape(x, [3, 4])),
    sample("with −1", [any(2, 3, 2)], (x) => ops.reshape(x, [-1, 6])),
    sample("to a scalar", [any(1)], (x) => ops.reshape(x, [])),
    sample("flatten", [any(2, 3, 2)], (x) => ops.flatten(x)),
  ],
  permute: [
    sample("three axes", [any(2, 3, 4)], (x) => ops.permute(x, [2, 0, 1])),
    sample("negative axes", [any(2, 3, 4)], (x) => ops.permute(x, [-1, 1, 0])),
    sample("transpose", [any(3, 5)], (x) => ops.transpose(x)),
    sample("four axes", [any(2, 1, 3, 2)], (x) => ops.permute(x, [0, 2, 3, 1])),
    sample("transpose of the outer axes", [any(2, 3, 2)], (x) => ops.transpose(x, 0, 1)),
    sample("a scalar", [any()], (x) => ops.permute(x, [])),
  ],
  expand: [
    sample("in front", [any(3)], (x) => ops.expand(x, [2, 3])),
    sample("in the middle", [any(2, 1, 3)], (x) => ops.expand(x, [2, 4, 3])),
    sample("behind", [any(2, 1)], (x) => ops.expand(x, [2, 3])),
    sample("a scalar", [any()], (x) => ops.expand(x, [2, 2])),
    sample("everywhere", [any(1, 1)], (x) => ops.expand(x, [2, 3, 2])),
  ],
  slice: [
    sample("rows", [any(5, 2)], (x) => ops.slice(x, 0, 1, 4)),
    sample("columns from the end", [any(3, 5)], (x) => ops.slice(x, -1, -3, -1)),
    sample("the middle axis", [any(2, 3, 4)], (x) => ops.slice(x, 1, 1, 2)),
    sample("all of it", [any(3)], (x) => ops.slice(x, 0, 0, 3)),
    sample("overlapping slices add up", [any(5)], (x) => ops.slice(x, 0, 0, 4).mul(ops.slice(x, 0, 1, 5))),
  ],
  place: [
    sample("rows", [any(2, 3)], (x) => place(x, [5, 3], 0, 2)),
    sample("columns", [any(2, 3)], (x) => place(x, [2, 4], 1, 0)),
    sample("the middle axis", [any(2, 1, 2)], (x) => place(x, [2, 3, 2], 1, 1)),
  ],
  cat: [
    sample("rows", [any(2, 3), any(1, 3)], (...xs) => ops.cat(xs)),
    sample("columns of three", [any(2, 1), any(2, 3), any(2, 2)], (...xs) => ops.cat(xs, -1)),
    sample("the middle axis", [any(2, 1, 2), any(2, 2, 2)], (...xs) => ops.cat(xs, 1)),
    sample("one tensor", [any(2, 2)], (...xs) => ops.cat(xs)),
    sample("the same twice", [any(2, 2)], (x) => ops.cat([x, x], 1)),
    sample("one without a gradient", [constant(any(2)), any(3)], (...xs) => ops.cat(xs)),
  ],
};
