import { defineOp, type Op } from "../autograd/op.js";
import { sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { ConvolutionAxis } from "./conv-geometry.js";
import { like } from "./operand.js";

interface Windows {
  /** Volumes [N, C, D, H, W]. */
  shape: readonly number[];
  axis: ConvolutionAxis;
}

function callOf({ shape, axis }: Windows) {
  const { size: d, out: od, kernel: kd, stride, padding, dilation } = axis;
  return { n: shape[0]!, c: shape[1]!, d, s: sizeOf(shape.slice(3)), od, kd, stride, padding, dilation };
}

const depthWindowsOp: Op<Windows> = defineOp<Windows>("depthWindows", {
  forward: ([x], windows) => {
    const { n, c, od, kd, ...rest } = callOf(windows);
    const y = like(x!, [n * od, c * kd, ...windows.shape.slice(3)]);
    if (y.size > 0) x!.backend.call("depthWindows", { x: x!.storage, y: y.storage, n, c, od, kd, ...rest });
    return y;
  },
  gradient: (windows) => (_saved, dy) => [depthWindowsBackwardOp([dy], windows)],
});

const depthWindowsBackwardOp: Op<Windows> = defineOp<Windows>("depthWindowsBackward", {
  forward: ([dy], windows) => {
    const dx = like(dy!, windows.shape);
    if (dx.size > 0) dy!.backend.call("depthWindowsBackward", { dy: dy!.storage, dx: dx.storage, ...callOf(windows) });
    return dx;
  },
  gradient: (windows) => (_saved, ddx) => [depthWindowsOp([ddx], windows)],
});

/**
 * The windows of a convolution along the depth as channels of images: [N, C, D, H, W] → [N·D', C·kD, H, W], where image
 * n·D' + o has in channel c·kD + k what volume n has in channel c at depth o·stride − padding + k·dilation, 0 beyond its ends.
 */
export function depthWindows(x: Tensor, axis: ConvolutionAxis): Tensor {
  return depthWindowsOp([x], { shape: x.shape, axis });
}
