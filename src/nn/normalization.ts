import { BatchNorm } from "./batch-norm-base.js";
import { GroupNorm } from "./group-norm.js";
import { InstanceNorm } from "./instance-norm.js";
import { IterNorm } from "./iter-norm.js";
import { LayerNorm } from "./layer-norm.js";
import type { Module } from "./module.js";
import { RMSNorm } from "./rms-norm.js";

/** The base classes of the normalization layers. */
const family: readonly (abstract new (...args: never[]) => Module)[] = [
  BatchNorm,
  GroupNorm,
  InstanceNorm,
  IterNorm,
  LayerNorm,
  RMSNorm,
];

/** Whether `module` itself, not one of its children, is a normalization layer. */
export function isNormalization(module: Module): boolean {
  return family.some((Layer) => module instanceof Layer);
}
