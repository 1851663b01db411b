import type { Args } from "./arrays.js";

type Geometry = Omit<Args<"avgPool2d">, "x" | "y" | "countPad" | "planes">;

/** The part of the image under one window, [y0, y1) × [x0, x1), and the size of the window. */
interface Window {
  y0: number;
  y1: number;
  x0: number;
  x1: number;
  padded: number;
}

/** The window of output (oy, ox). Its size counts padding, but not what sticks out beyond the padding (as in PyTorch). */
function windowAt(g: Geometry, oy: number, ox: number): Window {
  const top = oy * g.sh - g.ph;
  const left = ox * g.sw - g.pw;
  const bottom = Math.min(top + g.kh, g.h + g.ph);
  const right = Math.min(left + g.kw, g.w + g.pw);
  return {
    y0: Math.max(top, 0),
    y1: Math.min(bottom, g.h),
    x0: Math.max(left, 0),
    x1: Math.min(right, g.w),
    padded: (bottom - top) * (right - left),
  };
}

/** Output (oy, ox) of adaptive pooling sees rows ⌊oy·h/oh⌋ to ⌈(oy+1)·h/oh⌉, exclusive, and columns alike. */
function adaptiveWindow(h: number, w: number, oh: number, ow: number, oy: number, ox: number): Window {
  const y0 = Math.floor((oy * h) / oh);
  const y1 = Math.ceil(((oy + 1) * h) / oh);
  const x0 = Math.floor((ox * w) / ow);
  const x1 = Math.ceil(((ox + 1) * w) / ow);
  return { y0, y1, x0, x1, padded: (y1 - y0) * (x1 - x0) };
}

/** Visits every output of every plane: its position and the position of its plane in x. */
function forEachOutput(
  a: { planes: number; h: number; w: number; oh: number; ow: number },
  visit: (out: number, plane: number, oy: number, ox: number) => void,
): void {
  for (let p = 0; p < a.planes; p++) {
    for (let oy = 0; oy < a.oh; oy++) {
      for (let ox = 0; ox < a.ow; ox++) visit((p * a.oh + oy) * a.ow + ox, p * a.h * a.w, oy, ox);
    }
  }
}

/** Visits the offsets in the plane of a window's pixels, row by row. */
function forEachPixel(window: Window, w: number, visit: (offset: number) => void): void {
  for (let y = window.y0; y < window.y1; y++) {
    for (let x = window.x0; x < window.x1; x++) visit(y * w + x);
  }
}

/**
 * y = the greatest pixel of each window, index = its offset in the plane (int32), the first one if there are several.
 * NaN counts as greater than all else. Padding is never chosen; every window must touch the image.
 */
export function maxPool2d(a: Args<"maxPool2d">): void {
  forEachOutput(a, (out, plane, oy, ox) => {
    let best = -1;
    forEachPixel(windowAt(a, oy, ox), a.w, (offset) => {
      const candidate = a.x[plane + offset]!;
      const held = best < 0 ? -Infinity : a.x[plane + best]!;
      if (best < 0 || candidate > held || (Number.isNaN(candidate) && !Number.isNaN(held))) best = offset;
    });
    a.y[out] = a.x[plane + best]!;
    a.index[out] = best;
  });
}

/** dx[plane, index] += dy for each output, from 0: planes of `size` pixels and `outSize` outputs. */
export function maxPool2dBackward({ dy, index, dx, planes, size, outSize }: Args<"maxPool2dBackward">): void {
  for (let i = 0; i < planes * size; i++) dx[i] = 0;
  for (let p = 0; p < planes; p++) {
    for (let i = p * outSize; i < (p + 1) * outSize; i++) dx[p * size + index[i]!]! += dy[i]!;
  }
}

/** y = x[plane, index]: the values of each plane at the offsets that maxPool2d chose. */
export function maxPool2dGather({ x, index, y, planes, size, outSize }: Args<"maxPool2dGather">): void {
  for (let p = 0; p < planes; p++) {
    for (let i = p * outSize; i < (p + 1) * outSize; i++) y[i] = x[p * size + index[i]!]!;
  }
}

/** By what the sum over a window is divided: its size with padding if countPad, else the pixels of the image in it. */
function divisor(window: Window, countPad: number): number {
  return countPad ? window.padded : (window.y1 - window.y0) * (window.x1 - window.x0);
}

/** y = the sum over each window, padding being 0, over its size; see `divisor`. */
export function avgPool2d(a: Args<"avgPool2d">): void {
  forEachOutput(a, (out, plane, oy, ox) => {
    const window = windowAt(a, oy, ox);
    let sum = 0;
    forEachPixel(window, a.w, (offset) => {
      sum += a.x[plane + offset]!;
    });
    a.y[out] = sum / divisor(window, a.countPad);
  });
}

/** dx = Σ dy / divisor over the windows that a pixel is in. */
export function avgPool2dBackward(a: Args<"avgPool2dBackward">): void {
  for (let i = 0; i < a.planes * a.h * a.w; i++) a.dx[i] = 0;
  forEachOutput(a, (out, plane, oy, ox) => {
    const window = windowAt(a, oy, ox);
    const share = a.dy[out]! / divisor(window, a.countPad);
    forEachPixel(window, a.w, (offset) => {
      a.dx[plane + offset]! += share;
    });
  });
}

/** y = the mean of each of oh × ow windows that cover the image; see `adaptiveWindow`. */
export function adaptiveAvgPool2d(a: Args<"adaptiveAvgPool2d">): void {
  forEachOutput(a, (out, plane, oy, ox) => {
    const window = adaptiveWindow(a.h, a.w, a.oh, a.ow, oy, ox);
    let sum = 0;
    forEachPixel(window, a.w, (offset) => {
      sum += a.x[plane + offset]!;
    });
    a.y[out] = sum / window.padded;
  });
}

/** dx = Σ dy / (pixels of the window) over the windows that a pixel is in. */
export function adaptiveAvgPool2dBackward(a: Args<"adaptiveAvgPool2dBackward">): void {
  for (let i = 0; i < a.planes * a.h * a.w; i++) a.dx[i] = 0;
  forEachOutput(a, (out, plane, oy, ox) => {
    const window = adaptiveWindow(a.h, a.w, a.oh, a.ow, oy, ox);
    const share = a.dy[out]! / window.padded;
    forEachPixel(window, a.w, (offset) => {
      a.dx[plane + offset]! += share;
    });
  });
}
