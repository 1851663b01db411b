import { defineOp, type OpDefinition } from "../autograd/op.js";
import { unaryBackwardOps, unaryOps } from "../engine/kernels.js";
import { installMethods, type Tensor } from "../tensor/tensor.js";
import { checkFloat, like } from "./operand.js";

type UnaryName = (typeof unaryOps)[number];
type ActivationName = (typeof unaryBackwardOps)[number];

/** Kernel `unary`. */
function run(name: UnaryName, x: Tensor, alpha: number): Tensor {
  checkFloat(name, x);
  const y = like(x);
  x.backend.call("unary", { x: x.storage, y: y.storage, n: x.size, op: unaryOps.indexOf(name), alpha });
  return y;
}

/** dx from dy, x, y and the scalar. Only what is in `keep` may be asked for. */
type Rule = (dy: Tensor, at: { x(): Tensor; y(): Tensor }, alpha: number) => Tensor | null;

function unaryOp(name: UnaryName, keep: "x" | "y" | "nothing", rule: Rule) {
  const definition: OpDefinition<number> = {
    keepInputs: keep === "x" ? [0] : [],
    keepOutput: keep === "y",
    forward: ([x], alpha) => run(name, x!, alpha),
    gradient: (alpha) => (saved, dy) => [rule(dy, { x: () => saved.input(0), y: () => saved.output() }, alpha)],
  };
  return defineOp(name, definition);
}

const withoutScalar = (op: (inputs: readonly Tensor[], alpha: number) => Tensor) => (x: Tensor) => op([x], 0);
const withScalar = (op: (inputs: readonly Tensor[], alpha: number) => Tensor) => (x: Tensor, alpha: number) => op([x], alpha);

// ---- arithmetic ----

/** −x */
export const neg = withoutScalar(unaryOp("neg", "nothing", (dy) => dy.neg()));
/** |x|; the derivative at 0 is 0. */
export const abs = withoutScalar(unaryOp("abs", "x", (dy, at) => dy.mul(sign(at.x()))));
/** −1, 0 or 1; no gradient. */
export const sign = withoutScalar(unaryOp("sign", "nothing", () => null));
/** eˣ */
export const exp = withoutScalar(unaryOp("exp", "y", (dy, at) => dy.mul(at.y())));
/** Natural logarithm. */
export const log = withoutScalar(unaryOp("log", "x", (dy, at) => dy.div(at.x())));
/** √x */
export const sqrt = withoutScalar(unaryOp("sqrt", "y", (dy, at) => dy.div(at.y().mul(2))));
/** x² */
export const square = withoutScalar(unaryOp("square", "x", (dy, at) => dy.mul(at.x()).mul(2)));
/** 1 / x */
export const reciprocal = withoutScalar(unaryOp("reciprocal", "y", (dy, at) => dy.mul(at.y().square()).neg()));
/** x + c */
export const addScalar = withScalar(unaryOp("addScalar", "nothing", (dy) => dy));
/** c · x */
export const mulScalar = withScalar(unaryOp("mulScalar", "nothing", (dy, _at, c) => dy.mul(c)));
/** xᶜ for a constant c. */
export const pow = withScalar(unaryOp("powScalar", "x", (dy, at, c) => (c === 0 ? dy.mul(0) : dy.mul(at.x().pow(c - 1)).mul(c))));
/** The error function. */
export const erf = withoutScalar(unaryOp("erf", "x", (dy, at) => dy.mul(gaussian(at.x().mul(Math.SQRT2))).mul(2 * Math.SQRT2)));
/** Density of the standard normal distribution. */
export const gaussian = withoutScalar(unaryOp("gaussian", "x", (dy, at) => dy.mul(gaussian(at.x())).mul(at.x()).neg()));

// ---- activations: their backward pass is one kernel, and an op of its own that can be differentiated again ----

interface BackwardOptions {
  name: ActivationName;
  alpha: number;
}

/** The derivative of each activation in terms of `u` (its output for sigmoid and tanh, else its input), for second derivatives. */
const derivatives: { readonly [K in ActivationName]: (u: Tensor, alpha: number) => Tensor } = {
  relu: (u) => step(u),
  leakyRelu: (u, slope) =>
    step(u)
      .mul(1 - slope)
      .add(slope),
  sigmoid: (u) => u.sub(u.square()),
  tanh: (u) => u.square().neg().add(1),
  gelu: (u) =>
    erf(u.mul(Math.SQRT1_2))
      .mul(0.5)
      .add(0.5)
      .add(u.mul(gaussian(u))),
  silu: (u) => {
    const s = sigmoid(u);
    return s.add(u.mul(s).mul(s.neg().add(1)));
  },
};

/** 1 where x > 0, else 0. */
function step(x: Tensor): Tensor {
  return sign(sign(x).add(abs(sign(x))));
}

/** d derivative / du, composed. */
const secondDerivatives: { readonly [K in ActivationName]: ((u: Tensor, alpha: number) => Tensor) | null } = {
  relu: null,
  leakyRelu: null,
  sigmoid: (u) => u.mul(-2).add(1),
  tanh: (u) => u.mul(-2),
  gelu: (u) => gaussian(u).mul(u.square().neg().add(2)),
  silu: (u) => {
    const s = sigmoid(u);
    const slope = s.sub(s.square());
    return slope.mul(2).add(u.mul(slope).mul(s.mul(-2).add(1)));
  },
};

const activationBackward = defineOp<BackwardOptions>("activationBackward", {
  keepInputs: [0, 1],
  forward: ([u, dy], { name, alpha }) => {
    const dx = like(u!);
    const op = unaryBackwardOps.indexOf(name);
    u!.backend.call("unaryBackward", { u: u!.storage, dy: dy!.storage, dx: dx.storage, n: u!.size, op, alpha });
    return dx;
  },
  gradient:
    ({ name, alpha }) =>
    (saved, ddx) => {
      const u = saved.input(0);
      const second = secondDerivatives[name];
      return [
        saved.needs[0] && second ? ddx.mul(saved.input(1)).mul(second(u, alpha)) : null,
        saved.needs[1] ? ddx.mul(derivatives[name](u, alpha)) : null,
      ];
    },
});

function activation(name: ActivationName, keep: "x" | "y") {
  return unaryOp(name, keep, (dy, at, alpha) => activationBackward([keep === "x" ? at.x() : at.y(), dy], { name, alpha }));
}

/** max(x, 0); the derivative at 0 is 0. */
export const relu = withoutScalar(activation("relu", "y"));
/** x where x > 0, else slope · x (default slope 0.01). */
export const leakyRelu: (x: Tensor, slope?: number) => Tensor = (() => {
  const op = activation("leakyRelu", "x");
  return (x: Tensor, slope = 0.01) => op([x], slope);
})();
/** 1 / (1 + e⁻ˣ) */
export const sigmoid = withoutScalar(activation("sigmoid", "y"));
/** Hyperbolic tangent. */
export const tanh = withoutScalar(activation("tanh", "y"));
/** x · Φ(x), with Φ the normal distribution function (the exact form; Hendrycks & Gimpel 2016). */
export const gelu = withoutScalar(activation("gelu", "x"));
/** x · sigmoid(x) */
export const silu = withoutScalar(activation("silu", "x"));

installMethods({
  neg() {
    return neg(this);
  },
  abs() {
    return abs(this);
  },
  exp() {
    return exp(this);
  },
  log() {
    return log(this);
  },
  sqrt() {
    return sqrt(this);
  },
  square() {
    return square(this);
  },
  reciprocal() {
    return reciprocal(this);
  },
  pow(exponent) {
    return pow(this, exponent);
  },
  relu() {
    return relu(this);
  },
  sigmoid() {
    return sigmoid(this);
  },
  tanh() {
    return tanh(this);
  },
});
