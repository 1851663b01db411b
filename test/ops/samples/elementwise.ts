import * as ops from "../../../src/ops/index.js";
import type { Tensor } from "../../../src/tensor/tensor.js";
import { gradientOf } from "./gradient-of.js";
import { any, apart, constant, type Input, nonzero, positive, type Sample, type SampleTable, sample } from "./sample.js";

type Binary = (a: Tensor, b: Tensor) => Tensor;

/** Equal shapes, and broadcasting in every position: in front, in the middle, behind, on both sides, of scalars. */
const pairs: readonly [string, readonly number[], readonly number[]][] = [
  ["equal shapes", [3, 5], [3, 5]],
  ["rows to a matrix", [3, 5], [5]],
  ["a column to a matrix", [3, 5], [3, 1]],
  ["the middle axis", [2, 1, 3], [2, 4, 3]],
  ["both sides", [3, 1], [1, 4]],
  ["a scalar right", [2, 3], []],
  ["a scalar left", [], [2, 3]],
  ["scalars", [], []],
  ["channels of images", [2, 3, 2, 2], [1, 3, 1, 1]],
  ["sizes of 1", [1, 1], [1]],
];

function binary(call: Binary, a: (...shape: number[]) => Input, b = a): Sample[] {
  const grid = pairs.map(([title, s, t]) => sample(title, [a(...s), b(...t)], call));
  const onlyLeft = sample("left alone needs a gradient", [a(2, 3), constant(b(2, 3))], call);
  const onlyRight = sample("right alone needs a gradient", [constant(a(2, 3)), b(2, 3)], call);
  return [...grid, onlyLeft, onlyRight];
}

/** Both operands from one shuffled grid, so that no value of one is near a value of the other. */
function comparison(call: Binary): Sample[] {
  const split = (both: Tensor) => call(both.slice(0, 0, 1), both.slice(0, 1, 2));
  return [
    sample("values apart", [apart(2, 7)], split),
    sample("rows to a matrix", [apart(4, 3)], (x) => call(x.slice(0, 0, 3), x.slice(0, 3, 4))),
    sample("a column to a matrix", [apart(3, 4)], (x) => call(x.slice(1, 0, 1), x.slice(1, 1, 4))),
    sample("sizes of 1", [apart(2, 1)], split),
  ];
}

function unary(call: (x: Tensor) => Tensor, values: (...shape: number[]) => Input): Sample[] {
  return [
    sample("a matrix", [values(3, 5)], call),
    sample("a scalar", [values()], call),
    sample("size 1", [values(1, 1)], call),
    sample("of a computed value", [values(7)], (x) => call(x.mul(1.1))),
  ];
}

const activations: readonly [string, (x: Tensor) => Tensor][] = [
  ["relu", ops.relu],
  ["leakyRelu", (x) => ops.leakyRelu(x, 0.2)],
  ["sigmoid", ops.sigmoid],
  ["tanh", ops.tanh],
  ["gelu", ops.gelu],
  ["silu", ops.silu],
];

export const elementwise: SampleTable = {
  add: binary(ops.add, any),
  sub: binary(ops.sub, any),
  mul: binary(ops.mul, any),
  div: binary(ops.div, any, nonzero),
  maximum: comparison(ops.maximum),
  minimum: comparison(ops.minimum),
  greater: comparison(ops.greater),
  greaterEqual: comparison(ops.greaterEqual),
  equal: comparison(ops.equal),
  keepWhere: unary((x) => ops.keepWhere(x, ops.greater(x.detach(), 0)), nonzero),
  neg: unary(ops.neg, any),
  abs: unary(ops.abs, nonzero),
  sign: unary(ops.sign, nonzero),
  exp: unary(ops.exp, any),
  log: unary(ops.log, positive),
  sqrt: unary(ops.sqrt, positive),
  square: unary(ops.square, any),
  reciprocal: unary(ops.reciprocal, nonzero),
  addScalar: [...unary((x) => ops.add(x, 0.7), any), ...unary((x) => ops.sub(x, 0.7), any), ...unary((x) => ops.add(2, x), any)],
  mulScalar: [...unary((x) => ops.mul(x, -1.3), any), ...unary((x) => ops.mul(0, x), any)],
  powScalar: [
    ...unary((x) => ops.pow(x, 2.5), positive),
    ...unary((x) => ops.pow(x, 3), nonzero),
    ...unary((x) => ops.pow(x, -2), nonzero),
    ...unary((x) => ops.pow(x, 1), any),
    ...unary((x) => ops.pow(x, 0), any),
  ],
  erf: unary(ops.erf, any),
  gaussian: unary(ops.gaussian, any),
  relu: unary(ops.relu, nonzero),
  leakyRelu: [...unary((x) => ops.leakyRelu(x, 0.2), nonzero), ...unary((x) => ops.leakyRelu(x), nonzero)],
  sigmoid: unary(ops.sigmoid, any),
  tanh: unary(ops.tanh, any),
  gelu: unary(ops.gelu, any),
  silu: unary(ops.silu, any),
  activationBackward: activations.map(([title, f]) => sample(title, [nonzero(2, 5), any(2, 5)], gradientOf(f))),
};
