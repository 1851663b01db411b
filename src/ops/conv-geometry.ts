import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat } from "./operand.js";

/** One number for all axes of an image, or one for each. */
export type Extent = number | readonly number[];

export interface ConvolutionOptions {
  stride?: Extent;
  padding?: Extent;
  dilation?: Extent;
  groups?: number;
}

/** One axis of a convolution: `size` of the input, `out` of the output. */
export interface ConvolutionAxis {
  size: number;
  kernel: number;
  stride: number;
  padding: number;
  dilation: number;
  out: number;
}

export interface Convolution {
  n: number;
  /** Channels of the input and of the output. */
  ci: number;
  co: number;
  groups: number;
  axes: ConvolutionAxis[];
}

const forms = ["", " or a pair of them", " or three of them"];

/** One number for each of `count` axes, checked to be integers of at least `least`. */
export function extentsOf(who: string, what: string, value: Extent, least: number, count: number): number[] {
  const list = typeof value === "number" ? new Array<number>(count).fill(value) : [...value];
  if (list.length !== count || list.some((n) => !Number.isInteger(n) || n < least)) {
    throw new OptionError(
      `${who}: expected ${what} to be an integer of at least ${least}${forms[count - 1]}, got ${JSON.stringify(value)}.`,
    );
  }
  return list;
}

/** Refuses empty channels and taps, and groups that do not divide the channels. */
export function checkChannels(who: string, x: Tensor, weight: Tensor, groups: number, ci: number, co: number): void {
  if (ci < 1 || weight.shape.includes(0)) {
    throw new ShapeError(
      `${who}: expected at least one channel and one tap, got input ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}.`,
    );
  }
  if (!Number.isInteger(groups) || groups < 1 || ci % groups !== 0 || co % groups !== 0) {
    throw new OptionError(`${who}: expected groups to divide the ${ci} input and ${co} output channels, got ${groups}.`);
  }
}

export function checkBias(who: string, bias: Tensor | null, channels: number): void {
  if (bias && (bias.rank !== 1 || bias.shape[0] !== channels)) {
    throw new ShapeError(`${who}: expected bias [${channels}], got ${formatShape(bias.shape)}.`);
  }
}

/** The arguments of a convolution over the axes with these names, checked. */
export function convolutionOf(
  who: string,
  names: readonly string[],
  [x, weight, bias]: readonly [Tensor, Tensor, Tensor | null],
  options: ConvolutionOptions,
): Convolution {
  checkFloat(who, x, weight, bias);
  const extent = (what: "stride" | "padding" | "dilation", least: number, usual: number) =>
    extentsOf(who, what, options[what] ?? usual, least, names.length);
  const [stride, padding, dilation] = [extent("stride", 1, 1), extent("padding", 0, 0), extent("dilation", 1, 1)];
  const groups = options.groups ?? 1;
  if (x.rank !== 2 + names.length || weight.rank !== x.rank) {
    throw new ShapeError(
      `${who}: expected input [N, C, ${names.join(", ")}] and weight [O, C / groups, ${names.map((a) => `k${a}`).join(", ")}], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}.`,
    );
  }
  const [n, ci, ...sizes] = x.shape as [number, number, ...number[]];
  const [co, inG, ...kernel] = weight.shape as [number, number, ...number[]];
  checkChannels(who, x, weight, groups, ci, co);
  if (ci !== inG * groups) {
    throw new ShapeError(
      `${who}: expected input [N, ${inG * groups}, ${names.join(", ")}], got ${formatShape(x.shape)}: the weight is ${formatShape(weight.shape)}, groups ${groups}.`,
    );
  }
  const axes = sizes.map((size, i) => {
    const axis = { size, kernel: kernel[i]!, stride: stride[i]!, padding: padding[i]!, dilation: dilation[i]! };
    const room = size + 2 * axis.padding - axis.dilation * (axis.kernel - 1) - 1;
    return { ...axis, out: Math.floor(room / axis.stride) + 1 };
  });
  if (axes.some(({ out }) => out < 1)) {
    throw new ShapeError(
      `${who}: the kernel ${formatShape(kernel)} is larger than the padded input: got ${formatShape(x.shape)}, padding ${formatShape(padding)}.`,
    );
  }
  checkBias(who, bias, co);
  return { n, ci, co, groups, axes };
}

/** Scalars of the convolution kernels, for images of rows `h` and columns `w`. */
export function planarGeometry({ n, ci, co, groups }: Omit<Convolution, "axes">, h: ConvolutionAxis, w: ConvolutionAxis) {
  const sizes = { n, ci, h: h.size, w: w.size, co, kh: h.kernel, kw: w.kernel, groups, oh: h.out, ow: w.out };
  return { ...sizes, sh: h.stride, sw: w.stride, ph: h.padding, pw: w.padding, dh: h.dilation, dw: w.dilation };
}

export type PlanarGeometry = ReturnType<typeof planarGeometry>;
