import { defineOp, type Op } from "../autograd/op.js";
import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape, type Shape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like, storageOf } from "./operand.js";
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
  const pair = typeof value === "number" ? [value, value] : [...value];
  if (pair.length !== 2 || pair.some((n) => !Number.isInteger(n) || n < least)) {
    throw new OptionError(
      `${who}: expected ${what} to be an integer of at least ${least} or a pair of them, got ${JSON.stringify(value)}.`,
    );
  }
  return pair as [number, number];
}

/** Scalars of the convolution kernels. */
function geometryOf(x: Shape, weight: Shape, options: Conv2dOptions) {
  const who = "conv2d";
  const [sh, sw] = pairOf(who, "stride", options.stride ?? 1, 1);
  const [ph, pw] = pairOf(who, "padding", options.padding ?? 0, 0);
  const [dh, dw] = pairOf(who, "dilation", options.dilation ?? 1, 1);
  const groups = options.groups ?? 1;
  if (x.length !== 4 || weight.length !== 4) {
    throw new ShapeError(
      `conv2d: expected input [N, C, H, W] and weight [O, C / groups, kH, kW], got ${formatShape(x)} and ${formatShape(weight)}.`,
    );
  }
  const [n, ci, h, w] = x as [number, number, number, number];
  const [co, inG, kh, kw] = weight as [number, number, number, number];
  if (ci < 1 || weight.includes(0)) {
    throw new ShapeError(
      `conv2d: expected at least one channel and one tap, got input ${formatShape(x)} and weight ${formatShape(weight)}.`,
    );
  }
  if (!Number.isInteger(groups) || groups < 1 || ci % groups !== 0 || co % groups !== 0) {
    throw new OptionError(`conv2d: expected groups to divide the ${ci} input and ${co} output channels, got ${groups}.`);
  }
  if (ci !== inG * groups) {
    throw new ShapeError(
      `conv2d: expected input [N, ${inG * groups}, H, W], got ${formatShape(x)}: the weight is ${formatShape(weight)}, groups ${groups}.`,
    );
  }
  const oh = Math.floor((h + 2 * ph - dh * (kh - 1) - 1) / sh) + 1;
  const ow = Math.floor((w + 2 * pw - dw * (kw - 1) - 1) / sw) + 1;
  if (oh < 1 || ow < 1) {
    throw new ShapeError(
      `conv2d: the kernel [${kh}, ${kw}] is larger than the padded input: got ${formatShape(x)}, padding [${ph}, ${pw}].`,
    );
  }
  return { n, ci, h, w, co, kh, kw, sh, sw, ph, pw, dh, dw, groups, oh, ow };
}

type Geometry = ReturnType<typeof geometryOf>;

const conv2dOp: Op<Geometry> = defineOp<Geometry>("conv2d", {
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

const conv2dBackwardInput: Op<Geometry> = defineOp<Geometry>("conv2dBackwardInput", {
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
  checkFloat("conv2d", x, weight, bias);
  const g = geometryOf(x.shape, weight.shape, options);
  if (bias && (bias.rank !== 1 || bias.shape[0] !== g.co)) {
    throw new ShapeError(`conv2d: expected bias [${g.co}], got ${formatShape(bias.shape)}.`);
  }
  return conv2dOp(bias ? [x, weight, bias] : [x, weight], g);
}
