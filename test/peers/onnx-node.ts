/**
 * What each ONNX operator is in evenkeel: attributes and inputs translated, then one call of an op, or a few.
 * Meanings and defaults: https://github.com/onnx/onnx/blob/main/docs/Operators.md and docs/Changelog.md (older opsets).
 */
import { broadcastShapes, normalizeAxis, sizeOf } from "../../src/core/shape.js";
import * as ops from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { axesOf, type NodeCall, notApplicable, type Operator } from "./onnx-call.js";
import { lossOperators } from "./onnx-losses.js";
import { normalizations } from "./onnx-norms.js";
import { optimizers } from "./onnx-optimizers.js";
import { shapeOperators } from "./onnx-shapes.js";
import { convolution, maxPool, meanPool, transposedConvolution } from "./onnx-windows.js";

type Unary = (x: Tensor) => Tensor;
type Binary = (a: Tensor, b: Tensor) => Tensor;

const unary =
  (op: Unary): Operator =>
  (call) =>
    op(call.x());

/** b as NumPy broadcasts it. Before opset 7 its axes were laid on those of a from `axis` on (default: on the last ones). */
function aligned(call: NodeCall, a: Tensor, b: Tensor): Tensor {
  if (call.opset >= 7 || !call.has("axis")) return b;
  const axis = normalizeAxis(call.node.opType, call.int("axis", 0), a.rank);
  return b.reshape([...b.shape, ...new Array<number>(a.rank - axis - b.rank).fill(1)]);
}

const binary =
  (op: Binary): Operator =>
  (call) =>
    op(call.x(0), aligned(call, call.x(0), call.x(1)));

const variadic =
  (op: Binary): Operator =>
  (call) =>
    call.all().reduce(op);

const reduction =
  (before: Unary, op: "sum" | "mean", after: Unary): Operator =>
  (call) =>
    after(before(call.x())[op](axesOf(call), call.int("keepdims", 1) === 1));

const same: Unary = (x) => x;

/** Until opset 12 the axes before `axis` (default 1) and those from it on were joined first. */
const rowwise =
  (op: (x: Tensor, axis: number) => Tensor): Operator =>
  (call) => {
    const x = call.x();
    if (call.opset >= 13) return op(x, call.int("axis", -1));
    const axis = normalizeAxis(call.node.opType, call.int("axis", 1), x.rank);
    return op(x.reshape([sizeOf(x.shape.slice(0, axis)), -1]), 1).reshape(x.shape);
  };

const gemm: Operator = (call) => {
  const [alpha, beta] = [call.float("alpha", 1), call.float("beta", 1)];
  const [transA, transB] = [call.int("transA", 0) === 1, call.int("transB", 0) === 1];
  const [a, b, c] = [call.x(0), call.x(1), call.maybe(2)];
  const isLinear = !transA && transB && alpha === 1 && beta === 1 && c?.rank === 1 && c.size === b.shape[0];
  if (isLinear) return ops.linear(a, b, c);
  const product = ops.matmul(a, b, { transA, transB }).mul(alpha);
  return c ? product.add(c.mul(beta)) : product;
};

/** A vector stands for a row on the left and a column on the right; batch axes are broadcast and joined into one. */
const matmul: Operator = (call) => {
  const [a, b] = [call.x(0), call.x(1)];
  const left = a.rank === 1 ? a.reshape([1, a.size]) : a;
  const right = b.rank === 1 ? b.reshape([b.size, 1]) : b;
  const lead = broadcastShapes("MatMul", left.shape.slice(0, -2), right.shape.slice(0, -2));
  const matrices = (t: Tensor) => {
    const sizes = t.shape.slice(-2);
    return t.rank === 2 ? t : t.expand([...lead, ...sizes]).reshape([sizeOf(lead), ...sizes]);
  };
  const y = ops.matmul(matrices(left), matrices(right));
  return y.reshape([...lead, ...a.shape.slice(-2, -1), ...(b.rank === 1 ? [] : b.shape.slice(-1))]);
};

const dropout: Operator = (call) => {
  if (call.outputs > 1) notApplicable("the mask as an output");
  const training = call.opset >= 12 && call.scalar(2) === 1;
  const ratio = call.scalar(1) ?? call.float("ratio", 0.5);
  if (training && ratio > 0) notApplicable("random numbers of another generator");
  return ops.dropout(call.x(), ratio, training);
};

const argMax: Operator = (call) => {
  const [x, axis] = [call.x(), call.int("axis", 0)];
  if (call.int("select_last_index", 0) === 1) notApplicable("the last of equal values");
  const y = ops.argmax(x, axis);
  const kept = x.shape.map((n, i) => (i === normalizeAxis("ArgMax", axis, x.rank) ? 1 : n));
  return call.int("keepdims", 1) === 1 ? y.reshape(kept) : y;
};

/** A slope for each channel before opset 7, then one that is broadcast. */
const pRelu: Operator = (call) => {
  const [x, given] = [call.x(0), call.x(1)];
  const perChannel = call.opset < 7 && given.size > 1;
  const slope = perChannel ? given.reshape([given.size, ...x.shape.slice(2).map(() => 1)]) : given;
  return x.relu().sub(slope.mul(x.neg().relu()));
};

const clip: Operator = (call) => {
  const bound = (name: string, i: number, none: number) => call.scalar(i) ?? call.float(name, none);
  const above = ops.maximum(call.x(), bound("min", 1, -Infinity));
  return ops.minimum(above, bound("max", 2, Infinity));
};

/** α·(eˣ − 1) where x < 0, else x. */
const elu = (x: Tensor, alpha: number) => x.relu().add(ops.minimum(x, 0).exp().sub(1).mul(alpha));

const hardSigmoid = (x: Tensor, alpha: number, beta: number) => ops.minimum(x.mul(alpha).add(beta).relu(), 1);

/** The operators that evenkeel has, under ONNX's names. */
export const operators: Readonly<Record<string, Operator>> = {
  ...optimizers,
  ...normalizations,
  ...lossOperators,
  ...shapeOperators,
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  MaxPool: maxPool,
  AveragePool: meanPool,
  GlobalAveragePool: unary((x) => ops.adaptiveAvgPool2d(x, 1)),
  GlobalMaxPool: unary((x) => ops.maxPool2d(x, { kernelSize: [x.shape[2]!, x.shape[3]!] })),
  Gemm: gemm,
  MatMul: matmul,
  Dropout: dropout,
  Softmax: rowwise(ops.softmax),
  LogSoftmax: rowwise(ops.logSoftmax),

  Relu: unary(ops.relu),
  LeakyRelu: (call) => ops.leakyRelu(call.x(), call.float("alpha", 0.01)),
  Sigmoid: unary(ops.sigmoid),
  Tanh: unary(ops.tanh),
  Erf: unary(ops.erf),
  Exp: unary(ops.exp),
  Log: unary(ops.log),
  Sqrt: unary(ops.sqrt),
  Abs: unary(ops.abs),
  Neg: unary(ops.neg),
  Sign: unary(ops.sign),
  Reciprocal: unary(ops.reciprocal),
  Add: binary(ops.add),
  Sub: binary(ops.sub),
  Mul: binary(ops.mul),
  Div: binary(ops.div),
  Pow: (call) => ops.pow(call.x(), call.scalar(1)!),
  Max: variadic(ops.maximum),
  Min: variadic(ops.minimum),
  Sum: variadic(ops.add),
  Mean: (call) => call.all().reduce(ops.add).div(call.count),
  Equal: binary(ops.equal),
  Greater: binary(ops.greater),
  GreaterOrEqual: binary(ops.greaterEqual),
  Less: binary((a, b) => ops.greater(b, a)),
  LessOrEqual: binary((a, b) => ops.greaterEqual(b, a)),

  PRelu: pRelu,
  Clip: clip,
  Elu: (call) => elu(call.x(), call.float("alpha", 1)),
  Selu: (call) => elu(call.x(), call.float("alpha", 1.6732632)).mul(call.float("gamma", 1.050701)),
  Celu: (call) => elu(call.x().div(call.float("alpha", 1)), 1).mul(call.float("alpha", 1)),
  Softplus: unary((x) => x.exp().add(1).log()),
  Softsign: unary((x) => x.div(x.abs().add(1))),
  HardSigmoid: (call) => hardSigmoid(call.x(), call.float("alpha", 0.2), call.float("beta", 0.5)),
  HardSwish: unary((x) => x.mul(hardSigmoid(x, 1 / 6, 0.5))),
  ThresholdedRelu: (call) => call.x().mul(ops.greater(call.x(), call.float("alpha", 1))),

  ReduceSum: reduction(same, "sum", same),
  ReduceMean: reduction(same, "mean", same),
  ReduceSumSquare: reduction(ops.square, "sum", same),
  ReduceL1: reduction(ops.abs, "sum", same),
  ReduceL2: reduction(ops.square, "sum", ops.sqrt),
  ReduceLogSum: reduction(same, "sum", ops.log),
  ReduceLogSumExp: reduction(ops.exp, "sum", ops.log),
  ArgMax: argMax,
};

/** What stands between operators in a graph and computes nothing. */
export const plumbing: Readonly<Record<string, Operator>> = {
  Constant: (call) => call.constant(),
  Identity: (call) => call.value(0)!,
  Shape: (call) => {
    const { shape } = call.x();
    const [start, end] = [call.int("start", 0), call.int("end", shape.length)];
    const sizes = Float64Array.from(shape.slice(start, end));
    return { type: "int64", shape: [sizes.length], values: sizes };
  },
};
