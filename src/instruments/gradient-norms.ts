import { GradientError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { layersOf } from "./layers.js";
import { refuseInRecording } from "./measure.js";
import { type Moments, momentsOf } from "./moments.js";
import { normOf } from "./vectors.js";

export interface GradientNorm {
  /** Key of the parameter, or path of the layer. */
  name: string;
  /** Euclidean norm. */
  norm: number;
  /** norm / √size: the size of a typical value, whatever their number. */
  rms: number;
  /** Number of values. */
  size: number;
}

export interface GradientNormOptions {
  /** One entry for each parameter, or for each module with parameters of its own, all of them together (default "parameter"). */
  per?: "parameter" | "layer";
}

/** Parameters that have a gradient, by name. */
function gradientsOf(who: string, model: Module, per: "parameter" | "layer"): [name: string, gradients: Tensor[]][] {
  const groups = layersOf(model).flatMap(({ name, parameters }): [string, Tensor[]][] =>
    per === "layer" ? [[name, [...parameters.values()]]] : [...parameters].map(([key, p]) => [key, [p]]),
  );
  const found = groups.map(([name, params]): [string, Tensor[]] => [name, params.flatMap((p) => p.grad ?? [])]);
  const present = found.filter(([, gradients]) => gradients.length > 0);
  if (present.length > 0) return present;
  throw new GradientError(
    `${who}: expected parameters with gradients, got none: call it after backward() and before zeroGrad().`,
  );
}

/**
 * Norms of the gradients that the last `backward` has left. Parameters without a gradient are left out.
 *
 * Cost: one reading of the gradients, and of a number for each entry.
 *
 * @throws GradientError if there is no gradient at all; RecordingError in a recorded step
 * @example
 * loss.backward();
 * gradientNorms(model, { per: "layer" }); // [{ name: "0", norm, rms, size }, …]
 */
export function gradientNorms(model: Module, { per = "parameter" }: GradientNormOptions = {}): GradientNorm[] {
  refuseInRecording("gradientNorms");
  return gradientsOf("gradientNorms", model, per).map(([name, gradients]) => {
    const size = gradients.reduce((sum, g) => sum + g.size, 0);
    const norm = normOf(gradients);
    return { name, norm, rms: norm / Math.sqrt(size), size };
  });
}

/** How the values of a layer's gradient are distributed, all of them pooled. */
export interface GradientDistribution extends Moments {
  /** Path of the layer. */
  name: string;
}

/**
 * Mean, standard deviation, skewness and kurtosis of the gradient of each layer (of each module with parameters of its own, all of
 * them pooled), from what the last `backward` has left. A kurtosis far above 3 says that few values carry the gradient.
 *
 * Cost: some five readings of the gradients, and memory for two copies of the largest.
 *
 * @throws GradientError if there is no gradient at all; RecordingError in a recorded step
 */
export function gradientDistribution(model: Module): GradientDistribution[] {
  refuseInRecording("gradientDistribution");
  return gradientsOf("gradientDistribution", model, "layer").map(([name, gradients]) => ({ name, ...momentsOf(gradients) }));
}
