import { formatShape } from "../core/shape.js";
import * as nn from "../nn/index.js";
import { type Built, given, type Place, type Shape } from "./build-place.js";
import type { Spec } from "./layer-spec.js";

const axesOf = { conv1d: 1, conv2d: 2, stdConv2d: 2, convTranspose2d: 2, conv3d: 3, maxPool2d: 2, avgPool2d: 2 } as const;
const layouts = ["", "sequences [C, L]", "images [C, H, W]", "volumes [C, D, H, W]"];

/** Refuses examples that have not channels and as many axes as the windows. */
function checkRank(type: keyof typeof axesOf, shape: Shape, place: Place): void {
  const axes = axesOf[type];
  if (shape.length !== axes + 1) place.fail(`${type} needs ${layouts[axes]}, got ${formatShape(shape)} per example.`);
}

/** A number for each of n axes. */
const each = (value: number | readonly number[], n: number): readonly number[] =>
  typeof value === "number" ? Array<number>(n).fill(value) : value;

interface Windows {
  kernel: number | readonly number[];
  stride?: number | readonly number[];
  padding?: number | readonly number[];
  dilation?: number | readonly number[];
}

/** Sizes of the axes after the windows, and an error where none fits. */
function windows(sizes: Shape, { kernel, stride = 1, padding = 0, dilation = 1 }: Windows, place: Place): number[] {
  const n = sizes.length;
  const [size, step, pad, gap] = [each(kernel, n), each(stride, n), each(padding, n), each(dilation, n)];
  return sizes.map((length, i) => {
    const out = Math.floor((length + 2 * pad[i]! - gap[i]! * (size[i]! - 1) - 1) / step[i]!) + 1;
    if (out < 1) place.fail(`a window of ${size[i]} does not fit into ${length} values with padding ${pad[i]}.`);
    return out;
  });
}

type ConvolutionSpec = Spec<"conv1d"> | Spec<"conv2d"> | Spec<"conv3d"> | Spec<"stdConv2d"> | Spec<"convTranspose2d">;

/** Checks channels and groups, counts the weights, and returns the channels before the layer. */
function channelsBefore(spec: ConvolutionSpec, shape: Shape, place: Place): number {
  checkRank(spec.type, shape, place);
  const channels = shape[0]!;
  const { type, out, kernel, in: inputs, groups = 1 } = spec;
  if (inputs !== undefined && inputs !== channels)
    place.fail(`${type} expects in = ${channels}, the channels before it, got ${inputs}.`);
  if (channels % groups !== 0 || out % groups !== 0)
    place.fail(`${type} expects groups that divide ${channels} and ${out} channels, got ${groups}.`);
  const taps = each(kernel, axesOf[type]).reduce((product, n) => product * n, 1);
  place.spend((out * channels * taps) / groups);
  return channels;
}

export function convolution(spec: Exclude<ConvolutionSpec, Spec<"convTranspose2d">>, shape: Shape, place: Place): Built {
  const channels = channelsBefore(spec, shape, place);
  const after = [spec.out, ...windows(shape.slice(1), spec, place)];
  return { module: makeConvolution(spec, channels), shape: after };
}

function makeConvolution(spec: Exclude<ConvolutionSpec, Spec<"convTranspose2d">>, channels: number): nn.Module {
  if (spec.type === "conv1d") {
    const { type: _, name: _name, out, kernel, in: _in, ...options } = spec;
    return new nn.Conv1d(channels, out, kernel, given(options));
  }
  if (spec.type === "conv3d") {
    const { type: _, name: _name, out, kernel, in: _in, ...options } = spec;
    return new nn.Conv3d(channels, out, kernel, given(options));
  }
  const { type, name: _name, out, kernel, in: _in, ...options } = spec;
  return type === "conv2d"
    ? new nn.Conv2d(channels, out, kernel, given(options))
    : new nn.StdConv2d(channels, out, kernel, given(options));
}

export function convTranspose2d(spec: Spec<"convTranspose2d">, shape: Shape, place: Place): Built {
  const channels = channelsBefore(spec, shape, place);
  const { type: _, name: _name, in: _in, out, kernel, ...options } = spec;
  const { stride = 1, padding = 0, outputPadding = 0, dilation = 1 } = options;
  const [size, step, pad, extra, gap] = [kernel, stride, padding, outputPadding, dilation].map((value) => each(value, 2));
  const after = shape.slice(1).map((length, i) => {
    const n = (length - 1) * step![i]! - 2 * pad![i]! + gap![i]! * (size![i]! - 1) + extra![i]! + 1;
    if (n < 1) place.fail(`padding of ${pad![i]} leaves nothing of ${length} values.`);
    return n;
  });
  return { module: new nn.ConvTranspose2d(channels, out, kernel, given(options)), shape: [out, ...after] };
}

export function pool(spec: Spec<"maxPool2d"> | Spec<"avgPool2d">, shape: Shape, place: Place): Built {
  checkRank(spec.type, shape, place);
  const { kernel, stride = kernel, padding = 0 } = spec;
  const module =
    spec.type === "maxPool2d"
      ? new nn.MaxPool2d(kernel, { stride, padding })
      : new nn.AvgPool2d(kernel, given({ stride, padding, countIncludePad: spec.countIncludePad }));
  return { module, shape: [shape[0]!, ...windows(shape.slice(1), { kernel, stride, padding }, place)] };
}
