import type { Pair, Triple } from "../nn/index.js";

/**
 * A layer as it stands in files; sizes of inputs are found out, except where they are given. `name` is what the state keys
 * begin with (default: the position in the list), for networks from elsewhere whose layers have names.
 */
export type LayerSpec = { name?: string } & (
  | { type: "linear"; out: number; in?: number; bias?: boolean }
  | ({ type: "conv1d" } & ConvSpec<number>)
  | ({ type: "conv2d" } & ConvSpec<Pair>)
  | ({ type: "conv3d" } & ConvSpec<Triple>)
  | ({ type: "convTranspose2d"; outputPadding?: Pair } & ConvSpec<Pair>)
  | ({ type: "stdConv2d"; eps?: number } & ConvSpec<Pair>)
  | ({ type: "batchNorm"; features?: number } & BatchNormSpec)
  | ({ type: "batchRenorm"; rMax?: number; dMax?: number } & BatchNormSpec)
  | ({ type: "ghostBatchNorm"; ghostSize: number } & BatchNormSpec)
  | { type: "iterNorm"; groupSize?: number; iterations?: number; eps?: number; momentum?: number; affine?: boolean }
  | ({ type: "layerNorm"; bias?: boolean } & RowNormSpec)
  | ({ type: "rmsNorm" } & RowNormSpec)
  | { type: "groupNorm"; groups: number; eps?: number; affine?: boolean }
  | { type: "instanceNorm"; eps?: number; affine?: boolean; momentum?: number | null; trackRunningStats?: boolean }
  | { type: "relu" | "sigmoid" | "tanh" | "gelu" | "silu" | "identity" }
  | { type: "flatten"; startAxis?: number }
  | { type: "leakyRelu"; slope?: number }
  | { type: "softmax"; axis?: number }
  | { type: "dropout"; p?: number }
  | { type: "maxPool2d"; kernel: Pair; stride?: Pair; padding?: Pair }
  | { type: "avgPool2d"; kernel: Pair; stride?: Pair; padding?: Pair; countIncludePad?: boolean }
  | { type: "adaptiveAvgPool2d"; size: Pair }
  | { type: "residual"; branch: LayerSpec[]; shortcut?: LayerSpec[] }
  | { type: "sequential"; layers: LayerSpec[] }
  | { type: "graph"; inputs: string[]; nodes: NodeSpec[]; outputs: string[] }
);

/** A node of a graph: `layer`, or where several edges meet their sum, or the edges side by side. */
export interface NodeSpec {
  name: string;
  layer: LayerSpec | { type: "add" } | { type: "concat"; axis?: number };
  inputs: string[];
  output?: string;
}

/** Of sizes S: one number for all axes, or one for each. */
interface ConvSpec<S> {
  out: number;
  kernel: S;
  in?: number;
  stride?: S;
  padding?: S;
  dilation?: S;
  groups?: number;
  bias?: boolean;
}

interface BatchNormSpec {
  eps?: number;
  momentum?: number | null;
  decay?: number;
  affine?: boolean;
  weight?: boolean;
  bias?: boolean;
  trackRunningStats?: boolean;
  unbiasedRunningVar?: boolean;
  detachStats?: boolean;
  compat?: "torch";
}

interface RowNormSpec {
  eps?: number;
  affine?: boolean;
  /** The last axes, over which is normalized (default: all of an example). */
  shape?: number[];
}

/** The description of a layer of one type. */
export type Spec<T extends LayerSpec["type"]> = Extract<LayerSpec, { type: T }>;
