import * as nn from "../../src/nn/index.js";
import { decode, decodeMap, type LayerCase } from "../fixtures/golden.js";

const layers = { BatchNorm1d: nn.BatchNorm1d, BatchNorm2d: nn.BatchNorm2d, BatchNorm3d: nn.BatchNorm3d };

/** Options of a golden case under evenkeel's names, with the defaults filled in. */
export function optionsOf({ options }: LayerCase) {
  const {
    eps = 1e-5,
    momentum = 0.1,
    affine = true,
    track_running_stats: trackRunningStats = true,
  } = options as { eps?: number; momentum?: number | null; affine?: boolean; track_running_stats?: boolean };
  return { eps, momentum, affine, trackRunningStats };
}

/**
 * The running values before the first batch. Those of an evaluation are taken from the state after it, which is the same:
 * there they have 64 bits, and PyTorch computed with these.
 */
function buffersOf(example: LayerCase): LayerCase["buffers"] {
  return example.training ? example.buffers : example.steps[0]!.state;
}

/** The layer of a golden case on the current backend, in its state before the first batch. */
export function buildLayer(example: LayerCase): nn.BatchNorm {
  const Layer = layers[example.layer as keyof typeof layers];
  const layer = new Layer(example.steps[0]!.x.shape[1]!, optionsOf(example));
  layer.loadStateDict(decodeMap({ ...example.params, ...buffersOf(example) }), { strict: false });
  return layer.train(example.training);
}

/** γ, β and running values of a golden case before the first batch. */
export function startOf(example: LayerCase) {
  const value = (map: LayerCase["params"], key: string) => (map[key] ? decode(map[key]) : undefined);
  return {
    weight: value(example.params, "weight"),
    bias: value(example.params, "bias"),
    mean: value(buffersOf(example), "running_mean"),
    variance: value(buffersOf(example), "running_var"),
  };
}

/** Whether a batch is normalized with its own statistics. */
export function usesBatch(example: LayerCase): boolean {
  return example.training || !optionsOf(example).trackRunningStats;
}
