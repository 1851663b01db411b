import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { LossSurface, preserving } from "./measure.js";
import { cosineOf, normOf } from "./vectors.js";

/** What is met after a step of length η·|g| against the gradient. */
export interface AlongGradientPoint {
  eta: number;
  loss: number;
  /** |g' − g|, with g the gradient at the start and g' the one here. */
  gradientChange: number;
  /** Cosine of the angle between g and g'; NaN where one of them is 0. */
  cosine: number;
  /** |g' − g| / (η·|g|): how much the gradient changes for a way of length 1. */
  beta: number;
}

export interface AlongGradient {
  /** The loss at the start. */
  loss: number;
  /** |g| at the start. */
  gradientNorm: number;
  /** Largest minus smallest loss over the points, without the start. */
  lossRange: number;
  /** Largest |g' − g| over the points. */
  gradientPredictiveness: number;
  /** Largest β over the points. */
  effectiveSmoothness: number;
  /** Smallest cosine over the points. It has no unit, so it compares networks whose losses and gradients differ in size. */
  minCosine: number;
  points: AlongGradientPoint[];
}

export interface AlongGradientOptions {
  /** Step sizes η, each above 0: the parameters are moved from w to w − η·g. */
  etas: readonly number[];
}

/**
 * Follows the negative gradient from where the model is, and reports how loss and gradient change on the way. A gradient that
 * can be trusted keeps its direction: cosine near 1, small β.
 *
 * A small range of the loss alone says little: a network that has stopped learning has the smoothest loss of all. All points see
 * the same batch, random numbers (dropout masks) and running statistics. Where a value is not finite, so is the summary.
 * Parameters, gradients, buffers, modes and random numbers are afterwards what they were, bit for bit.
 *
 * Cost: a forward and a backward pass for each η and one more; memory for four more copies of the parameters.
 *
 * @param loss computes the loss of one batch by the model, without calling `backward`
 * @throws OptionError if an η is not finite and above 0, or there is none; ShapeError, GradientError if the loss is no single
 * value that depends on parameters; RecordingError in a recorded step
 * @example
 * alongGradient(model, () => nn.crossEntropy(model.call(x), labels), { etas: [0.05, 0.1, 0.2, 0.4] }).minCosine;
 * @see Santurkar, Tsipras, Ilyas & Mądry 2018, "How does batch normalization help optimization?", section 3.1 and figure 4
 */
export function alongGradient(model: Module, loss: () => Tensor, { etas }: AlongGradientOptions): AlongGradient {
  const wrong = etas.find((eta) => !(eta > 0 && eta < Infinity));
  if (etas.length === 0 || wrong !== undefined) {
    throw new OptionError(`alongGradient: expected etas that are finite and above 0, got ${wrong ?? "none"}.`);
  }
  return preserving("alongGradient", model, (state) => {
    const surface = new LossSurface("alongGradient", model, loss, state);
    const { packing } = surface;
    const start = packing.read();
    const at = surface.gradient();
    const gradientNorm = normOf([at.gradient]);
    const points = etas.map((eta) =>
      tidy(() => {
        packing.write(start.sub(at.gradient.mul(eta)));
        const there = surface.gradient();
        const gradientChange = normOf([there.gradient.sub(at.gradient)]);
        const cosine = cosineOf(at.gradient, there.gradient);
        return { eta, loss: there.loss, gradientChange, cosine, beta: gradientChange / (eta * gradientNorm) };
      }),
    );
    return { loss: at.loss, gradientNorm, ...summarize(points), points };
  });
}

function summarize(points: readonly AlongGradientPoint[]) {
  const losses = points.map((point) => point.loss);
  return {
    lossRange: Math.max(...losses) - Math.min(...losses),
    gradientPredictiveness: Math.max(...points.map((point) => point.gradientChange)),
    effectiveSmoothness: Math.max(...points.map((point) => point.beta)),
    minCosine: Math.min(...points.map((point) => point.cosine)),
  };
}
