import { binaryOps, unaryBackwardOps, unaryOps } from "../../../src/engine/kernels.js";
import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, pad } from "./case.js";

const make = new Maker(2);
const LONG = 20011;

/** Where an operation is looked at, if not at normal numbers of standard deviation 3. */
const domains: { readonly [Op in (typeof unaryOps)[number]]?: readonly [low: number, high: number] } = {
  exp: [-20, 20],
  log: [1e-6, 1000],
  sqrt: [0, 100],
  reciprocal: [0.1, 10],
  powScalar: [0.05, 8],
  sigmoid: [-30, 30],
  gelu: [-12, 12],
  silu: [-30, 30],
};

function unary(op: (typeof unaryOps)[number], title: string, x: BufferSpec, alpha: number): KernelCase<"unary"> {
  const n = x.length;
  return { title: `${op}, ${title}`, buffers: { x, y: output(n) }, scalars: { n, op: unaryOps.indexOf(op), alpha } };
}

function unaryCases(op: (typeof unaryOps)[number]): KernelCase<"unary">[] {
  const domain = domains[op];
  const numbers = (n: number): BufferSpec => (domain ? make.uniform(n, domain[0], domain[1]) : make.normal(n, 0, 3));
  const alpha = op === "leakyRelu" ? 0.01 : 2.5;
  const special = [NaN, 0, -0, 1, -1, 1e30, -1e30, 1e-30, -1e-30];
  // PyTorch, and the formula, give NaN for x·0 at -Infinity; other builds may give 0.
  if (op !== "gelu" && op !== "silu") special.push(Infinity, -Infinity);
  return [
    unary(op, "n = 0", floats([]), alpha),
    unary(op, "n = 1", numbers(1), alpha),
    unary(op, "n = 17", numbers(17), alpha),
    unary(op, `n = ${LONG}`, numbers(LONG), alpha),
    unary(op, "special numbers", floats(special), alpha),
  ];
}

const powers: KernelCase<"unary">[] = [
  unary("powScalar", "cube of negative numbers", make.normal(65), 3),
  unary("powScalar", "square root", make.uniform(65, 0, 9), 0.5),
  unary("powScalar", "power 0", floats([0, -1, 3, 1e20]), 0),
  unary("powScalar", "power -1", make.uniform(65, -4, -0.1), -1),
];

function unaryBackwardCases(op: (typeof unaryBackwardOps)[number]): KernelCase<"unaryBackward">[] {
  const domain = op === "sigmoid" ? [0, 1] : op === "tanh" ? [-1, 1] : [-6, 6];
  return [0, 1, 5, 65, LONG].map((n) => {
    const u = make.uniform(n, domain[0]!, domain[1]!);
    for (let i = 3; i < n; i += 7) u.data![i] = 0;
    return {
      title: `${op}, n = ${n}`,
      buffers: { u, dy: make.normal(n), dx: output(n) },
      scalars: { n, op: unaryBackwardOps.indexOf(op), alpha: 0.2 },
    };
  });
}

/** Two operands that suit the operation, with ties for comparisons. */
function operand(op: (typeof binaryOps)[number], n: number, second: boolean): BufferSpec {
  if (op === "pow") return second ? make.uniform(n, -3, 3) : make.uniform(n, 0.1, 4);
  if (op === "div" && second) return make.uniform(n, 0.2, 5);
  if (op === "keepWhere" && second) return floats(make.integers(n, 2).data!);
  if (["greater", "greaterEqual", "equal", "maximum", "minimum"].includes(op)) return floats(make.integers(n, 5).data!);
  return make.normal(n);
}

type Layout = [title: string, shape: number[], a: number[], aLength: number, b: number[], bLength: number];

const layouts: Layout[] = [
  ["n = 0", [0], [1], 0, [1], 0],
  ["n = 1", [1], [1], 1, [1], 1],
  ["n = 17", [17], [1], 17, [1], 17],
  ["contiguous", [LONG], [1], LONG, [1], LONG],
  ["scalar on the right", [8195], [1], 8195, [0], 1],
  ["scalar on the left", [8195], [0], 1, [1], 8195],
  ["row", [65, 131], [131, 1], 65 * 131, [0, 1], 131],
  ["column", [65, 131], [131, 1], 65 * 131, [1, 0], 65],
  ["column on the left", [65, 131], [1, 0], 65, [131, 1], 65 * 131],
  ["row and column", [13, 17], [0, 1], 17, [1, 0], 13],
  ["channels", [5, 13, 130], [13 * 130, 130, 1], 5 * 13 * 130, [0, 1, 0], 13],
  ["transposed", [33, 65], [1, 33], 33 * 65, [65, 1], 33 * 65],
  ["six axes", [2, 3, 2, 3, 2, 5], [180, 60, 30, 10, 5, 1], 360, [0, 10, 0, 0, 5, 1], 30],
];

const binary = (
  op: (typeof binaryOps)[number],
  [title, shape, aStrides, aLength, bStrides, bLength]: Layout,
): KernelCase<"binary"> => ({
  title: `${op}, ${title}`,
  buffers: { a: operand(op, aLength, false), b: operand(op, bLength, true), y: output(shape.reduce((x, y) => x * y, 1)) },
  scalars: { op: binaryOps.indexOf(op), shape: pad(shape, 1), aStrides: pad(aStrides, 0), bStrides: pad(bStrides, 0) },
});

const special = (op: (typeof binaryOps)[number]): KernelCase<"binary"> => ({
  title: `${op}, special numbers`,
  buffers: {
    a: floats([NaN, 2, NaN, Infinity, -Infinity, Infinity, 0, -3]),
    b: floats([2, NaN, NaN, 2, 2, Infinity, 2, -Infinity]),
    y: output(8),
  },
  scalars: { op: binaryOps.indexOf(op), shape: pad([8], 1), aStrides: pad([1], 0), bStrides: pad([1], 0) },
});

export const elementwiseCases: CaseTable<"unary" | "unaryBackward" | "binary"> = {
  unary: [...unaryOps.flatMap(unaryCases), ...powers],
  unaryBackward: unaryBackwardOps.flatMap(unaryBackwardCases),
  binary: binaryOps.flatMap((op) => [...layouts.map((layout) => binary(op, layout)), special(op)]),
};
