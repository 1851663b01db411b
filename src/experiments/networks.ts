// The networks of the experiments: dense layers, an activation, and what normalizes between them.
import { BatchNorm1d } from "../nn/batch-norm.js";
import type { BatchNormLayerOptions } from "../nn/batch-norm-options.js";
import { BatchRenorm } from "../nn/batch-renorm.js";
import { GroupNorm } from "../nn/group-norm.js";
import * as init from "../nn/init.js";
import { LayerNorm } from "../nn/layer-norm.js";
import { Linear } from "../nn/linear.js";
import type { Module } from "../nn/module.js";
import { Sequential } from "../nn/sequential.js";
import { manualSeed } from "../tensor/random.js";
import { activationOf } from "./activation.js";

export const NORMS = ["none", "layer", "batch", "group", "renorm"] as const;
export type Norm = (typeof NORMS)[number];

/** How an arm is called in tables and figures. */
export const NORM_LABELS: Readonly<Record<Norm, string>> = {
  none: "none",
  layer: "LayerNorm",
  batch: "BatchNorm",
  group: "GroupNorm",
  renorm: "BatchRenorm",
};

export interface MlpOptions {
  /** By name, or a function that makes it for a width. */
  norm: Norm | ((width: number) => Module);
  /** Sizes from input to output (default 784, 100, 100, 100, 10). */
  widths?: readonly number[];
  /** After each hidden layer (default "relu"); "linear" for none. */
  activation?: "relu" | "sigmoid" | "tanh" | "linear";
  /**
   * "normal" with He's standard deviation for relu and linear, Xavier's for sigmoid and tanh, and biases 0 (default); a number
   * as standard deviation, biases 0; or "default", as layers begin of themselves, which is PyTorch's way.
   */
  start?: "normal" | "default" | number;
  /** Normalization before the activation (default) or after it. */
  place?: "before" | "after";
  batchNorm?: BatchNormLayerOptions;
}

export const DEFAULT_WIDTHS: readonly number[] = [784, 100, 100, 100, 10];
const GROUPS = 10;

/**
 * A network whose dense layers begin the same for the same seed, whatever normalizes between them: normalization layers draw
 * no random numbers.
 */
export function buildMlp(seed: number, options: MlpOptions): Sequential {
  const { norm, widths = DEFAULT_WIDTHS, activation = "relu", start = "normal", place = "before" } = options;
  manualSeed(seed);
  const layers: Module[] = [];
  for (let i = 0; i + 1 < widths.length; i++) {
    const linear = new Linear(widths[i]!, widths[i + 1]!);
    begin(linear, start, activation);
    layers.push(linear);
    if (i + 2 === widths.length) break;
    const width = widths[i + 1]!;
    const normalization = typeof norm === "function" ? norm(width) : normOf(norm, width, options.batchNorm);
    const between = [normalization, activation === "linear" ? null : activationOf(activation)];
    for (const layer of place === "before" ? between : between.reverse()) if (layer !== null) layers.push(layer);
  }
  return new Sequential(...layers);
}

function begin({ weight, bias }: Linear, start: NonNullable<MlpOptions["start"]>, activation: string): void {
  if (start === "default") return;
  if (start !== "normal") init.normal(weight, 0, start);
  else if (activation === "relu") init.kaimingNormal(weight, { nonlinearity: "relu" });
  else if (activation === "linear") init.kaimingNormal(weight, { nonlinearity: "linear" });
  else init.xavierNormal(weight);
  if (bias !== null) init.zeros(bias);
}

function normOf(norm: Norm, width: number, options: BatchNormLayerOptions | undefined): Module | null {
  switch (norm) {
    case "none":
      return null;
    case "layer":
      return new LayerNorm(width);
    case "batch":
      return new BatchNorm1d(width, options);
    case "group":
      return new GroupNorm(GROUPS, width);
    case "renorm":
      // The bounds that the paper ends with: its schedule towards them takes 40,000 steps, more than any run here.
      return new BatchRenorm(width, { rMax: 3, dMax: 5 });
  }
}

/** The dense layers of a network, in order. */
export function linearsOf(model: Sequential): Linear[] {
  return [...model].filter((layer) => layer instanceof Linear);
}
