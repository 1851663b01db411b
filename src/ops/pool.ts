import { defineOp, type Op } from "../autograd/op.js";
import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Pair, pairOf } from "./conv.js";
import { checkFloat, like } from "./operand.js";

export interface PoolOptions {
  /** Size of the window. */
  kernelSize: Pair;
  /** Steps between windows (default: the window's size). */
  stride?: Pair;
  /** Rows and columns around the image, at most half a window (default 0). */
  padding?: Pair;
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether padding counts as zeros in the average (default true). */
  countIncludePad?: boolean;
}

function planesOf(who: string, x: Tensor): { planes: number; h: number; w: number } {
  checkFloat(who, x);
  if (x.rank !== 4) throw new ShapeError(`${who}: expected input [N, C, H, W], got ${formatShape(x.shape)}.`);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  return { planes: n * c, h, w };
}

function windowsOf(who: string, x: Tensor, options: PoolOptions) {
  const { planes, h, w } = planesOf(who, x);
  const [kh, kw] = pairOf(who, "kernelSize", options.kernelSize, 1);
  const [sh, sw] = pairOf(who, "stride", options.stride ?? options.kernelSize, 1);
  const [ph, pw] = pairOf(who, "padding", options.padding ?? 0, 0);
  if (ph > kh / 2 || pw > kw / 2) {
    throw new OptionError(
      `${who}: pad should be at most half of effective kernel size, got padding [${ph}, ${pw}] for windows [${kh}, ${kw}].`,
    );
  }
  const oh = Math.floor((h + 2 * ph - kh) / sh) + 1;
  const ow = Math.floor((w + 2 * pw - kw) / sw) + 1;
  if (oh < 1 || ow < 1)
    throw new ShapeError(`${who}: the window [${kh}, ${kw}] is larger than the padded input ${formatShape(x.shape)}.`);
  return { planes, h, w, kh, kw, sh, sw, ph, pw, oh, ow };
}

type Windows = ReturnType<typeof windowsOf>;

const outShape = (x: Tensor, oh: number, ow: number) => [x.shape[0]!, x.shape[1]!, oh, ow];

const maxPoolOp = defineOp<Windows>("maxPool2d", {
  forward: ([x], g, save) => {
    const y = like(x!, outShape(x!, g.oh, g.ow));
    const index = like(x!, y.shape, "int32");
    if (y.size > 0) x!.backend.call("maxPool2d", { x: x!.storage, y: y.storage, index: index.storage, ...g });
    save(index);
    return y;
  },
  gradient: (g) => (saved, dy) => [maxPoolBackwardOp([dy, saved.extra(0)], { g, shape: saved.shapes[0]! })],
});

interface MaxPoolBackward {
  g: Windows;
  shape: readonly number[];
}

const maxPoolBackwardOp: Op<MaxPoolBackward> = defineOp<MaxPoolBackward>("maxPool2dBackward", {
  keepInputs: [1],
  forward: ([dy, index], { g, shape }) => {
    const dx = like(dy!, shape);
    const { planes, h, w, oh, ow } = g;
    if (dx.size === 0) return dx;
    dy!.backend.call("maxPool2dBackward", {
      dy: dy!.storage,
      index: index!.storage,
      dx: dx.storage,
      planes,
      size: h * w,
      outSize: oh * ow,
    });
    return dx;
  },
  // Which pixels were largest is given here, so this is linear in dy.
  gradient: (options) => (saved, ddx) => [maxPoolGatherOp([ddx, saved.input(1)], options)],
});

/** The pixels at the positions that a maximum pooling chose. */
const maxPoolGatherOp: Op<MaxPoolBackward> = defineOp<MaxPoolBackward>("maxPool2dGather", {
  keepInputs: [1],
  forward: ([x, index], { g }) => {
    const y = like(x!, index!.shape);
    if (y.size === 0) return y;
    const { planes, h, w, oh, ow } = g;
    const call = { x: x!.storage, index: index!.storage, y: y.storage };
    x!.backend.call("maxPool2dGather", { ...call, planes, size: h * w, outSize: oh * ow });
    return y;
  },
  gradient: (options) => (saved, dy) => [maxPoolBackwardOp([dy, saved.input(1)], options)],
});

/** The largest value of each window: [N, C, H, W] → [N, C, H', W']. Where several are largest, the first gets the gradient. */
export function maxPool2d(x: Tensor, options: PoolOptions): Tensor {
  return maxPoolOp([x], windowsOf("maxPool2d", x, options));
}

type AvgWindows = Windows & { countPad: number };

const avgPoolOp: Op<AvgWindows> = defineOp<AvgWindows>("avgPool2d", {
  forward: ([x], g) => {
    const y = like(x!, outShape(x!, g.oh, g.ow));
    if (y.size > 0) x!.backend.call("avgPool2d", { x: x!.storage, y: y.storage, ...g });
    return y;
  },
  gradient: (g) => (saved, dy) => [avgPoolBackwardOp([dy], { g, shape: saved.shapes[0]! })],
});

const avgPoolBackwardOp = defineOp<{ g: AvgWindows; shape: readonly number[] }>("avgPool2dBackward", {
  forward: ([dy], { g, shape }) => {
    const dx = like(dy!, shape);
    if (dx.size > 0) dy!.backend.call("avgPool2dBackward", { dy: dy!.storage, dx: dx.storage, ...g });
    return dx;
  },
  gradient:
    ({ g }) =>
    (_saved, ddx) => [avgPoolOp([ddx], g)],
});

/** The mean of each window: [N, C, H, W] → [N, C, H', W']. */
export function avgPool2d(x: Tensor, options: AvgPoolOptions): Tensor {
  return avgPoolOp([x], { ...windowsOf("avgPool2d", x, options), countPad: (options.countIncludePad ?? true) ? 1 : 0 });
}

interface Bins {
  planes: number;
  h: number;
  w: number;
  oh: number;
  ow: number;
}

const adaptiveOp: Op<Bins> = defineOp<Bins>("adaptiveAvgPool2d", {
  forward: ([x], g) => {
    const y = like(x!, outShape(x!, g.oh, g.ow));
    if (y.size > 0) x!.backend.call("adaptiveAvgPool2d", { x: x!.storage, y: y.storage, ...g });
    return y;
  },
  gradient: (g) => (saved, dy) => [adaptiveBackwardOp([dy], { g, shape: saved.shapes[0]! })],
});

const adaptiveBackwardOp = defineOp<{ g: Bins; shape: readonly number[] }>("adaptiveAvgPool2dBackward", {
  forward: ([dy], { g, shape }) => {
    const dx = like(dy!, shape);
    if (dx.size > 0) dy!.backend.call("adaptiveAvgPool2dBackward", { dy: dy!.storage, dx: dx.storage, ...g });
    return dx;
  },
  gradient:
    ({ g }) =>
    (_saved, ddx) => [adaptiveOp([ddx], g)],
});

/** Means over bins that cover the image: [N, C, H, W] → [N, C, outputSize]. Bin i spans ⌊iH/H'⌋ to ⌈(i+1)H/H'⌉. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: Pair): Tensor {
  const [oh, ow] = pairOf("adaptiveAvgPool2d", "outputSize", outputSize, 1);
  const g = planesOf("adaptiveAvgPool2d", x);
  if (g.h < 1 || g.w < 1) throw new ShapeError(`adaptiveAvgPool2d: expected images with pixels, got ${formatShape(x.shape)}.`);
  return adaptiveOp([x], { ...g, oh, ow });
}
