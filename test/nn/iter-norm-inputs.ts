import * as nn from "../../src/nn/index.js";
import { normal, tensor } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";

export const bits = (t: Tensor) => [...t.data()];
export const stateOf = (layer: nn.IterNorm) => layer.buffers().map(bits);

/** Correlated values around `offset`: every channel holds a part of all others. */
export function batch(shape: readonly number[], seed: number, offset = 0): Tensor {
  manualSeed(seed);
  return tidy(() => {
    const own = normal(shape);
    const spread = tensor(
      Array.from({ length: shape[1]! }, (_, i) => 0.5 + i / shape[1]!),
      [shape[1]!, ...shape.slice(2).map(() => 1)],
    );
    return own.mul(spread).add(own.mean(1, true).mul(1.5)).add(offset);
  });
}

/** A layer with γ and β that are no 1 and 0. */
export function layerOf(channels: number, options: nn.IterNormLayerOptions): nn.IterNorm {
  const layer = new nn.IterNorm(channels, options);
  if (layer.weight) nn.init.uniform(layer.weight, 0.5, 2);
  if (layer.bias) nn.init.uniform(layer.bias, -1, 1);
  return layer;
}
