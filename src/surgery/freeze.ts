import type { Module } from "../nn/index.js";
import { type LayerPattern, selectBatchNorms } from "./select.js";

/**
 * Freezes batch-norm layers until `unfreeze`, whatever `train()` says: see `BatchNorm.freeze`. For fine-tuning with small batches.
 *
 * @param pattern which layers (default: all)
 * @param options.stats whether they normalize by their running values in training and leave these alone (default true)
 * @param options.affine whether γ and β get no gradient (default true)
 * @returns the paths of the layers
 * @throws OptionError if the pattern names none, or a layer keeps no statistics that could be frozen; nothing is frozen then
 * @example
 * freeze(model, "layer1.**");
 */
export function freeze(model: Module, pattern?: LayerPattern, options: { stats?: boolean; affine?: boolean } = {}): string[] {
  const chosen = selectBatchNorms("freeze", model, pattern);
  const done: (() => void)[] = [];
  try {
    for (const layer of chosen.values()) {
      const { frozen } = layer;
      layer.freeze(options);
      done.push(() => layer.freeze(frozen));
    }
  } catch (error) {
    for (const undo of done) undo();
    throw error;
  }
  return [...chosen.keys()];
}

/** Takes `freeze` back. @returns the paths of the layers @throws OptionError if the pattern names none */
export function unfreeze(model: Module, pattern?: LayerPattern): string[] {
  const chosen = selectBatchNorms("unfreeze", model, pattern);
  for (const layer of chosen.values()) layer.unfreeze();
  return [...chosen.keys()];
}
