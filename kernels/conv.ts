// Convolution and its gradient towards the input as one matrix product per group: output [channels, pixels] =
// weights [channels, K] · patches [K, pixels], K = (kernel row, kernel column, input channel). Panels of patches are
// packed straight from the image; the pixels of all images form one row, so small images fill whole panels too.
import { edgeTile, KC, MR, NR, tile } from "./gemm";
import { Conv2d, Conv2dBackwardInput } from "./generated";
import { workspace } from "./runtime";

/** One convolution seen from its output: both directions are brought to this form. Lives in the workspace. */
@unmanaged class Plan {
  x: usize; y: usize; bias: usize; weights: usize;
  images: i32; groups: i32;
  inChannels: i32; h: i32; w: i32;      // per group; size of an input plane
  outChannels: i32; oh: i32; ow: i32;   // per group; size of an output plane
  kh: i32; kw: i32;
  stride: i32; strideW: i32;            // input steps per output pixel
  divide: i32; divideW: i32;            // an input position counts only where it is a multiple of this
  pad: i32; padW: i32; tapStep: i32; tapStepW: i32;
}

@inline const PLAN: usize = 0;
@inline const ZEROS: usize = 128;
@inline const SPARE: usize = 256;
@inline const BIAS: usize = 384;
@inline const PIXELS: usize = 512;   // rows, columns and offsets of a panel's pixels: eight i32 each
@inline const PANEL: usize = 1024;

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }
@inline function tapsOf(p: Plan): i32 { return p.kh * p.kw; }
@inline function stripsOf(p: Plan): i32 { return (p.outChannels + MR - 1) / MR; }

// ---- weights -----------------------------------------------------------------------------------------------------

/** Unit: a strip of MR output channels of a group, as [kh][kw][ci][MR]. */
export function conv2dPack(a: Conv2d, from: i32, to: i32): void {
  const inG = a.ci / a.groups, outG = a.co / a.groups, strips = (outG + MR - 1) / MR, taps = a.kh * a.kw;
  for (let unit = from; unit < to; unit++) {
    const group = unit / strips, row = (unit % strips) * MR;
    let out = a.scratch + (((<usize>unit) * (<usize>taps) * (<usize>inG) * MR) << 2);
    for (let tap = 0; tap < taps; tap++) {
      for (let c = 0; c < inG; c++) {
        for (let i = 0; i < MR; i++, out += 4) {
          const o = row + i;
          store<f32>(out, o < outG ? load<f32>(at(a.weight, ((group * outG + o) * inG + c) * taps + tap)) : 0);
        }
      }
    }
  }
}

/** Unit: a strip of MR input channels of a group, as [kh][kw][co][MR]. */
export function conv2dBackwardInputPack(a: Conv2dBackwardInput, from: i32, to: i32): void {
  const inG = a.ci / a.groups, outG = a.co / a.groups, strips = (inG + MR - 1) / MR, taps = a.kh * a.kw;
  for (let unit = from; unit < to; unit++) {
    const group = unit / strips, row = (unit % strips) * MR;
    let out = a.scratch + (((<usize>unit) * (<usize>taps) * (<usize>outG) * MR) << 2);
    for (let tap = 0; tap < taps; tap++) {
      for (let o = 0; o < outG; o++) {
        for (let i = 0; i < MR; i++, out += 4) {
          const c = row + i;
          store<f32>(out, c < inG ? load<f32>(at(a.weight, ((group * outG + o) * inG + c) * taps + tap)) : 0);
        }
      }
    }
  }
}

// ---- patches -----------------------------------------------------------------------------------------------------

/** Writes the top left input position and the image offset of each of the eight pixels of a panel; says whether they lie side by side. */
function placePixels(p: Plan, first: i32, count: i32): i32 {
  const place = workspace + PIXELS, pixels = p.oh * p.ow, image = p.groups * p.inChannels * p.h * p.w;
  let n = first / pixels, rest = first % pixels, row = rest / p.ow, column = rest % p.ow;
  let breaks = 0, firstBreak = 8;
  for (let j = 0; j < NR; j++) {
    if (j >= count) {
      // Pixels that do not exist are placed outside.
      store<i32>(at(place, j), i32.MIN_VALUE >> 1);
      store<i32>(at(place, 8 + j), 0);
      store<i32>(at(place, 16 + j), 0);
      continue;
    }
    store<i32>(at(place, j), row * p.stride - p.pad);
    store<i32>(at(place, 8 + j), column * p.strideW - p.padW);
    store<i32>(at(place, 16 + j), n * image);
    if (++column == p.ow) {
      column = 0;
      if (++row == p.oh) { row = 0; n++; }
      if (j + 1 < count) { breaks++; if (firstBreak == 8) firstBreak = j + 1; }
    }
  }
  if (p.strideW != 1 || p.divide != 1 || p.divideW != 1 || breaks > 1) return -1;
  return firstBreak;
}

/** Packs k in [k0, k0 + kc) of a panel whose pixels are one or two runs of neighbours; the second starts at pixel `turn`. */
function packRuns(p: Plan, group: i32, k0: i32, kc: i32, turn: i32, to: usize): void {
  const place = workspace + PIXELS, plane = p.h * p.w, groupOffset = group * p.inChannels * plane;
  const rows0 = v128.load(place), rows1 = v128.load(place, 16), columns0 = v128.load(place, 32), columns1 = v128.load(place, 48);
  const h = i32x4.splat(p.h), w = i32x4.splat(p.w), lanes0 = i32x4(0, 1, 2, 3), lanes1 = i32x4(4, 5, 6, 7), split = i32x4.splat(turn);
  const inA0 = i32x4.lt_s(lanes0, split), inA1 = i32x4.lt_s(lanes1, split);
  const planeBytes = (<usize>plane) << 2;
  for (let k = k0; k < k0 + kc; ) {
    const tap = k / p.inChannels, c0 = k % p.inChannels, count = min(p.inChannels - c0, k0 + kc - k);
    const dr = (tap / p.kw) * p.tapStep, dc = (tap % p.kw) * p.tapStepW, vr = i32x4.splat(dr), vc = i32x4.splat(dc);
    const ok0 = v128.and(i32x4.lt_u(i32x4.add(rows0, vr), h), i32x4.lt_u(i32x4.add(columns0, vc), w));
    const ok1 = v128.and(i32x4.lt_u(i32x4.add(rows1, vr), h), i32x4.lt_u(i32x4.add(columns1, vc), w));
    const offset = groupOffset + c0 * plane;
    // A run with no pixel inside the image is not read; one that is partly inside is read whole and masked.
    const insideA = v128.any_true(v128.or(v128.and(ok0, inA0), v128.and(ok1, inA1)));
    let from = at(p.x, load<i32>(place, 64) + offset + (load<i32>(place) + dr) * p.w + load<i32>(place, 32) + dc);
    if (!insideA) from = p.x;
    if (turn == 8) {
      if (i32x4.all_true(ok0) && i32x4.all_true(ok1)) {
        for (let c = 0; c < count; c++, from += planeBytes, to += 32) {
          v128.store(to, v128.load(from));
          v128.store(to, v128.load(from, 16), 16);
        }
      } else {
        for (let c = 0; c < count; c++, from += planeBytes, to += 32) {
          v128.store(to, v128.and(v128.load(from), ok0));
          v128.store(to, v128.and(v128.load(from, 16), ok1), 16);
        }
      }
    } else {
      const second = place + ((<usize>turn) << 2);
      let next = at(p.x, load<i32>(second, 64) + offset + (load<i32>(second) + dr) * p.w + load<i32>(second, 32) + dc - turn);
      if (!v128.any_true(v128.or(v128.andnot(ok0, inA0), v128.andnot(ok1, inA1)))) next = p.x;
      for (let c = 0; c < count; c++, from += planeBytes, next += planeBytes, to += 32) {
        v128.store(to, v128.and(v128.bitselect(v128.load(from), v128.load(next), inA0), ok0));
        v128.store(to, v128.and(v128.bitselect(v128.load(from, 16), v128.load(next, 16), inA1), ok1), 16);
      }
    }
    k += count;
  }
}

/** Packs k in [k0, k0 + kc) of a panel, pixel by pixel: strides, or rows shorter than a panel. */
function packScattered(p: Plan, group: i32, k0: i32, kc: i32, to: usize): void {
  const place = workspace + PIXELS, plane = p.h * p.w, groupOffset = group * p.inChannels * plane, stride = (<usize>plane) << 2;
  for (let k = k0; k < k0 + kc; ) {
    const tap = k / p.inChannels, c0 = k % p.inChannels, count = min(p.inChannels - c0, k0 + kc - k);
    const dr = (tap / p.kw) * p.tapStep, dc = (tap % p.kw) * p.tapStepW;
    for (let j = 0; j < NR; j++) {
      let row = load<i32>(at(place, j)) + dr, column = load<i32>(at(place, 8 + j)) + dc, inside = true;
      if (p.divide != 1 || p.divideW != 1) {
        inside = row >= 0 && column >= 0 && row % p.divide == 0 && column % p.divideW == 0;
        row /= p.divide;
        column /= p.divideW;
      }
      let out = at(to, j);
      if (inside && <u32>row < <u32>p.h && <u32>column < <u32>p.w) {
        let from = at(p.x, load<i32>(at(place, 16 + j)) + groupOffset + c0 * plane + row * p.w + column);
        for (let c = 0; c < count; c++, from += stride, out += 32) store<f32>(out, load<f32>(from));
      } else for (let c = 0; c < count; c++, out += 32) store<f32>(out, 0);
    }
    to += (<usize>count) << 5;
    k += count;
  }
}

// ---- product -----------------------------------------------------------------------------------------------------

/** One strip of channels times one packed panel; the pixels of a panel that spans two images are stored one by one. */
function multiplyStrip(p: Plan, group: i32, strip: i32, first: i32, columns: i32, k0: i32, kc: i32): void {
  const k = tapsOf(p) * p.inChannels, pixels = p.oh * p.ow, row = strip * MR, rows = min(MR, p.outChannels - row);
  const a = at(p.weights, ((group * stripsOf(p) + strip) * k + k0) * MR), b = workspace + PANEL, stride = (<usize>pixels) << 2;
  const channel = group * p.outChannels + row, channels = p.groups * p.outChannels;
  const n = first / pixels, pixel = first % pixels, oneImage = pixel + columns <= pixels;
  const c = p.y + ((((<usize>n) * (<usize>channels) + <usize>channel) * (<usize>pixels) + <usize>pixel) << 2);
  let init = workspace + ZEROS, initStride: usize = 0;
  if (k0 == 0 && p.bias) {
    init = workspace + BIAS;
    initStride = 32;
    for (let i = 0; i < rows; i++) {
      const v = v128.load32_splat(at(p.bias, channel + i));
      v128.store(init + ((<usize>i) << 5), v);
      v128.store(init + ((<usize>i) << 5), v, 16);
    }
  }
  if (oneImage) {
    if (k0 > 0) { init = c; initStride = stride; }
    if (rows == MR && columns == NR) tile(kc, a, b, c, stride, init, initStride);
    else edgeTile(kc, a, b, c, stride, init, initStride, rows, columns, workspace + SPARE);
    return;
  }
  const spare = workspace + SPARE;
  tile(kc, a, b, spare, 32, init, initStride);
  for (let j = 0; j < columns; j++) {
    const image = (first + j) / pixels, at0 = (first + j) % pixels;
    for (let i = 0; i < rows; i++) {
      const out = p.y + ((((<usize>image) * (<usize>channels) + <usize>(channel + i)) * (<usize>pixels) + <usize>at0) << 2);
      const sum = load<f32>(spare + ((<usize>i) << 5) + ((<usize>j) << 2));
      store<f32>(out, k0 > 0 ? load<f32>(out) + sum : sum);
    }
  }
}

/** Unit: a panel of NR pixels of a group. */
function convolve(p: Plan, from: i32, to: i32): void {
  const total = p.images * p.oh * p.ow, panels = (total + NR - 1) / NR, k = tapsOf(p) * p.inChannels, strips = stripsOf(p);
  memory.fill(workspace + ZEROS, 0, 128);
  for (let unit = from; unit < to; unit++) {
    const group = unit / panels, first = (unit % panels) * NR, columns = min(NR, total - first);
    const turn = placePixels(p, first, columns);
    for (let k0 = 0; k0 < k; k0 += KC) {
      const kc = min(KC, k - k0);
      if (turn >= 0) packRuns(p, group, k0, kc, turn, workspace + PANEL);
      else packScattered(p, group, k0, kc, workspace + PANEL);
      for (let strip = 0; strip < strips; strip++) multiplyStrip(p, group, strip, first, columns, k0, kc);
    }
  }
}

export function conv2d(a: Conv2d, from: i32, to: i32): void {
  const p = changetype<Plan>(workspace + PLAN);
  p.x = a.x; p.y = a.y; p.bias = a.bias; p.weights = a.scratch;
  p.images = a.n; p.groups = a.groups; p.inChannels = a.ci / a.groups; p.h = a.h; p.w = a.w;
  p.outChannels = a.co / a.groups; p.oh = a.oh; p.ow = a.ow; p.kh = a.kh; p.kw = a.kw;
  p.stride = a.sh; p.strideW = a.sw; p.divide = 1; p.divideW = 1;
  p.pad = a.ph; p.padW = a.pw; p.tapStep = a.dh; p.tapStepW = a.dw;
  convolve(p, from, to);
}

/** dx at (i, j) takes dy at ((i + pad − tap · dilation) / stride, …) where that divides. */
export function conv2dBackwardInput(a: Conv2dBackwardInput, from: i32, to: i32): void {
  const p = changetype<Plan>(workspace + PLAN);
  p.x = a.dy; p.y = a.dx; p.bias = 0; p.weights = a.scratch;
  p.images = a.n; p.groups = a.groups; p.inChannels = a.co / a.groups; p.h = a.oh; p.w = a.ow;
  p.outChannels = a.ci / a.groups; p.oh = a.h; p.ow = a.w; p.kh = a.kh; p.kw = a.kw;
  p.stride = 1; p.strideW = 1; p.divide = a.sh; p.divideW = a.sw;
  p.pad = -a.ph; p.padW = -a.pw; p.tapStep = -a.dh; p.tapStepW = -a.dw;
  convolve(p, from, to);
}
