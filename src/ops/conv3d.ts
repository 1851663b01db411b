import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { conv2dOp } from "./conv.js";
import { convolutionOf, planarGeometry } from "./conv-geometry.js";
import { depthWindows } from "./depth-windows.js";

/** One number for all three axes, or [depth, height, width]. */
export type Triple = number | readonly [number, number, number];

export interface Conv3dOptions {
  /** Steps between outputs (default 1). */
  stride?: Triple;
  /** Layers of zeros around the volume (default 0). */
  padding?: Triple;
  /** Steps between the taps of the kernel (default 1). */
  dilation?: Triple;
  /** Groups of channels that do not see each other (default 1). */
  groups?: number;
}

/**
 * Three-dimensional convolution (cross-correlation, as in PyTorch): that of the images at each output depth, whose channels
 * are those of the volume at all kD depths under the kernel. The images take about kD / stride times the memory of x.
 *
 * @param x [N, C, D, H, W]
 * @param weight [O, C / groups, kD, kH, kW]
 * @param bias [O] or null
 * @returns [N, O, D', H', W'] with D' = ⌊(D + 2·padding − dilation·(kD − 1) − 1) / stride⌋ + 1, H' and W' alike
 * @throws ShapeError if the shapes do not fit each other; OptionError if groups does not divide the channels
 */
export function conv3d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: Conv3dOptions = {}): Tensor {
  const { axes, n, ci, co, groups } = convolutionOf("conv3d", ["D", "H", "W"], [x, weight, bias], options);
  const [depth, h, w] = axes as [(typeof axes)[0], (typeof axes)[0], (typeof axes)[0]];
  const g = planarGeometry({ n: n * depth.out, ci: ci * depth.kernel, co, groups }, h, w);
  return tidy(() => {
    const images = depthWindows(x, depth);
    const taps = weight.reshape([co, g.ci / groups, h.kernel, w.kernel]);
    const y = conv2dOp(bias ? [images, taps, bias] : [images, taps], g);
    return y.reshape([n, depth.out, co, h.out, w.out]).permute([0, 2, 1, 3, 4]);
  });
}
