import { formatShape, sizeOf } from "../core/shape.js";
import * as nn from "../nn/index.js";
import { graph } from "./build-graph.js";
import { norms } from "./build-norms.js";
import { type Built, given, Place, type Shape } from "./build-place.js";
import { convolution, convTranspose2d, pool } from "./build-windows.js";
import type { LayerSpec, Spec } from "./layer-spec.js";

export type { LayerSpec, NodeSpec } from "./layer-spec.js";

function linear({ out, in: inputs, bias }: Spec<"linear">, shape: Shape, place: Place): Built {
  const width = shape[shape.length - 1];
  if (shape.length !== 1) place.fail(`linear needs one axis per example, got ${formatShape(shape)}. Put a flatten before it.`);
  if (inputs !== undefined && inputs !== width) place.fail(`linear expects in = ${width}, the size before it, got ${inputs}.`);
  place.spend(width! * out);
  return { module: new nn.Linear(width!, out, given({ bias })), shape: [out] };
}

function residual({ branch, shortcut }: Spec<"residual">, shape: Shape, place: Place): Built {
  const inner = buildList(branch, shape, place.at(".branch"));
  const outer = shortcut === undefined ? { module: null, shape } : buildList(shortcut, shape, place.at(".shortcut"));
  if (formatShape(inner.shape) !== formatShape(outer.shape)) {
    place.fail(
      `the branch gives ${formatShape(inner.shape)} and the shortcut ${formatShape(outer.shape)} per example: they cannot be added.`,
    );
  }
  return { module: new nn.Residual(inner.module, outer.module), shape: inner.shape };
}

function flatten({ startAxis = 1 }: Spec<"flatten">, shape: Shape, place: Place): Built {
  if (startAxis > shape.length) place.fail(`flatten expects a startAxis from 1 to ${shape.length}, got ${startAxis}.`);
  const kept = shape.slice(0, startAxis - 1);
  return { module: new nn.Flatten(startAxis), shape: [...kept, sizeOf(shape.slice(startAxis - 1))] };
}

function adaptiveAvgPool2d({ size }: Spec<"adaptiveAvgPool2d">, shape: Shape, place: Place): Built {
  if (shape.length !== 3) place.fail(`adaptiveAvgPool2d needs images [C, H, W], got ${formatShape(shape)} per example.`);
  return { module: new nn.AdaptiveAvgPool2d(size), shape: [shape[0]!, ...(typeof size === "number" ? [size, size] : size)] };
}

const builders: { readonly [T in LayerSpec["type"]]: (spec: Spec<T>, shape: Shape, place: Place) => Built } = {
  ...norms,
  linear,
  conv1d: convolution,
  conv2d: convolution,
  conv3d: convolution,
  stdConv2d: convolution,
  convTranspose2d,
  maxPool2d: pool,
  avgPool2d: pool,
  adaptiveAvgPool2d,
  residual,
  sequential: ({ layers }, shape, place) => buildList(layers, shape, place.at(".layers")),
  graph: (spec, shape, place) => graph(spec, shape, place, buildLayer),
  relu: (_, shape) => ({ module: new nn.ReLU(), shape }),
  sigmoid: (_, shape) => ({ module: new nn.Sigmoid(), shape }),
  tanh: (_, shape) => ({ module: new nn.Tanh(), shape }),
  gelu: (_, shape) => ({ module: new nn.GELU(), shape }),
  silu: (_, shape) => ({ module: new nn.SiLU(), shape }),
  identity: (_, shape) => ({ module: new nn.Identity(), shape }),
  leakyRelu: ({ slope }, shape) => ({ module: new nn.LeakyReLU(slope), shape }),
  softmax: ({ axis = 1 }, shape) => ({ module: new nn.Softmax(axis), shape }),
  dropout: ({ p }, shape) => ({ module: new nn.Dropout(p), shape }),
  flatten,
};

function buildLayer(spec: LayerSpec, shape: Shape, place: Place): Built {
  const build = builders[spec.type] as (spec: LayerSpec, shape: Shape, place: Place) => Built;
  return build(spec, shape, place);
}

function buildList(specs: readonly LayerSpec[], input: Shape, place: Place): { module: nn.Sequential; shape: Shape } {
  const module = new nn.Sequential();
  let shape = input;
  specs.forEach((spec, i) => {
    const here = place.at(`[${i}]`);
    const built = buildLayer(spec, shape, here);
    const name = spec.name ?? String(i);
    if (module.namedChildren().has(name)) here.fail(`expected a name that no other layer of the list has, got "${name}".`);
    module.append(built.module, name);
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
  return buildList(specs, input, new Place("network"));
}
