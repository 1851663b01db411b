import { binaryOps, unaryBackwardOps, unaryOps } from "../kernels.js";
import { type Args, forEachStrided } from "./arrays.js";
import { erf, erfc } from "./erf.js";

type UnaryOp = (typeof unaryOps)[number];
type UnaryBackwardOp = (typeof unaryBackwardOps)[number];
type BinaryOp = (typeof binaryOps)[number];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
/** φ(x), the standard normal density. */
const gaussian = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
/** Φ(x), the standard normal distribution function. */
const normalCdf = (x: number): number => erfc(-x / Math.SQRT2) / 2;

/** f(x); every operation gives NaN for NaN, but NaN^0 = 1. */
const unaryFunctions: { readonly [Op in UnaryOp]: (x: number, alpha: number) => number } = {
  neg: (x) => -x,
  abs: (x) => Math.abs(x),
  sign: (x) => Math.sign(x),
  exp: (x) => Math.exp(x),
  log: (x) => Math.log(x),
  sqrt: (x) => Math.sqrt(x),
  square: (x) => x * x,
  reciprocal: (x) => 1 / x,
  addScalar: (x, alpha) => x + alpha,
  mulScalar: (x, alpha) => x * alpha,
  powScalar: (x, alpha) => x ** alpha,
  relu: (x) => Math.max(x, 0),
  leakyRelu: (x, alpha) => (x > 0 ? x : alpha * x),
  sigmoid,
  tanh: (x) => Math.tanh(x),
  gelu: (x) => x * normalCdf(x),
  silu: (x) => x * sigmoid(x),
  erf,
  gaussian,
};

/** dy·f'(u), where u is the input, for sigmoid and tanh the output. */
const backwardFunctions: { readonly [Op in UnaryBackwardOp]: (dy: number, u: number, alpha: number) => number } = {
  relu: (dy, u) => (u > 0 ? dy : 0),
  leakyRelu: (dy, u, alpha) => (u > 0 ? dy : alpha * dy),
  sigmoid: (dy, u) => dy * u * (1 - u),
  tanh: (dy, u) => dy * (1 - u * u),
  gelu: (dy, u) => dy * (normalCdf(u) + u * gaussian(u)),
  silu: (dy, u) => dy * sigmoid(u) * (1 + u * (1 - sigmoid(u))),
};

/** Arithmetic is JavaScript's (so 1^NaN and 1^∞ are NaN); maximum and minimum give NaN if either is NaN; comparisons with NaN give 0. */
const binaryFunctions: { readonly [Op in BinaryOp]: (a: number, b: number) => number } = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
  pow: (a, b) => a ** b,
  greater: (a, b) => (a > b ? 1 : 0),
  greaterEqual: (a, b) => (a >= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
  keepWhere: (a, b) => (b !== 0 ? a : 0),
};

/** y[i] = f(x[i]), f = unaryOps[op]. */
export function unary({ x, y, n, op, alpha }: Args<"unary">): void {
  const f = unaryFunctions[unaryOps[op]!];
  for (let i = 0; i < n; i++) y[i] = f(x[i]!, alpha);
}

/** dx[i] = dy[i]·f'(u[i]), f = unaryBackwardOps[op]; relu'(0) = 0, and leakyRelu'(0) = alpha. */
export function unaryBackward({ u, dy, dx, n, op, alpha }: Args<"unaryBackward">): void {
  const f = backwardFunctions[unaryBackwardOps[op]!];
  for (let i = 0; i < n; i++) dx[i] = f(dy[i]!, u[i]!, alpha);
}

/** y[i] = f(a[Σ i·aStrides], b[Σ i·bStrides]), f = binaryOps[op]; y is contiguous. */
export function binary({ a, b, y, op, shape, aStrides, bStrides }: Args<"binary">): void {
  const f = binaryFunctions[binaryOps[op]!];
  forEachStrided(shape, aStrides, bStrides, (i, ai, bi) => {
    y[i] = f(a[ai]!, b[bi]!);
  });
}
