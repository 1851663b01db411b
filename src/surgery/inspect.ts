import { BatchNorm, type Module } from "../nn/index.js";
import type { Tensor } from "../tensor/tensor.js";

/** Smallest and largest value of a tensor. */
export interface Range {
  min: number;
  max: number;
}

/** What stands in one place of a model. */
export interface LayerInfo {
  path: string;
  type: string;
  /** Shapes of its own parameters, by name. */
  parameters: Record<string, readonly number[]>;
  /** Number of values in them. */
  size: number;
  training: boolean;
  /** Of batch normalization alone. */
  batchNorm: {
    numFeatures: number;
    eps: number;
    momentum: number | null;
    frozen: { stats: boolean; affine: boolean };
    /** Batches that moved the running values; null if none are kept. */
    batches: number | null;
    mean: Range | null;
    variance: Range | null;
    weight: Range | null;
    bias: Range | null;
  } | null;
}

function rangeOf(t: Tensor | null): Range | null {
  if (t === null) return null;
  let [min, max] = [Infinity, -Infinity];
  for (const value of t.data()) {
    if (Number.isNaN(value)) return { min: NaN, max: NaN };
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max };
}

/** The layers of a model that compute something themselves, in order, with what batch normalization has learned. */
export function inspect(model: Module): LayerInfo[] {
  return [...model.namedModules()]
    .filter(([, module]) => module.namedChildren().size === 0)
    .map(([path, module]) => {
      const own = [...module.namedParameters()];
      return {
        path,
        type: module.typeName,
        parameters: Object.fromEntries(own.map(([name, p]) => [name, p.shape])),
        size: own.reduce((sum, [, p]) => sum + p.size, 0),
        training: module.training,
        batchNorm: module instanceof BatchNorm ? batchNormInfo(module) : null,
      };
    });
}

function batchNormInfo(layer: BatchNorm): NonNullable<LayerInfo["batchNorm"]> {
  const { numFeatures, eps, momentum, frozen } = layer;
  return {
    numFeatures,
    eps,
    momentum,
    frozen,
    batches: layer.numBatchesTracked?.item() ?? null,
    mean: rangeOf(layer.runningMean),
    variance: rangeOf(layer.runningVar),
    weight: rangeOf(layer.weight),
    bias: rangeOf(layer.bias),
  };
}
