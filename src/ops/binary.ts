import { defineOp } from "../autograd/op.js";
import { broadcastShapes, broadcastStrides, collapseAxes } from "../core/shape.js";
import { binaryOps } from "../engine/kernels.js";
import type { Operand } from "../tensor/methods.js";
import { installMethods, type Tensor } from "../tensor/tensor.js";
import { checkFloat, like, pairOf } from "./operand.js";
import { addScalar, mulScalar } from "./unary.js";

type BinaryName = (typeof binaryOps)[number];

/** Kernel `binary` under broadcasting. */
function run(name: BinaryName, a: Tensor, b: Tensor): Tensor {
  checkFloat(name, a, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const y = like(a, shape);
  if (y.size === 0) return y;
  const axes = collapseAxes(name, shape, broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape));
  const call = { a: a.storage, b: b.storage, y: y.storage, op: binaryOps.indexOf(name) };
  a.backend.call("binary", { ...call, shape: axes.shape, aStrides: axes.strides[0]!, bStrides: axes.strides[1]! });
  return y;
}

/** Gradient of the broadcast operand from dy and both operands. */
type Side = (dy: Tensor, a: () => Tensor, b: () => Tensor) => Tensor;

function binaryOp(name: BinaryName, keepInputs: readonly number[], sides: readonly [Side, Side | null] | null) {
  const op = defineOp(name, {
    keepInputs,
    forward: ([a, b]) => run(name, a!, b!),
    gradient: () => (saved, dy) => {
      const a = () => saved.input(0);
      const b = () => saved.input(1);
      return [0, 1].map((i) => (saved.needs[i] ? (sides?.[i]?.(dy, a, b).sumTo(saved.shapes[i]!) ?? null) : null));
    },
  });
  return (a: Operand, b: Operand): Tensor => {
    const pair = pairOf(name, a, b);
    try {
      return op(pair);
    } finally {
      for (const t of pair) if (t !== a && t !== b) t.dispose();
    }
  };
}

const sum = binaryOp("add", [], [(dy) => dy, (dy) => dy]);
const difference = binaryOp("sub", [], [(dy) => dy, (dy) => dy.neg()]);
const product = binaryOp("mul", [0, 1], [(dy, _a, b) => dy.mul(b()), (dy, a) => dy.mul(a())]);

/** a + b */
export function add(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number") return addScalar(a, b);
  return typeof a === "number" && typeof b !== "number" ? addScalar(b, a) : sum(a, b);
}

/** a − b */
export function sub(a: Operand, b: Operand): Tensor {
  return typeof b === "number" && typeof a !== "number" ? addScalar(a, -b) : difference(a, b);
}

/** a · b */
export function mul(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number") return mulScalar(a, b);
  return typeof a === "number" && typeof b !== "number" ? mulScalar(b, a) : product(a, b);
}

/** a / b */
export const div = binaryOp("div", [0, 1], [(dy, _a, b) => dy.div(b()), (dy, a, b) => dy.mul(a()).div(b().square()).neg()]);
/** The larger of a and b; NaN if either is. Where they are equal each gets half of the gradient. */
export const maximum = binaryOp(
  "maximum",
  [0, 1],
  [(dy, a, b) => dy.mul(share(a(), b())), (dy, a, b) => dy.mul(share(b(), a()))],
);
/** The smaller of a and b; NaN if either is. Where they are equal each gets half of the gradient. */
export const minimum = binaryOp(
  "minimum",
  [0, 1],
  [(dy, a, b) => dy.mul(share(b(), a())), (dy, a, b) => dy.mul(share(a(), b()))],
);
/** 1 where a > b, else 0; no gradient. */
export const greater = binaryOp("greater", [], null);
/** 1 where a ≥ b, else 0; no gradient. */
export const greaterEqual = binaryOp("greaterEqual", [], null);
/** 1 where a = b, else 0; no gradient. */
export const equal = binaryOp("equal", [], null);
/** a where b is not 0, else 0, whatever a is there (NaN, too); no gradient for b. */
export const keepWhere = binaryOp("keepWhere", [1], [(dy, _a, b) => keepWhere(dy, b()), null]);

/** 1 where a > b, ½ where they are equal, else 0. */
function share(a: Tensor, b: Tensor): Tensor {
  return mulScalar(sum(greater(a, b), greaterEqual(a, b)), 0.5);
}

installMethods({
  add(other) {
    return add(this, other);
  },
  sub(other) {
    return sub(this, other);
  },
  mul(other) {
    return mul(this, other);
  },
  div(other) {
    return div(this, other);
  },
});
