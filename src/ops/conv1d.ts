import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { conv2dOp } from "./conv.js";
import { convolutionOf, planarGeometry } from "./conv-geometry.js";

export interface Conv1dOptions {
  /** Steps between outputs (default 1). */
  stride?: number;
  /** Zeros at both ends (default 0). */
  padding?: number;
  /** Steps between the taps of the kernel (default 1). */
  dilation?: number;
  /** Groups of channels that do not see each other (default 1). */
  groups?: number;
}

/** The axis of images one pixel high. */
const height = { size: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, out: 1 };

/**
 * One-dimensional convolution (cross-correlation, as in PyTorch): that of images one pixel high.
 *
 * @param x [N, C, L]
 * @param weight [O, C / groups, kL]
 * @param bias [O] or null
 * @returns [N, O, L'] with L' = ⌊(L + 2·padding − dilation·(kL − 1) − 1) / stride⌋ + 1
 * @throws ShapeError if the shapes do not fit each other; OptionError if groups does not divide the channels
 */
export function conv1d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: Conv1dOptions = {}): Tensor {
  const { axes, ...channels } = convolutionOf("conv1d", ["L"], [x, weight, bias], options);
  const { n, ci, co } = channels;
  const { size, kernel, out } = axes[0]!;
  return tidy(() => {
    const images = x.reshape([n, ci, 1, size]);
    const taps = weight.reshape([co, weight.shape[1]!, 1, kernel]);
    const y = conv2dOp(bias ? [images, taps, bias] : [images, taps], planarGeometry(channels, height, axes[0]!));
    return y.reshape([n, co, out]);
  });
}
