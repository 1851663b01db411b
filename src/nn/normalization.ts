import { BatchNorm } from "./batch-norm-base.js";
import { IterNorm } from "./iter-norm.js";
import type { Module } from "./module.js";

/** The base classes of the normalization layers. */
const family: readonly (abstract new (...args: never[]) => Module)[] = [BatchNorm, IterNorm];

/** Whether `module` itself, not one of its children, is a normalization layer. */
export function isNormalization(module: Module): boolean {
  return family.some((Layer) => module instanceof Layer);
}
