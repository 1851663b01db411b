import { describe, expect, test } from "vitest";
import { BackendError, DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { memory, ops, type Tensor, tensor, tidy, zeros } from "../../src/index.js";
import { expectClose } from "./close.js";

const x = [-3, -1, -0.5, 0, 0.25, 1, 2, 7.5];
const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
// Φ by its series: Φ(v) = ½ + φ(v) Σ v^(2k+1) / (1·3·…·(2k+1)).
function normalCdf(v: number): number {
  let term = v;
  let sum = v;
  for (let k = 1; k < 200; k++) {
    term *= (v * v) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI);
}

const unary: [string, (t: Tensor) => Tensor, (v: number) => number][] = [
  ["neg", ops.neg, (v) => -v],
  ["abs", ops.abs, Math.abs],
  ["sign", ops.sign, Math.sign],
  ["exp", ops.exp, Math.exp],
  ["log", ops.log, Math.log],
  ["sqrt", ops.sqrt, Math.sqrt],
  ["square", ops.square, (v) => v * v],
  ["reciprocal", ops.reciprocal, (v) => 1 / v],
  ["pow 3", (t) => ops.pow(t, 3), (v) => v ** 3],
  ["pow −2", (t) => ops.pow(t, -2), (v) => v ** -2],
  ["pow ½", (t) => ops.pow(t, 0.5), (v) => v ** 0.5],
  ["pow 0", (t) => ops.pow(t, 0), () => 1],
  ["relu", ops.relu, (v) => Math.max(v, 0)],
  ["leakyRelu", ops.leakyRelu, (v) => (v > 0 ? v : 0.01 * v)],
  ["leakyRelu 0.3", (t) => ops.leakyRelu(t, 0.3), (v) => (v > 0 ? v : 0.3 * v)],
  ["sigmoid", ops.sigmoid, sigmoid],
  ["tanh", ops.tanh, Math.tanh],
  ["gelu", ops.gelu, (v) => v * normalCdf(v)],
  ["silu", ops.silu, (v) => v * sigmoid(v)],
  ["erf", ops.erf, (v) => 2 * normalCdf(v * Math.SQRT2) - 1],
  ["gaussian", ops.gaussian, (v) => Math.exp((-v * v) / 2) / Math.sqrt(2 * Math.PI)],
];

test.each(unary)("%s is within 1e-6 of float64, at 0, ∞ and where it is not a number, too", (_, op, f) => {
  expectClose(
    op(tensor(x)),
    x.map((v) => f(v)),
  );
});

test("activations at the ends of float32 are finite where their limits are", () => {
  const ends = tensor([-100, 100, -Infinity, Infinity, NaN]);
  expectClose(ops.sigmoid(ends), [0, 1, 0, 1, NaN], 1e-30);
  expectClose(ops.tanh(ends), [-1, 1, -1, 1, NaN], 1e-30);
  expectClose(ops.relu(ends), [0, 100, 0, Infinity, NaN]);
  expectClose(ops.gelu(ends).slice(0, 0, 2), [0, 100], 1e-30);
  expectClose(ops.silu(ends).slice(0, 0, 2), [0, 100], 1e-30);
});

test("the derivative of x⁰ at 0 is 0, of x¹ is 1, of relu and abs 0, of leakyRelu its slope", () => {
  const at = (f: (t: Tensor) => Tensor) => {
    const t = tensor([0], [1], { requiresGrad: true });
    f(t).backward();
    return t.grad!.item();
  };
  expect(at((t) => ops.pow(t, 0))).toBe(0);
  expect(at((t) => ops.pow(t, 1))).toBe(1);
  expect(at(ops.relu)).toBe(0);
  expect(at(ops.abs)).toBe(0);
  expect(at((t) => ops.leakyRelu(t, 0.25))).toBe(0.25);
});

test("where maximum or minimum has equal operands each gets half of the gradient", () => {
  for (const op of [ops.maximum, ops.minimum]) {
    const [a, b] = [tensor([2, 1], [2], { requiresGrad: true }), tensor([2, 1], [2], { requiresGrad: true })];
    op(a, b).sum().backward();
    expectClose(a.grad!, [0.5, 0.5]);
    expectClose(b.grad!, [0.5, 0.5]);
  }
});

const a = [5, -2, 3, 0.5, -7, 1];
const b = [2, 4, 0.5, 0.5, -7, -8];
const binary: [string, (p: Tensor | number, q: Tensor | number) => Tensor, (p: number, q: number) => number][] = [
  ["add", ops.add, (p, q) => p + q],
  ["sub", ops.sub, (p, q) => p - q],
  ["mul", ops.mul, (p, q) => p * q],
  ["div", ops.div, (p, q) => p / q],
  ["maximum", ops.maximum, Math.max],
  ["minimum", ops.minimum, Math.min],
  ["greater", ops.greater, (p, q) => (p > q ? 1 : 0)],
  ["greaterEqual", ops.greaterEqual, (p, q) => (p >= q ? 1 : 0)],
  ["equal", ops.equal, (p, q) => (p === q ? 1 : 0)],
];

describe.each(binary)("%s", (name, op, f) => {
  test("of equal shapes is within 1e-6 of float64", () => {
    expectClose(
      op(tensor(a), tensor(b)),
      a.map((p, i) => f(p, b[i]!)),
    );
  });

  test("takes a number on either side", () => {
    expectClose(
      op(tensor(a), 3),
      a.map((p) => f(p, 3)),
    );
    expectClose(
      op(3, tensor(a)),
      a.map((p) => f(3, p)),
    );
  });

  test("broadcasts a column with a row, and axes in front", () => {
    const y = op(tensor(a.slice(0, 3), [3, 1]), tensor(b.slice(0, 2), [1, 2]));
    expect(y.shape).toEqual([3, 2]);
    expectClose(
      y,
      [0, 1, 2].flatMap((i) => [0, 1].map((j) => f(a[i]!, b[j]!))),
    );
    const z = op(tensor(a, [2, 3]), tensor([1, 2, 3]));
    expectClose(
      z,
      a.map((p, i) => f(p, (i % 3) + 1)),
    );
    expect(op(tensor([1, 2], [2, 1, 1]), zeros([3, 1])).shape).toEqual([2, 3, 1]);
  });

  test("of something empty is empty", () => {
    expect(op(zeros([0, 3]), zeros([3])).shape).toEqual([0, 3]);
    expect(op(zeros([2, 0]), zeros([1])).shape).toEqual([2, 0]);
    expect(op(zeros([0]), 2).shape).toEqual([0]);
  });

  test("refuses shapes that do not broadcast, integers, two numbers, and tensors of another backend, and takes no memory", () => {
    const other = new ReferenceBackend();
    const elsewhere = withBackend(other, () => tensor([1]));
    const [p, q, i] = [zeros([2, 3]), zeros([2]), tensor(new Int32Array(3))];
    const before = memory();
    expect(() => op(p, q)).toThrow(new ShapeError(`${name}: shapes [2, 3] and [2] cannot be broadcast together.`));
    expect(() => op(p, i)).toThrow(new DTypeError(`${name}: expected float32, got int32 of shape [3].`));
    expect(() => op(1, 2)).toThrow(new OptionError(`${name}: expected at least one tensor, got two numbers.`));
    expect(() => op(p, elsewhere)).toThrow(new BackendError(`${name}: the inputs lie on different backends.`));
    expect(memory().storages).toBe(before.storages);
    other.dispose();
  });
});

test("a number on one side leaves no memory behind", () => {
  const t = tensor([1, 2]);
  const before = memory().storages;
  for (const op of [ops.add, ops.sub, ops.mul, ops.div, ops.maximum]) {
    op(t, 2).dispose();
    op(2, t).dispose();
  }
  expect(memory().storages).toBe(before);
});

test("up to six separate axes broadcast; more are refused by name", () => {
  const six = [2, 1, 2, 1, 2, 1];
  expect(ops.add(zeros(six), zeros([1, 2, 1, 2, 1, 2])).shape).toEqual([2, 2, 2, 2, 2, 2]);
  expect(() => ops.add(zeros([...six, 2]), zeros([1, 2, 1, 2, 1, 2, 1]))).toThrow(
    new ShapeError("add: at most 6 separate axes are supported, got shape [2, 2, 2, 2, 2, 2, 2]."),
  );
});

test("every unary op refuses integers by its name and passes on emptiness", () => {
  const names = "neg abs sign exp log sqrt square reciprocal relu leakyRelu sigmoid tanh gelu silu erf gaussian".split(" ");
  for (const name of names) {
    const op = ops[name as "neg"];
    expect(() => op(tensor(new Int32Array([1])))).toThrow(new DTypeError(`${name}: expected float32, got int32 of shape [1].`));
    expect(tidy(() => op(zeros([3, 0])).shape)).toEqual([3, 0]);
  }
  expect(() => ops.pow(tensor(new Int32Array([1])), 2)).toThrow(DTypeError);
  expect(() => ops.add(tensor(new Int32Array([1])), 2)).toThrow(DTypeError);
});
