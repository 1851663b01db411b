import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Conv2dOptions, conv2dBackwardInput, pairOf } from "./conv.js";
import { checkBias, checkChannels, planarGeometry } from "./conv-geometry.js";
import { checkFloat } from "./operand.js";

export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Rows and columns added at the bottom and on the right of the output, to tell sizes apart that a stride joins (default 0). */
  outputPadding?: Conv2dOptions["stride"];
}

/** Refuses output padding that is not below the stride or the dilation of its axis. */
export function checkOutputPadding(
  who: string,
  outputPadding: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): void {
  if (outputPadding.some((n, i) => n >= Math.max(stride[i]!, dilation[i]!))) {
    throw new OptionError(
      `${who}: expected outputPadding to be smaller than the stride or the dilation, got outputPadding ${formatShape(outputPadding)}, stride ${formatShape(stride)}, dilation ${formatShape(dilation)}.`,
    );
  }
}

/** The convolution whose gradient towards its input this is: from the image [OH, OW] to x. */
function geometryOf(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions) {
  const who = "convTranspose2d";
  const stride = pairOf(who, "stride", options.stride ?? 1, 1);
  const padding = pairOf(who, "padding", options.padding ?? 0, 0);
  const dilation = pairOf(who, "dilation", options.dilation ?? 1, 1);
  const outputPadding = pairOf(who, "outputPadding", options.outputPadding ?? 0, 0);
  const groups = options.groups ?? 1;
  checkOutputPadding(who, outputPadding, stride, dilation);
  if (x.rank !== 4 || weight.rank !== 4) {
    throw new ShapeError(
      `${who}: expected input [N, C, H, W] and weight [C, O / groups, kH, kW], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}.`,
    );
  }
  const [n, channels, ...sizes] = x.shape as [number, number, ...number[]];
  const [inputs, outG, ...kernel] = weight.shape as [number, number, ...number[]];
  if (channels !== inputs || sizes.includes(0)) {
    throw new ShapeError(
      `${who}: expected input [N, ${inputs}, H, W] with at least one pixel, got ${formatShape(x.shape)}: the weight is ${formatShape(weight.shape)}.`,
    );
  }
  checkChannels(who, x, weight, groups, channels, outG * groups);
  const axes = sizes.map((out, i) => {
    const axis = { kernel: kernel[i]!, stride: stride[i]!, padding: padding[i]!, dilation: dilation[i]! };
    const reach = axis.dilation * (axis.kernel - 1) + 1;
    return { ...axis, out, size: (out - 1) * axis.stride - 2 * axis.padding + reach + outputPadding[i]! };
  });
  if (axes.some(({ size }) => size < 1)) {
    const got = `got ${formatShape(x.shape)}, kernel ${formatShape(kernel)}, padding ${formatShape(padding)}`;
    throw new ShapeError(
      `${who}: expected an output of at least one pixel, not ${formatShape(axes.map((a) => a.size))}: ${got}; pad less.`,
    );
  }
  return planarGeometry({ n, ci: outG * groups, co: channels, groups }, axes[0]!, axes[1]!);
}

/**
 * Transposed two-dimensional convolution, as in PyTorch: the gradient of `conv2d` towards its input, used as a layer. Every
 * pixel of x adds its multiple of the kernel to a window of the output.
 *
 * @param x [N, C, H, W]
 * @param weight [C, O / groups, kH, kW]
 * @param bias [O] or null
 * @returns [N, O, H', W'] with H' = (H − 1)·stride − 2·padding + dilation·(kH − 1) + outputPadding + 1
 * @throws ShapeError if the shapes do not fit each other or the output is empty; OptionError if groups does not divide the
 *   channels, or outputPadding is not below the stride or the dilation
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTranspose2dOptions = {},
): Tensor {
  checkFloat("convTranspose2d", x, weight, bias);
  const g = geometryOf(x, weight, options);
  checkBias("convTranspose2d", bias, g.ci);
  return tidy(() => {
    const y = conv2dBackwardInput([x, weight], g);
    return bias ? y.add(bias.reshape([1, g.ci, 1, 1])) : y;
  });
}
