// Convolutions with few input channels and stride 1 along a row, straight from the image: no patches are packed, since each
// would be read by few output channels only. An image is copied once into rows with room for the padding of columns; rows of
// padding are passed over. The sum of an output runs over (input channel, kernel row, kernel column) in order.
import { madd } from "./gemm";
import { Conv2d, Conv2dBackwardInput } from "./generated";
import { storeLanes } from "./lanes";
import { workspace } from "./runtime";

/** One convolution seen from its output; both directions are brought to this form. Lives in the workspace. */
@unmanaged class Direct {
  x: usize; y: usize; bias: usize; weight: usize;
  inChannels: i32; h: i32; w: i32;
  outChannels: i32; oh: i32; ow: i32;
  kh: i32; kw: i32; stride: i32; pad: i32; padW: i32;
  isFlipped: i32;   // weights [in, out, kh, kw], turned by half a turn
  rows: i32;        // output channels in a strip
  rowBytes: i32;    // of a copied row
}

// The planner (schedule.ts) sees to it that both fit.
@inline const WEIGHTS: usize = 256;
@inline const IMAGE: usize = 131072 + 256;

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

/** Weights as [strip][in][kh][kw][rows]. */
function packWeights(p: Direct): void {
  let out = workspace + WEIGHTS;
  const taps = p.kh * p.kw;
  for (let first = 0; first < p.outChannels; first += p.rows) {
    for (let c = 0; c < p.inChannels; c++) {
      for (let tap = 0; tap < taps; tap++) {
        for (let i = 0; i < p.rows; i++, out += 4) {
          const o = first + i, from = p.isFlipped ? (c * p.outChannels + o) * taps + taps - 1 - tap : (o * p.inChannels + c) * taps + tap;
          store<f32>(out, o < p.outChannels ? load<f32>(at(p.weight, from)) : 0);
        }
      }
    }
  }
}

/** Copies the planes of an image, with zeros on both sides of each row. */
export function copyPadded(x: usize, rows: i32, w: i32, padW: i32, rowBytes: i32, to: usize): void {
  const left = (<usize>padW) << 2, bytes = (<usize>w) << 2;
  for (let r = 0; r < rows; r++, x += bytes, to += rowBytes) {
    if (left) memory.fill(to, 0, left);
    memory.copy(to + left, x, bytes);
    memory.fill(to + left + bytes, 0, <usize>rowBytes - left - bytes);
  }
}

/** Stores what there is of `count` values from two or three vectors, plus a bias. */
@inline function put(y: usize, bias: v128, a: v128, b: v128, count: i32): void {
  storeLanes(y, f32x4.add(bias, a), count);
  if (count > 4) storeLanes(y + 16, f32x4.add(bias, b), count - 4);
}

@inline function biasOf(p: Direct, channel: i32): v128 {
  return p.bias ? v128.load32_splat(at(p.bias, channel)) : f32x4.splat(0);
}

/** 4 output channels × 8 pixels: `x` is the first pixel under the first kernel row that counts, of which there are `taps`. */
function tile4(p: Direct, x: usize, a: usize, taps: i32, channel: i32, y: usize, columns: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const skip = (<usize>((p.kh - taps) * p.kw)) << 4, plane = <usize>p.h * <usize>p.rowBytes, width = (<usize>p.kw) << 2;
  for (let c = 0; c < p.inChannels; c++, x += plane, a += skip) {
    for (let row = x, last = x + <usize>taps * <usize>p.rowBytes; row < last; row += p.rowBytes) {
      for (let b = row, end = row + width; b < end; b += 4, a += 16) {
        const b0 = v128.load(b), b1 = v128.load(b, 16);
        let t = v128.load32_splat(a);
        c00 = madd(t, b0, c00);
        c01 = madd(t, b1, c01);
        t = v128.load32_splat(a, 4);
        c10 = madd(t, b0, c10);
        c11 = madd(t, b1, c11);
        t = v128.load32_splat(a, 8);
        c20 = madd(t, b0, c20);
        c21 = madd(t, b1, c21);
        t = v128.load32_splat(a, 12);
        c30 = madd(t, b0, c30);
        c31 = madd(t, b1, c31);
      }
    }
  }
  const stride = (<usize>(p.oh * p.ow)) << 2, left = p.outChannels - channel;
  put(y, biasOf(p, channel), c00, c01, columns);
  if (left > 1) put(y + stride, biasOf(p, channel + 1), c10, c11, columns);
  if (left > 2) put(y + 2 * stride, biasOf(p, channel + 2), c20, c21, columns);
  if (left > 3) put(y + 3 * stride, biasOf(p, channel + 3), c30, c31, columns);
}

/** 3 output channels × 12 pixels. */
function tile3(p: Direct, x: usize, a: usize, taps: i32, channel: i32, y: usize, columns: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c02 = c00, c10 = c00, c11 = c00, c12 = c00, c20 = c00, c21 = c00, c22 = c00;
  const skip = <usize>((p.kh - taps) * p.kw) * 12, plane = <usize>p.h * <usize>p.rowBytes, width = (<usize>p.kw) << 2;
  for (let c = 0; c < p.inChannels; c++, x += plane, a += skip) {
    for (let row = x, last = x + <usize>taps * <usize>p.rowBytes; row < last; row += p.rowBytes) {
      for (let b = row, end = row + width; b < end; b += 4, a += 12) {
        const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32);
        let t = v128.load32_splat(a);
        c00 = madd(t, b0, c00);
        c01 = madd(t, b1, c01);
        c02 = madd(t, b2, c02);
        t = v128.load32_splat(a, 4);
        c10 = madd(t, b0, c10);
        c11 = madd(t, b1, c11);
        c12 = madd(t, b2, c12);
        t = v128.load32_splat(a, 8);
        c20 = madd(t, b0, c20);
        c21 = madd(t, b1, c21);
        c22 = madd(t, b2, c22);
      }
    }
  }
  const stride = (<usize>(p.oh * p.ow)) << 2, left = p.outChannels - channel;
  put3(y, biasOf(p, channel), c00, c01, c02, columns);
  if (left > 1) put3(y + stride, biasOf(p, channel + 1), c10, c11, c12, columns);
  if (left > 2) put3(y + 2 * stride, biasOf(p, channel + 2), c20, c21, c22, columns);
}

@inline function put3(y: usize, bias: v128, a: v128, b: v128, c: v128, count: i32): void {
  put(y, bias, a, b, count);
  if (count > 8) storeLanes(y + 32, f32x4.add(bias, c), count - 8);
}

/** Unit: a row of the output, image by image. */
function convolve(p: Direct, from: i32, to: i32): void {
  const columns = p.rows == 3 ? 12 : 8, taps = p.kh * p.kw, strip = (<usize>(p.inChannels * taps * p.rows)) << 2;
  const planeIn = p.h * p.w, planeOut = p.oh * p.ow;
  let copied = -1;
  packWeights(p);
  for (let unit = from; unit < to; unit++) {
    const image = unit / p.oh, row = unit % p.oh, top = row * p.stride - p.pad;
    if (image != copied) {
      copyPadded(at(p.x, image * p.inChannels * planeIn), p.inChannels * p.h, p.w, p.padW, p.rowBytes, workspace + IMAGE);
      copied = image;
    }
    const first = max(0, -top), count = max(0, min(p.kh, p.h - top) - first);
    const x = workspace + IMAGE + <usize>max(0, top + first) * <usize>p.rowBytes, y = at(p.y, image * p.outChannels * planeOut + row * p.ow);
    for (let channel = 0, a = workspace + WEIGHTS; channel < p.outChannels; channel += p.rows, a += strip) {
      const weights = a + ((<usize>(first * p.kw * p.rows)) << 2), out = at(y, channel * planeOut);
      for (let column = 0; column < p.ow; column += columns) {
        const left = min(columns, p.ow - column);
        if (p.rows == 3) tile3(p, at(x, column), weights, count, channel, at(out, column), left);
        else tile4(p, at(x, column), weights, count, channel, at(out, column), left);
      }
    }
  }
}

/** The tile that wastes less: 3 channels × 12 pixels or 4 × 8. */
@inline function rowsFor(channels: i32, pixels: i32): i32 {
  const three = ((channels + 2) / 3) * 3 * (((pixels + 11) / 12) * 12), four = ((channels + 3) / 4) * 4 * (((pixels + 7) / 8) * 8);
  return three < four ? 3 : 4;
}

export function conv2dDirect(a: Conv2d, from: i32, to: i32): void {
  const p = changetype<Direct>(workspace);
  p.x = a.x; p.y = a.y; p.bias = a.bias; p.weight = a.weight;
  p.inChannels = a.ci; p.h = a.h; p.w = a.w; p.outChannels = a.co; p.oh = a.oh; p.ow = a.ow;
  p.kh = a.kh; p.kw = a.kw; p.stride = a.sh; p.pad = a.ph; p.padW = a.pw; p.isFlipped = 0;
  p.rows = rowsFor(a.co, a.ow);
  p.rowBytes = (a.w + 2 * a.pw + 12) << 2;
  convolve(p, from, to);
}

/** The gradient is a convolution of dy, padded by what of the kernel hangs over, with the weights turned by half a turn. */
export function conv2dBackwardInputDirect(a: Conv2dBackwardInput, from: i32, to: i32): void {
  const p = changetype<Direct>(workspace);
  p.x = a.dy; p.y = a.dx; p.bias = 0; p.weight = a.weight;
  p.inChannels = a.co; p.h = a.oh; p.w = a.ow; p.outChannels = a.ci; p.oh = a.h; p.ow = a.w;
  p.kh = a.kh; p.kw = a.kw; p.stride = 1; p.pad = a.kh - 1 - a.ph; p.padW = a.kw - 1 - a.pw; p.isFlipped = 1;
  p.rows = rowsFor(a.ci, a.w);
  p.rowBytes = (a.ow + 2 * p.padW + 12) << 2;
  convolve(p, from, to);
}
