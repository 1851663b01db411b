import { reduceOps } from "../../../src/engine/kernels.js";
import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(3);
type Shape = readonly [outer: number, count: number, inner: number];

const shapes: Shape[] = [
  [0, 5, 3],
  [1, 1, 1],
  [5, 13, 17],
  [65, 130, 1],
  [1, 300, 130],
  [1, 8193, 1],
  [1, 40003, 1],
  [3, 33000, 5],
  [66, 700, 1],
  [2, 17000, 33],
];

function reduce(op: (typeof reduceOps)[number], [outer, count, inner]: Shape, x: BufferSpec, what = ""): KernelCase<"reduce"> {
  return {
    title: `${op} of [${outer}, ${count}, ${inner}]${what}`,
    buffers: { x, y: output(outer * inner) },
    scalars: { op: reduceOps.indexOf(op), outer, count, inner },
  };
}

const withNaN = (shape: Shape): BufferSpec => withValues(make.normal(shape[0] * shape[1] * shape[2]), [7, NaN]);

function argmax([outer, count, inner]: Shape, x: BufferSpec, what = ""): KernelCase<"argmax"> {
  return {
    title: `[${outer}, ${count}, ${inner}]${what}`,
    buffers: { x, y: output(outer * inner, "int32") },
    scalars: { outer, count, inner },
  };
}

const channelShapes = [
  [0, 3, 5],
  [1, 1, 1],
  [5, 13, 17],
  [130, 65, 1],
  [9000, 5, 1],
  [64, 65, 9],
  [3, 2, 20000],
] as const;

export const reduceCases: CaseTable<"reduce" | "argmax" | "sumChannels"> = {
  reduce: [
    ...reduceOps.flatMap((op) => shapes.map((shape) => reduce(op, shape, make.normal(shape[0] * shape[1] * shape[2])))),
    reduce("sum", [3, 0, 2], floats([])),
    reduce("mean", [3, 0, 2], floats([])),
    reduce("sum", [1, 40003, 1], make.uniform(40003, 0, 1), ", all positive"),
    reduce("mean", [5, 2000, 3], make.normal(30000, 1000), " at offset 1000"),
    ...(
      [
        [3, 5, 1],
        [2, 5, 3],
        [1, 40003, 1],
      ] as const
    ).flatMap((shape) => [reduce("max", shape, withNaN(shape), " with NaN"), reduce("min", shape, withNaN(shape), " with NaN")]),
    reduce("max", [1, 3, 1], floats([-Infinity, -Infinity, -Infinity]), ", all -Infinity"),
  ],
  argmax: [
    argmax([0, 5, 3], floats([])),
    ...(
      [
        [1, 1, 1],
        [13, 10, 1],
        [5, 17, 13],
        [2000, 10, 1],
        [1, 40003, 1],
      ] as const
    ).map((shape) => argmax(shape, make.normal(shape[0] * shape[1] * shape[2]))),
    argmax([500, 10, 1], floats(make.integers(5000, 4).data!), " with ties"),
    argmax([2, 9, 13], floats(make.integers(234, 3).data!), " with ties"),
    argmax([3, 5, 1], withNaN([3, 5, 1]), " with NaN"),
    argmax([2, 5, 3], withValues(withNaN([2, 5, 3]), [10, NaN]), " with NaN twice"),
    argmax([1, 4, 1], floats([-Infinity, -Infinity, -Infinity, -Infinity]), ", all -Infinity"),
  ],
  sumChannels: channelShapes.map(([n, c, s]) => ({
    title: `[${n}, ${c}, ${s}]`,
    buffers: { x: make.normal(n * c * s), y: output(c) },
    scalars: { n, c, s },
  })),
};
