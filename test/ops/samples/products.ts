import type { Conv2dOptions } from "../../../src/ops/index.js";
import * as ops from "../../../src/ops/index.js";
import { convolutions } from "./convolutions.js";
import { gradientOf } from "./gradient-of.js";
import { any, constant, type Sample, type SampleTable, sample } from "./sample.js";

/** Every pair of transposition flags, with the batch axis on both sides, on one, on none. */
function matmuls(): Sample[] {
  const list: Sample[] = [];
  const batches: readonly [number[], number[]][] = [
    [[], []],
    [[2], [2]],
    [[3], []],
    [[], [3]],
    [[1], [1]],
  ];
  for (const transA of [false, true]) {
    for (const transB of [false, true]) {
      for (const [p, q] of batches) {
        const a = any(...p, ...(transA ? [4, 3] : [3, 4]));
        const b = any(...q, ...(transB ? [5, 4] : [4, 5]));
        const title = `[${a.shape}]${transA ? "ᵀ" : ""} · [${b.shape}]${transB ? "ᵀ" : ""}`;
        list.push(sample(title, [a, b], (x, y) => ops.matmul(x, y, { transA, transB })));
      }
    }
  }
  list.push(sample("sizes of 1", [any(1, 1), any(1, 1)], (a, b) => ops.matmul(a, b)));
  list.push(sample("left alone", [any(2, 3), constant(any(3, 2))], (a, b) => ops.matmul(a, b)));
  list.push(sample("a square with itself", [any(3, 3)], (a) => ops.matmul(a, a)));
  return list;
}

interface Geometry extends Conv2dOptions {
  title: string;
  x: [number, number, number, number];
  weight: [number, number, number, number];
}

const geometries: readonly Geometry[] = [
  { title: "3×3", x: [2, 2, 5, 4], weight: [3, 2, 3, 3] },
  { title: "1×1", x: [2, 3, 2, 3], weight: [2, 3, 1, 1] },
  { title: "one pixel", x: [1, 1, 1, 1], weight: [1, 1, 1, 1] },
  { title: "padding", x: [1, 2, 3, 4], weight: [2, 2, 3, 3], padding: 1 },
  { title: "uneven padding", x: [1, 1, 3, 3], weight: [2, 1, 3, 2], padding: [2, 1] },
  { title: "stride with a remainder", x: [1, 2, 6, 5], weight: [2, 2, 3, 2], stride: 2 },
  { title: "uneven stride and padding", x: [2, 1, 5, 5], weight: [2, 1, 3, 3], stride: [1, 3], padding: [0, 1] },
  { title: "stride past the window", x: [1, 1, 7, 7], weight: [1, 1, 2, 2], stride: 3 },
  { title: "dilation", x: [1, 1, 6, 7], weight: [2, 1, 2, 3], dilation: [3, 2] },
  { title: "dilation, stride and padding", x: [1, 2, 6, 6], weight: [1, 2, 3, 3], dilation: 2, stride: 2, padding: 2 },
  { title: "groups", x: [2, 4, 3, 3], weight: [6, 2, 2, 2], groups: 2, padding: 1 },
  { title: "depthwise", x: [1, 3, 4, 4], weight: [3, 1, 3, 3], groups: 3, padding: 1, stride: 2 },
];

/** The sample of each geometry; `make` gets x, the weight, the shape of the output, and the call. */
type Call = (x: Parameters<typeof ops.conv2d>[0], weight: Parameters<typeof ops.conv2d>[1]) => ReturnType<typeof ops.conv2d>;

function outShape({ x, weight, stride = 1, padding = 0, dilation = 1 }: Geometry): number[] {
  const at = (pair: number | readonly [number, number], axis: number) => (typeof pair === "number" ? pair : pair[axis]!);
  const size = (axis: number) => {
    const reach = at(dilation, axis) * (weight[2 + axis]! - 1) + 1;
    return Math.floor((x[2 + axis]! + 2 * at(padding, axis) - reach) / at(stride, axis)) + 1;
  };
  return [x[0], weight[0], size(0), size(1)];
}

function backward(which: number): Sample[] {
  return geometries.map((g) => {
    const call: Call = (x, weight) => ops.conv2d(x, weight, null, g);
    return sample(g.title, [any(...g.x), any(...g.weight), any(...outShape(g))], gradientOf(call as never, which));
  });
}

export const products: SampleTable = {
  matmul: matmuls(),
  linear: [
    sample("a batch with bias", [any(4, 3), any(5, 3), any(5)], (x, w, b) => ops.linear(x, w, b)),
    sample("without bias", [any(2, 3), any(2, 3)], (x, w) => ops.linear(x, w)),
    sample("one vector", [any(3), any(2, 3), any(2)], (x, w, b) => ops.linear(x, w, b)),
    sample("three axes", [any(2, 2, 3), any(4, 3), any(4)], (x, w, b) => ops.linear(x, w, b)),
    sample("sizes of 1", [any(1, 1), any(1, 1), any(1)], (x, w, b) => ops.linear(x, w, b)),
    sample("a frozen weight", [any(2, 3), constant(any(2, 3)), any(2)], (x, w, b) => ops.linear(x, w, b)),
    sample("the bias alone", [constant(any(2, 3)), constant(any(2, 3)), any(2)], (x, w, b) => ops.linear(x, w, b)),
  ],
  conv2d: [
    ...geometries.map((g) => sample(g.title, [any(...g.x), any(...g.weight)], (x, w) => ops.conv2d(x, w, null, g))),
    ...geometries.map((g) =>
      sample(`${g.title}, bias`, [any(...g.x), any(...g.weight), any(g.weight[0])], (x, w, b) => ops.conv2d(x, w, b, g)),
    ),
    sample("a frozen weight", [any(1, 1, 3, 3), constant(any(1, 1, 2, 2)), any(1)], (x, w, b) => ops.conv2d(x, w, b)),
    ...convolutions.conv2d!,
  ],
  conv2dBackwardInput: [...backward(0), ...convolutions.conv2dBackwardInput!],
  conv2dBackwardWeight: [...backward(1), ...convolutions.conv2dBackwardWeight!],
  depthWindows: convolutions.depthWindows!,
  depthWindowsBackward: convolutions.depthWindowsBackward!,
};
