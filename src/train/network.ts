import { OptionError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { Pair } from "../nn/index.js";
import * as nn from "../nn/index.js";

/** A network as a list of layers, as it stands in files: sizes of inputs are found out, except where they are given. */
export type LayerSpec =
  | { type: "linear"; out: number; in?: number; bias?: boolean }
  | ({ type: "conv2d"; out: number; kernel: Pair; in?: number; bias?: boolean } & ConvSpec)
  | ({ type: "batchNorm"; features?: number } & BatchNormSpec)
  | ({ type: "batchRenorm"; rMax?: number; dMax?: number } & BatchNormSpec)
  | ({ type: "ghostBatchNorm"; ghostSize: number } & BatchNormSpec)
  | { type: "iterNorm"; groupSize?: number; iterations?: number; eps?: number; momentum?: number; affine?: boolean }
  | { type: "layerNorm" | "rmsNorm"; eps?: number }
  | { type: "groupNorm"; groups: number; eps?: number; affine?: boolean }
  | { type: "instanceNorm"; eps?: number; affine?: boolean }
  | { type: "relu" | "sigmoid" | "tanh" | "gelu" | "silu" | "flatten" }
  | { type: "leakyRelu"; slope?: number }
  | { type: "softmax"; axis?: number }
  | { type: "dropout"; p?: number }
  | { type: "maxPool2d"; kernel: Pair; stride?: Pair; padding?: Pair }
  | { type: "avgPool2d"; kernel: Pair; stride?: Pair; padding?: Pair; countIncludePad?: boolean }
  | { type: "adaptiveAvgPool2d"; size: Pair }
  | { type: "residual"; branch: LayerSpec[]; shortcut?: LayerSpec[] };

interface ConvSpec {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
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
}

/** A built layer and the shape of one example behind it. */
interface Built {
  module: nn.Module;
  shape: readonly number[];
}

type Shape = readonly number[];
type Spec<T extends LayerSpec["type"]> = Extract<LayerSpec, { type: T }>;

const pair = (value: Pair): readonly [number, number] => (typeof value === "number" ? [value, value] : value);

/** Keeps the options that are given: a layer's own defaults stand for the others. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

function fail(place: string, what: string): never {
  throw new OptionError(`${place}: ${what}`);
}

function linear({ out, in: inputs, bias }: Spec<"linear">, shape: Shape, place: string): Built {
  const width = shape[shape.length - 1];
  if (shape.length !== 1) fail(place, `linear needs one axis per example, got ${formatShape(shape)}. Put a flatten before it.`);
  if (inputs !== undefined && inputs !== width) fail(place, `linear expects in = ${width}, the size before it, got ${inputs}.`);
  return { module: new nn.Linear(width!, out, given({ bias })), shape: [out] };
}

function imageOf(type: string, shape: Shape, place: string): readonly [number, number, number] {
  if (shape.length !== 3) fail(place, `${type} needs images [C, H, W], got ${formatShape(shape)} per example.`);
  return shape as [number, number, number];
}

/** Size of an axis after windows of a size, and an error where none fits. */
function windows(size: number, kernel: number, stride: number, padding: number, dilation: number, place: string): number {
  const out = Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  if (out < 1) fail(place, `a window of ${kernel} does not fit into ${size} values with padding ${padding}.`);
  return out;
}

function conv2d(spec: Spec<"conv2d">, shape: Shape, place: string): Built {
  const [c, h, w] = imageOf("conv2d", shape, place);
  const { out, kernel, in: inputs, stride = 1, padding = 0, dilation = 1, groups, bias } = spec;
  if (inputs !== undefined && inputs !== c) fail(place, `conv2d expects in = ${c}, the channels before it, got ${inputs}.`);
  const module = new nn.Conv2d(c, out, kernel, given({ stride, padding, dilation, groups, bias }));
  const [size, step, pad, gap] = [pair(kernel), pair(stride), pair(padding), pair(dilation)];
  const next = [h, w].map((n, i) => windows(n, size[i]!, step[i]!, pad[i]!, gap[i]!, place));
  return { module, shape: [out, ...next] };
}

function pool(spec: Spec<"maxPool2d"> | Spec<"avgPool2d">, shape: Shape, place: string): Built {
  const [c, h, w] = imageOf(spec.type, shape, place);
  const { kernel, stride = kernel, padding = 0 } = spec;
  const module =
    spec.type === "maxPool2d"
      ? new nn.MaxPool2d(kernel, { stride, padding })
      : new nn.AvgPool2d(kernel, given({ stride, padding, countIncludePad: spec.countIncludePad }));
  const [size, step, pad] = [pair(kernel), pair(stride), pair(padding)];
  return { module, shape: [c, ...[h, w].map((n, i) => windows(n, size[i]!, step[i]!, pad[i]!, 1, place))] };
}

function batchNorm({ type: _, features, ...options }: Spec<"batchNorm">, shape: Shape, place: string): Built {
  const layers = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d];
  const Layer = layers[shape.length - 1];
  const channels = shape[0];
  if (Layer === undefined || channels === undefined)
    fail(place, `batchNorm needs 1 to 4 axes per example, got ${formatShape(shape)}.`);
  if (features !== undefined && features !== channels) fail(place, `batchNorm expects features = ${channels}, got ${features}.`);
  return { module: new Layer(channels, given(options)), shape };
}

/** Channels of an example, which normalization over channels needs. */
function channelsOf(type: string, shape: Shape, least: number, place: string): number {
  if (shape.length < least || shape.length > 4) {
    fail(place, `${type} needs ${least} to 4 axes per example, got ${formatShape(shape)}.`);
  }
  return shape[0]!;
}

function instanceNorm({ type, ...options }: Spec<"instanceNorm">, shape: Shape, place: string): Built {
  const channels = channelsOf(type, shape, 2, place);
  const Layer = [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d][shape.length - 2]!;
  return { module: new Layer(channels, given(options)), shape };
}

function residual({ branch, shortcut }: Spec<"residual">, shape: Shape, place: string): Built {
  const inner = buildList(branch, shape, `${place}.branch`);
  const outer = shortcut === undefined ? { module: null, shape } : buildList(shortcut, shape, `${place}.shortcut`);
  if (formatShape(inner.shape) !== formatShape(outer.shape)) {
    fail(
      place,
      `the branch gives ${formatShape(inner.shape)} and the shortcut ${formatShape(outer.shape)} per example: they cannot be added.`,
    );
  }
  return { module: new nn.Residual(inner.module, outer.module), shape: inner.shape };
}

const builders: { readonly [T in LayerSpec["type"]]: (spec: Spec<T>, shape: Shape, place: string) => Built } = {
  linear,
  conv2d,
  batchNorm,
  batchRenorm: ({ type, ...options }, shape, place) => {
    return { module: new nn.BatchRenorm(channelsOf(type, shape, 1, place), given(options)), shape };
  },
  ghostBatchNorm: ({ type, ghostSize, ...options }, shape, place) => {
    return { module: new nn.GhostBatchNorm(channelsOf(type, shape, 1, place), ghostSize, given(options)), shape };
  },
  iterNorm: ({ type, ...options }, shape, place) => {
    return { module: new nn.IterNorm(channelsOf(type, shape, 1, place), given(options)), shape };
  },
  // Over all axes of an example.
  layerNorm: ({ eps }, shape) => ({ module: new nn.LayerNorm([...shape], given({ eps })), shape }),
  rmsNorm: ({ eps }, shape) => ({ module: new nn.RMSNorm([...shape], given({ eps })), shape }),
  groupNorm: ({ type, groups, ...options }, shape, place) => {
    const channels = channelsOf(type, shape, 1, place);
    if (channels % groups !== 0) fail(place, `groupNorm expects groups that divide the ${channels} channels, got ${groups}.`);
    return { module: new nn.GroupNorm(groups, channels, given(options)), shape };
  },
  instanceNorm,
  residual,
  maxPool2d: pool,
  avgPool2d: pool,
  relu: (_, shape) => ({ module: new nn.ReLU(), shape }),
  sigmoid: (_, shape) => ({ module: new nn.Sigmoid(), shape }),
  tanh: (_, shape) => ({ module: new nn.Tanh(), shape }),
  gelu: (_, shape) => ({ module: new nn.GELU(), shape }),
  silu: (_, shape) => ({ module: new nn.SiLU(), shape }),
  leakyRelu: ({ slope }, shape) => ({ module: new nn.LeakyReLU(slope), shape }),
  softmax: ({ axis = 1 }, shape) => ({ module: new nn.Softmax(axis), shape }),
  dropout: ({ p }, shape) => ({ module: new nn.Dropout(p), shape }),
  flatten: (_, shape) => ({ module: new nn.Flatten(), shape: [sizeOf(shape)] }),
  adaptiveAvgPool2d: ({ size }, shape, place) => {
    const [c] = imageOf("adaptiveAvgPool2d", shape, place);
    return { module: new nn.AdaptiveAvgPool2d(size), shape: [c, ...pair(size)] };
  },
};

function buildList(specs: readonly LayerSpec[], input: Shape, place: string): { module: nn.Sequential; shape: Shape } {
  const module = new nn.Sequential();
  let shape = input;
  specs.forEach((spec, i) => {
    const build = builders[spec.type] as (spec: LayerSpec, shape: Shape, place: string) => Built;
    const built = build(spec, shape, `${place}[${i}]`);
    module.append(built.module);
    shape = built.shape;
  });
  return { module, shape };
}

/**
 * Builds the network that a list of layers describes.
 *
 * @param input shape of one example: [C, H, W] or [width]
 * @returns the network, and the shape of one example behind it
 * @throws OptionError that names the layer ("network[3].branch[0]: …") if it does not fit what comes before it
 * @example
 * buildNetwork([{ type: "linear", out: 64 }, { type: "batchNorm" }, { type: "relu" }, { type: "linear", out: 10 }], [784]);
 */
export function buildNetwork(specs: readonly LayerSpec[], input: Shape): { module: nn.Sequential; shape: Shape } {
  return buildList(specs, input, "network");
}
