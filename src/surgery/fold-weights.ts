import type { BatchNorm } from "../nn/index.js";
import { Conv1d, Conv2d, Conv3d, ConvTranspose2d, Linear, type Module } from "../nn/index.js";
import { isExactly } from "../nn/is-exactly.js";
import type { Tensor } from "../tensor/tensor.js";

/** A layer that is linear in its weights, into which a scale and a shift of channels can go. */
export type Host = Linear | Conv1d | Conv2d | Conv3d | ConvTranspose2d;

export const isHost = (module: Module | undefined): module is Host =>
  [Linear, Conv1d, Conv2d, Conv3d, ConvTranspose2d].some((type) => isExactly<Module>(module, type));

/** What batch normalization does in evaluation: y = x · scale + shift for each channel, in float64. */
export interface ChannelMap {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** scale = γ / √(σ² + ε), shift = β − μ · scale. */
export function channelMapOf(layer: BatchNorm): ChannelMap {
  const [mean, variance] = [layer.runningMean!.data(), layer.runningVar!.data()];
  const [gamma, beta] = [layer.weight?.data(), layer.bias?.data()];
  const scale = Float64Array.from(variance, (v, c) => (gamma?.[c] ?? 1) / Math.sqrt(v + layer.eps));
  return { scale, shift: scale.map((s, c) => (beta?.[c] ?? 0) - mean[c]! * s) };
}

/** A new layer of the same kind with a bias and these values, rounded to float32 once. */
function rebuilt(host: Host, weight: Float64Array, bias: Float64Array): Host {
  const next = emptyLike(host);
  const write = (t: Tensor, values: Float64Array) => t.backend.write(t.storage, values);
  write(next.weight, weight);
  write(next.bias!, bias);
  next.weight.requiresGrad = host.weight.requiresGrad;
  next.bias!.requiresGrad = host.bias?.requiresGrad ?? host.weight.requiresGrad;
  return next;
}

function emptyLike(host: Host): Host {
  if (host instanceof Linear) return new Linear(host.inFeatures, host.outFeatures);
  const { inChannels, outChannels, groups } = host;
  if (host instanceof ConvTranspose2d) {
    const { kernelSize, stride, padding, outputPadding, dilation } = host;
    return new ConvTranspose2d(inChannels, outChannels, kernelSize, { stride, padding, outputPadding, dilation, groups });
  }
  if (host instanceof Conv1d) {
    const { kernelSize, stride, padding, dilation } = host;
    return new Conv1d(inChannels, outChannels, kernelSize, { stride, padding, dilation, groups });
  }
  if (host instanceof Conv2d) {
    const { kernelSize, stride, padding, dilation } = host;
    return new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, dilation, groups });
  }
  const { kernelSize, stride, padding, dilation } = host;
  return new Conv3d(inChannels, outChannels, kernelSize, { stride, padding, dilation, groups });
}

/** Output and input channel of each weight, by its position in memory. */
function channelsOf(host: Host): { output: (i: number) => number; input: (i: number) => number } {
  const { weight } = host;
  const [first, second] = weight.shape as [number, number];
  const taps = weight.size / (first * second);
  const row = (i: number) => Math.floor(i / (second * taps));
  const column = (i: number) => Math.floor(i / taps) % second;
  if (host instanceof Linear) return { output: row, input: column };
  // A group's rows see the columns of that group alone.
  const group = (i: number) => Math.floor(row(i) / (first / host.groups));
  const within = (i: number) => group(i) * second + column(i);
  return host instanceof ConvTranspose2d ? { output: within, input: row } : { output: row, input: within };
}

/** The layer and the map behind it as one layer: W′ = scale · W, b′ = scale · b + shift. */
export function mapBehind(host: Host, { scale, shift }: ChannelMap): Host {
  const { output } = channelsOf(host);
  const weight = Float64Array.from(host.weight.data(), (w, i) => w * scale[output(i)]!);
  const old = host.bias?.data();
  return rebuilt(
    host,
    weight,
    shift.map((t, c) => (old?.[c] ?? 0) * scale[c]! + t),
  );
}

/** The map and the layer behind it as one layer: W′ = W · scale, b′ = b + Σ W · shift. Exact where nothing is padded. */
export function mapBefore(host: Host, { scale, shift }: ChannelMap): Host {
  const { output, input } = channelsOf(host);
  const values = host.weight.data();
  const old = host.bias?.data();
  const outputs = host instanceof Linear ? host.outFeatures : host.outChannels;
  const bias = Float64Array.from({ length: outputs }, (_, c) => old?.[c] ?? 0);
  for (let i = 0; i < values.length; i++) bias[output(i)] = bias[output(i)]! + values[i]! * shift[input(i)]!;
  return rebuilt(
    host,
    Float64Array.from(values, (w, i) => w * scale[input(i)]!),
    bias,
  );
}
