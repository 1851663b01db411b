import type { Args } from "./arrays.js";

type Geometry = Omit<Args<"conv2d">, "x" | "weight" | "bias" | "y">;

/**
 * Visits every product of the convolution: the positions of its pixel in x [n, ci, h, w], its weight in
 * weight [co, ci/groups, kh, kw] and the pixel it is added to in y [n, co, oh, ow].
 *
 * Row of x: iy = oy·sh - ph + ky·dh, columns alike; there is no product where it falls outside the image. Output channels
 * of a group see the input channels of that group.
 */
function forEachProduct(g: Geometry, visit: (x: number, weight: number, y: number) => void): void {
  const groupIn = g.ci / g.groups;
  const groupOut = g.co / g.groups;
  /** One image and one pair of channels; planes are counted over the whole tensor. */
  const planes = (xPlane: number, weightPlane: number, yPlane: number): void => {
    for (let oy = 0; oy < g.oh; oy++) {
      for (let ox = 0; ox < g.ow; ox++) {
        for (let ky = 0; ky < g.kh; ky++) {
          const iy = oy * g.sh - g.ph + ky * g.dh;
          if (iy < 0 || iy >= g.h) continue;
          for (let kx = 0; kx < g.kw; kx++) {
            const ix = ox * g.sw - g.pw + kx * g.dw;
            if (ix < 0 || ix >= g.w) continue;
            visit((xPlane * g.h + iy) * g.w + ix, (weightPlane * g.kh + ky) * g.kw + kx, (yPlane * g.oh + oy) * g.ow + ox);
          }
        }
      }
    }
  };
  for (let image = 0; image < g.n; image++) {
    for (let out = 0; out < g.co; out++) {
      const group = Math.floor(out / groupOut);
      for (let i = 0; i < groupIn; i++) planes(image * g.ci + group * groupIn + i, out * groupIn + i, image * g.co + out);
    }
  }
}

/** y = Σ x·weight, plus bias[channel] if there is one: cross-correlation, as in PyTorch. */
export function conv2d(args: Args<"conv2d">): void {
  const { x, weight, bias, y, n, co, oh, ow } = args;
  const plane = oh * ow;
  for (let i = 0; i < n * co * plane; i++) y[i] = bias ? bias[Math.floor(i / plane) % co]! : 0;
  forEachProduct(args, (xi, wi, yi) => {
    y[yi]! += x[xi]! * weight[wi]!;
  });
}

/** dx = Σ dy·weight over the products that a pixel of x is in. */
export function conv2dBackwardInput(args: Args<"conv2dBackwardInput">): void {
  const { dy, weight, dx, n, ci, h, w } = args;
  for (let i = 0; i < n * ci * h * w; i++) dx[i] = 0;
  forEachProduct(args, (xi, wi, yi) => {
    dx[xi]! += dy[yi]! * weight[wi]!;
  });
}

/** dweight = Σ x·dy over the products that a weight is in. */
export function conv2dBackwardWeight(args: Args<"conv2dBackwardWeight">): void {
  const { x, dy, dweight, ci, co, kh, kw, groups } = args;
  for (let i = 0; i < (co * ci * kh * kw) / groups; i++) dweight[i] = 0;
  forEachProduct(args, (xi, wi, yi) => {
    dweight[wi]! += x[xi]! * dy[yi]!;
  });
}
