import { DTypeError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { drawRandom } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";

/** The function that follows a layer; its gain keeps the variance of what passes through both. */
export type Nonlinearity = "linear" | "conv2d" | "sigmoid" | "tanh" | "relu" | "leakyRelu" | "selu";

export interface KaimingOptions {
  /** Negative slope, for `nonlinearity: "leakyRelu"` (default 0). */
  a?: number;
  /** Keep the variance of the forward pass ("fanIn") or of the gradients ("fanOut"); default "fanIn". */
  mode?: "fanIn" | "fanOut";
  /** Default "leakyRelu", which with a = 0 is ReLU. */
  nonlinearity?: Nonlinearity;
}

function checkFloat(who: string, t: Tensor): void {
  if (t.dtype !== "float32") throw new DTypeError(`init.${who}: expected a float32 tensor, got ${t.dtype}.`);
}

/** Fills `t` with independent values, uniform in [low, high), in place; returns t. */
export function uniform(t: Tensor, low = 0, high = 1): Tensor {
  checkFloat("uniform", t);
  drawRandom(t.backend, (state) => t.backend.call("randomUniform", { state, y: t.storage, n: t.size, low, high }));
  return t;
}

/** Fills `t` with independent normal values in place; returns t. */
export function normal(t: Tensor, mean = 0, std = 1): Tensor {
  checkFloat("normal", t);
  drawRandom(t.backend, (state) => t.backend.call("randomNormal", { state, y: t.storage, n: t.size, mean, std }));
  return t;
}

/** Fills `t` with one value in place; returns t. */
export function constant(t: Tensor, value: number): Tensor {
  t.backend.call(t.dtype === "int32" ? "fillInt" : "fill", { y: t.storage, n: t.size, value });
  return t;
}

export function zeros(t: Tensor): Tensor {
  return constant(t, 0);
}

export function ones(t: Tensor): Tensor {
  return constant(t, 1);
}

/**
 * The factor by which a nonlinearity asks for a larger standard deviation, as PyTorch has it: 1 for linear, conv2d and
 * sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + a²)) for leakyRelu with slope a (default 0.01), 3/4 for selu.
 */
export function calculateGain(nonlinearity: Nonlinearity, a = 0.01): number {
  switch (nonlinearity) {
    case "linear":
    case "conv2d":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.SQRT2;
    case "leakyRelu":
      return Math.sqrt(2 / (1 + a * a));
    case "selu":
      return 3 / 4;
    default:
      throw new OptionError(`init.calculateGain: unsupported nonlinearity ${JSON.stringify(nonlinearity)}.`);
  }
}

/** How many inputs feed one output of a weight [out, in, …kernel], and how many outputs one input feeds. */
export function fans(t: Tensor): { fanIn: number; fanOut: number } {
  const [outputs, inputs] = t.shape;
  if (outputs === undefined || inputs === undefined) {
    throw new ShapeError(
      `init: fan in and fan out can not be computed for a tensor with fewer than 2 dimensions, got shape ${formatShape(t.shape)}.`,
    );
  }
  const kernel = t.shape.slice(2).reduce((product, n) => product * n, 1);
  return { fanIn: inputs * kernel, fanOut: outputs * kernel };
}

function kaimingStd(t: Tensor, { a = 0, mode = "fanIn", nonlinearity = "leakyRelu" }: KaimingOptions): number {
  if (mode !== "fanIn" && mode !== "fanOut") {
    throw new OptionError(`init: expected mode "fanIn" or "fanOut", got ${JSON.stringify(mode)}.`);
  }
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(t)[mode]);
}

function xavierStd(t: Tensor, gain: number): number {
  const { fanIn, fanOut } = fans(t);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

/** Uniform in ±gain·√(3 / fan), in place; returns t. He et al. 2015, "Delving deep into rectifiers". */
export function kaimingUniform(t: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(t, options);
  return uniform(t, -bound, bound);
}

/** Normal with standard deviation gain / √fan, in place; returns t. He et al. 2015, "Delving deep into rectifiers". */
export function kaimingNormal(t: Tensor, options: KaimingOptions = {}): Tensor {
  return normal(t, 0, kaimingStd(t, options));
}

/** Uniform in ±gain·√(6 / (fanIn + fanOut)), in place; returns t. Glorot & Bengio 2010, equation 16. */
export function xavierUniform(t: Tensor, gain = 1): Tensor {
  const bound = Math.sqrt(3) * xavierStd(t, gain);
  return uniform(t, -bound, bound);
}

/** Normal with variance gain²·2 / (fanIn + fanOut), in place; returns t. Glorot & Bengio 2010, equation 12. */
export function xavierNormal(t: Tensor, gain = 1): Tensor {
  return normal(t, 0, xavierStd(t, gain));
}

/** How PyTorch begins Linear and the convolutions: every value uniform in ±1 / √fanIn. */
export function layerDefault(weight: Tensor, bias: Tensor | null): void {
  const { fanIn } = fans(weight);
  kaimingUniform(weight, { a: Math.sqrt(5) });
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  if (bias !== null) uniform(bias, -bound, bound);
}
