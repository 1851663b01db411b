import { OptionError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkInteger } from "./options.js";

/** One number for all axes, or one for each. */
type Sizes = number | readonly number[];

/** What the convolution layers have in common. */
interface Convolution {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: Sizes;
  readonly stride: Sizes;
  readonly padding: Sizes;
  readonly outputPadding?: Sizes;
  readonly dilation: Sizes;
  readonly groups: number;
  readonly bias: Tensor | null;
}

/** Refuses counts that are no integers of at least 1, and groups that do not divide both channel counts. */
export function checkChannels(who: string, inChannels: number, outChannels: number, groups: number): void {
  checkInteger(who, "inChannels", inChannels);
  checkInteger(who, "outChannels", outChannels);
  checkInteger(who, "groups", groups);
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new OptionError(
      `${who}: expected groups to divide inChannels and outChannels, got groups = ${groups} for ${inChannels} and ${outChannels}.`,
    );
  }
}

/** Sizes as text: one number if all are equal. */
function format(sizes: Sizes): string {
  const list = typeof sizes === "number" ? [sizes] : sizes;
  return list.every((n) => n === list[0]) ? String(list[0]) : `[${list.join(", ")}]`;
}

/** The options of a layer for `toString`; those that have their default are left out, but for the stride. */
export function describeConvolution(layer: Convolution): string {
  const { kernelSize, stride, padding, outputPadding = 0, dilation, groups } = layer;
  let text = `${layer.inChannels}, ${layer.outChannels}, kernelSize = ${format(kernelSize)}, stride = ${format(stride)}`;
  if (format(padding) !== "0") text += `, padding = ${format(padding)}`;
  if (format(outputPadding) !== "0") text += `, outputPadding = ${format(outputPadding)}`;
  if (format(dilation) !== "1") text += `, dilation = ${format(dilation)}`;
  if (groups !== 1) text += `, groups = ${groups}`;
  return layer.bias === null ? `${text}, bias = false` : text;
}
