/** Convolutions and pooling of ONNX as evenkeel's ops. */
import * as ops from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type NodeCall, notApplicable } from "./onnx-call.js";

interface Windows {
  kernel: number[];
  stride: number[];
  dilation: number[];
  padding: number[];
}

/** Padding before and after each axis: the attribute, or what makes the output ⌈input / stride⌉ large. */
function paddingOf(call: NodeCall, sizes: readonly number[], { kernel, stride, dilation }: Omit<Windows, "padding">): number[] {
  const auto = call.string("auto_pad", "NOTSET");
  const axes = kernel.length;
  if (!auto.startsWith("SAME")) return call.ints("pads", new Array<number>(2 * axes).fill(0));
  const total = sizes.map((size, i) => {
    const outputs = Math.ceil(size / stride[i]!);
    return Math.max(0, (outputs - 1) * stride[i]! + (kernel[i]! - 1) * dilation[i]! + 1 - size);
  });
  const [less, more] = [total.map((n) => Math.floor(n / 2)), total.map((n) => Math.ceil(n / 2))];
  return auto === "SAME_UPPER" ? [...less, ...more] : [...more, ...less];
}

function windowsOf(call: NodeCall, x: Tensor, kernel: number[]): Windows {
  const ones = kernel.map(() => 1);
  const windows = { kernel, stride: call.ints("strides", ones), dilation: call.ints("dilations", ones) };
  const pads = paddingOf(call, x.shape.slice(2), windows);
  return { ...windows, padding: symmetric(pads) };
}

function symmetric(pads: readonly number[]): number[] {
  const before = pads.slice(0, pads.length / 2);
  if (before.some((n, i) => n !== pads[before.length + i])) notApplicable("padding that differs between the two sides");
  return before;
}

const pair = (list: readonly number[]) => [list[0]!, list[1]!] as const;
const triple = (list: readonly number[]) => [list[0]!, list[1]!, list[2]!] as const;

/** Pooling of [N, C, L] is that of [N, C, L, 1]. */
function pooled(call: NodeCall, pool: (x: Tensor, options: ops.PoolOptions) => Tensor): Tensor {
  const x = call.x();
  if (call.outputs > 1) notApplicable("the positions of the maxima as an output");
  if (x.rank === 3) {
    const { kernel, stride, padding } = checkedPool(call, x);
    const options = { kernelSize: [kernel[0]!, 1], stride: [stride[0]!, 1], padding: [padding[0]!, 0] } as const;
    const y = pool(x.reshape([...x.shape, 1]), options);
    return y.reshape(y.shape.slice(0, 3));
  }
  if (x.rank !== 4) notApplicable(`${x.rank - 2}-D pooling`);
  const { kernel, stride, padding } = checkedPool(call, x);
  return pool(x, { kernelSize: pair(kernel), stride: pair(stride), padding: pair(padding) });
}

function checkedPool(call: NodeCall, x: Tensor): Windows {
  const windows = windowsOf(call, x, call.ints("kernel_shape", []));
  const { kernel, stride, dilation, padding } = windows;
  if (dilation.some((n) => n !== 1)) notApplicable("dilated pooling");
  if (padding.some((n, i) => 2 * n > kernel[i]!)) notApplicable("pooling with padding of more than half a window");
  const isCut = (size: number, i: number) => (size + 2 * padding[i]! - kernel[i]!) % stride[i]! !== 0;
  if (call.int("ceil_mode", 0) === 1 && x.shape.slice(2).some(isCut)) notApplicable("ceil_mode");
  return windows;
}

export const maxPool = (call: NodeCall) => pooled(call, ops.maxPool2d);

export const meanPool = (call: NodeCall) =>
  pooled(call, (x, options) => ops.avgPool2d(x, { ...options, countIncludePad: call.int("count_include_pad", 0) === 1 }));

export function convolution(call: NodeCall): Tensor {
  const [x, weight, bias] = [call.x(0), call.x(1), call.maybe(2)];
  const { stride, dilation, padding } = windowsOf(call, x, weight.shape.slice(2));
  const groups = call.int("group", 1);
  if (x.rank === 3) {
    return ops.conv1d(x, weight, bias, { stride: stride[0]!, dilation: dilation[0]!, padding: padding[0]!, groups });
  }
  if (x.rank === 4) {
    return ops.conv2d(x, weight, bias, { stride: pair(stride), dilation: pair(dilation), padding: pair(padding), groups });
  }
  if (x.rank !== 5) notApplicable(`${x.rank - 2}-D convolution`);
  return ops.conv3d(x, weight, bias, { stride: triple(stride), dilation: triple(dilation), padding: triple(padding), groups });
}

/** Padding and output padding of a transposed convolution. A wanted output shape decides both. */
function transposedPadding(call: NodeCall, x: Tensor, { kernel, stride, dilation }: Omit<Windows, "padding">) {
  const zeros = kernel.map(() => 0);
  const outputPadding = call.ints("output_padding", zeros);
  const sizes = x.shape.slice(2);
  const auto = call.string("auto_pad", "NOTSET");
  const isSame = auto.startsWith("SAME");
  const wanted = call.ints("output_shape", isSame ? sizes.map((size, i) => size * stride[i]!) : undefined);
  if (wanted === undefined) return { padding: symmetric(call.ints("pads", [...zeros, ...zeros])), outputPadding };
  const full = sizes.map((size, i) => (size - 1) * stride[i]! + (kernel[i]! - 1) * dilation[i]! + 1 + outputPadding[i]!);
  const cut = full.map((size, i) => Math.max(0, size - wanted[i]!));
  const [less, more] = [cut.map((n) => Math.floor(n / 2)), cut.map((n) => Math.ceil(n / 2))];
  return {
    padding: symmetric(auto === "SAME_UPPER" ? [...less, ...more] : [...more, ...less]),
    outputPadding: outputPadding.map((n, i) => n + Math.max(0, wanted[i]! - full[i]!)),
  };
}

/** That of [N, C, L] is that of [N, C, L, 1]. */
export function transposedConvolution(call: NodeCall): Tensor {
  const [x, weight, bias] = [call.x(0), call.x(1), call.maybe(2)];
  const kernel = weight.shape.slice(2);
  const ones = kernel.map(() => 1);
  const windows = { kernel, stride: call.ints("strides", ones), dilation: call.ints("dilations", ones) };
  const { padding, outputPadding } = transposedPadding(call, x, windows);
  if (x.rank > 4) notApplicable(`${x.rank - 2}-D transposed convolution`);
  const column = (t: Tensor) => t.reshape([...t.shape, ...new Array<number>(4 - t.rank).fill(1)]);
  const fill = (list: readonly number[], rest: number) => pair([...list, rest]);
  const y = ops.convTranspose2d(column(x), column(weight), bias, {
    stride: fill(windows.stride, 1),
    dilation: fill(windows.dilation, 1),
    padding: fill(padding, 0),
    outputPadding: fill(outputPadding, 0),
    groups: call.int("group", 1),
  });
  return y.reshape(y.shape.slice(0, x.rank));
}
