import { defineOp, type Op } from "../autograd/op.js";
import type { Tensor } from "../tensor/tensor.js";
import { convolutionOf, extentsOf, type PlanarGeometry as Geometry, planarGeometry } from "./conv-geometry.js";
import { like, storageOf } from "./operand.js";
import { sumChannels } from "./sum-channels.js";

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly [number, number];

export interface Conv2dOptions {
  /** Steps between outputs (default 1). */
  stride?: Pair;
  /** Rows and columns of zeros around the image (default 0). */
  padding?: Pair;
  /** Steps between the taps of the kernel (default 1). */
  dilation?: Pair;
  /** Groups of channels that do not see each other (default 1). */
  groups?: number;
}

/** Both numbers of a pair, checked to be integers of at least `least`. */
export function pairOf(who: string, what: string, value: Pair, least: number): [number, number] {
  return extentsOf(who, what, value, least, 2) as [number, number];
}

/** Inputs x, weight and, if there is one, bias. */
export const conv2dOp: Op<Geometry> = defineOp<Geometry>("conv2d", {
  keepInputs: [0, 1],
  forward: ([x, weight, bias], g) => {
    const y = like(x!, [g.n, g.co, g.oh, g.ow]);
    if (y.size === 0) return y;
    x!.backend.call("conv2d", { x: x!.storage, weight: weight!.storage, bias: storageOf(bias), y: y.storage, ...g });
    return y;
  },
  gradient: (g) => (saved, dy) => [
    saved.needs[0] ? conv2dBackwardInput([dy, saved.input(1)], g) : null,
    saved.needs[1] ? conv2dBackwardWeight([saved.input(0), dy], g) : null,
    saved.needs[2] ? sumChannels(dy) : null,
  ],
});

/** Inputs dy and weight; the geometry is that of the convolution. */
export const conv2dBackwardInput: Op<Geometry> = defineOp<Geometry>("conv2dBackwardInput", {
  keepInputs: [0, 1],
  forward: ([dy, weight], g) => {
    const dx = like(dy!, [g.n, g.ci, g.h, g.w]);
    if (dx.size === 0) return dx;
    dy!.backend.call("conv2dBackwardInput", { dy: dy!.storage, weight: weight!.storage, dx: dx.storage, ...g });
    return dx;
  },
  // The convolution is linear in each of x and weight, so the rules of its gradients are convolutions again.
  gradient: (g) => (saved, ddx) => [
    saved.needs[0] ? conv2dOp([ddx, saved.input(1)], g) : null,
    saved.needs[1] ? conv2dBackwardWeight([ddx, saved.input(0)], g) : null,
  ],
});

const conv2dBackwardWeight: Op<Geometry> = defineOp<Geometry>("conv2dBackwardWeight", {
  keepInputs: [0, 1],
  forward: ([x, dy], g) => {
    const dweight = like(x!, [g.co, g.ci / g.groups, g.kh, g.kw]);
    if (dweight.size === 0) return dweight;
    x!.backend.call("conv2dBackwardWeight", { x: x!.storage, dy: dy!.storage, dweight: dweight.storage, ...g });
    return dweight;
  },
  gradient: (g) => (saved, ddw) => [
    saved.needs[0] ? conv2dBackwardInput([saved.input(1), ddw], g) : null,
    saved.needs[1] ? conv2dOp([saved.input(0), ddw], g) : null,
  ],
});

/**
 * Two-dimensional convolution (cross-correlation, as in PyTorch).
 *
 * @param x [N, C, H, W]
 * @param weight [O, C / groups, kH, kW]
 * @param bias [O] or null
 * @returns [N, O, H', W'] with H' = ⌊(H + 2·padding − dilation·(kH − 1) − 1) / stride⌋ + 1
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: Conv2dOptions = {}): Tensor {
  const { axes, ...channels } = convolutionOf("conv2d", ["H", "W"], [x, weight, bias], options);
  return conv2dOp(bias ? [x, weight, bias] : [x, weight], planarGeometry(channels, axes[0]!, axes[1]!));
}
