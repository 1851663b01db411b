// Pooling over planes [planes, h, w]; a unit is one plane. Padding takes no part in a maximum and counts as 0 in a sum.
import {
  AdaptiveAvgPool2d, AdaptiveAvgPool2dBackward, AvgPool2d, AvgPool2dBackward, MaxPool2d, MaxPool2dBackward, MaxPool2dGather,
} from "./generated";
import { addToRow, sumRow, zeroRow } from "./row-sums";

/** The lanes where `v` replaces `best`: it is larger, or the first NaN. */
@inline function wins(v: v128, best: v128): v128 {
  return v128.or(f32x4.gt(v, best), v128.and(f32x4.ne(v, v), f32x4.eq(best, best)));
}

/**
 * The largest element of rows [y0, y1) and columns [x0, x1) of a plane, and where it is. Of the lanes one is used: scalar
 * selections become branches, and which pixel wins cannot be predicted.
 */
@inline function maxWindow(x: usize, w: i32, y0: i32, y1: i32, x0: i32, x1: i32, y: usize, index: usize): void {
  const one = i32x4.splat(1);
  let chosen = i32x4.splat(y0 * w + x0), best = v128.load32_splat(x + (<usize>(y0 * w + x0) << 2));
  for (let i = y0; i < y1; i++) {
    let at = i32x4.splat(i * w + x0);
    const end = x + (<usize>(i * w + x1) << 2);
    for (let p = x + (<usize>(i * w + x0) << 2); p < end; p += 4) {
      const v = v128.load32_splat(p), better = wins(v, best);
      best = v128.bitselect(v, best, better);
      chosen = v128.bitselect(at, chosen, better);
      at = i32x4.add(at, one);
    }
  }
  v128.store_lane<f32>(y, best, 0);
  v128.store_lane<i32>(index, chosen, 0);
}

function maxPlane(a: MaxPool2d, x: usize, y: usize, index: usize): void {
  for (let i = 0; i < a.oh; i++) {
    const top = i * a.sh - a.ph, y0 = max(top, 0), y1 = min(top + a.kh, a.h);
    for (let j = 0; j < a.ow; j++, y += 4, index += 4) {
      const left = j * a.sw - a.pw;
      maxWindow(x, a.w, y0, y1, max(left, 0), min(left + a.kw, a.w), y, index);
    }
  }
}

/** Windows of 2 × 2 that lie side by side: four at a time, the rest of a row one at a time. */
function maxPlane2x2(a: MaxPool2d, x: usize, y: usize, index: usize): void {
  const w = a.w, ow = a.ow, one = i32x4.splat(1), below = i32x4.splat(w), belowOne = i32x4.splat(w + 1);
  for (let i = 0; i < a.oh; i++) {
    let j = 0;
    for (; j + 4 <= ow; j += 4, y += 16, index += 16) {
      const at = 2 * (i * w + j), p = x + (<usize>at << 2), q = p + (<usize>w << 2);
      const a0 = v128.load(p), a1 = v128.load(p, 16), b0 = v128.load(q), b1 = v128.load(q, 16);
      const first = i32x4.add(i32x4.splat(at), i32x4(0, 2, 4, 6));
      let best = v128.shuffle<f32>(a0, a1, 0, 2, 4, 6), chosen = first;
      let v = v128.shuffle<f32>(a0, a1, 1, 3, 5, 7), better = wins(v, best);
      best = v128.bitselect(v, best, better);
      chosen = v128.bitselect(i32x4.add(first, one), chosen, better);
      v = v128.shuffle<f32>(b0, b1, 0, 2, 4, 6);
      better = wins(v, best);
      best = v128.bitselect(v, best, better);
      chosen = v128.bitselect(i32x4.add(first, below), chosen, better);
      v = v128.shuffle<f32>(b0, b1, 1, 3, 5, 7);
      better = wins(v, best);
      v128.store(y, v128.bitselect(v, best, better));
      v128.store(index, v128.bitselect(i32x4.add(first, belowOne), chosen, better));
    }
    for (; j < ow; j++, y += 4, index += 4) maxWindow(x, w, 2 * i, 2 * i + 2, 2 * j, 2 * j + 2, y, index);
  }
}

/** index is int32: the offset in the plane of the first largest element. */
export function maxPool2d(a: MaxPool2d, from: i32, to: i32): void {
  const whole = a.ph == 0 && a.pw == 0 && 2 * a.oh <= a.h && 2 * a.ow <= a.w;
  const fast = whole && a.kh == 2 && a.kw == 2 && a.sh == 2 && a.sw == 2;
  for (let plane = from; plane < to; plane++) {
    const x = a.x + (<usize>(plane * a.h * a.w) << 2), out = <usize>(plane * a.oh * a.ow) << 2;
    if (fast) maxPlane2x2(a, x, a.y + out, a.index + out);
    else maxPlane(a, x, a.y + out, a.index + out);
  }
}

export function maxPool2dBackward(a: MaxPool2dBackward, from: i32, to: i32): void {
  for (let plane = from; plane < to; plane++) {
    const dx = a.dx + (<usize>(plane * a.size) << 2);
    zeroRow(dx, a.size);
    const end = <usize>((plane + 1) * a.outSize) << 2;
    for (let p = <usize>(plane * a.outSize) << 2; p < end; p += 4) {
      const target = dx + (<usize>load<i32>(a.index + p) << 2);
      store<f32>(target, load<f32>(target) + load<f32>(a.dy + p));
    }
  }
}

export function maxPool2dGather(a: MaxPool2dGather, from: i32, to: i32): void {
  for (let plane = from; plane < to; plane++) {
    const x = a.x + (<usize>(plane * a.size) << 2), end = <usize>((plane + 1) * a.outSize) << 2;
    for (let p = <usize>(plane * a.outSize) << 2; p < end; p += 4) {
      store<f32>(a.y + p, load<f32>(x + (<usize>load<i32>(a.index + p) << 2)));
    }
  }
}

/** The sum over rows [y0, y1) and columns [x0, x1) of a plane of width w, in 64 bits. */
function sumWindow(x: usize, w: i32, y0: i32, y1: i32, x0: i32, x1: i32): f64 {
  if (x1 - x0 == w) return sumRow(x + (<usize>(y0 * w) << 2), (y1 - y0) * w);
  const wide = x1 - x0 >= 16;
  let sum: f64 = 0;
  for (let i = y0; i < y1; i++) {
    const row = x + (<usize>(i * w + x0) << 2);
    if (wide) sum += sumRow(row, x1 - x0);
    else for (let j = 0; j < x1 - x0; j++) sum += <f64>load<f32>(row + (<usize>j << 2));
  }
  return sum;
}

/** Adds `value` to the elements of rows [y0, y1) and columns [x0, x1). */
function addToWindow(dx: usize, w: i32, y0: i32, y1: i32, x0: i32, x1: i32, value: f32): void {
  if (x1 - x0 == w) {
    addToRow(dx + (<usize>(y0 * w) << 2), (y1 - y0) * w, value);
    return;
  }
  for (let i = y0; i < y1; i++) {
    const end = dx + (<usize>(i * w + x1) << 2);
    for (let p = dx + (<usize>(i * w + x0) << 2); p < end; p += 4) store<f32>(p, load<f32>(p) + value);
  }
}

export function avgPool2d(a: AvgPool2d, from: i32, to: i32): void {
  const h = a.h, w = a.w;
  let y = a.y + (<usize>(from * a.oh * a.ow) << 2);
  for (let plane = from; plane < to; plane++) {
    const x = a.x + (<usize>(plane * h * w) << 2);
    for (let i = 0; i < a.oh; i++) {
      // A window may reach over the padding; what lies beyond that does not count.
      const top = i * a.sh - a.ph, bottom = min(top + a.kh, h + a.ph), y0 = max(top, 0), y1 = min(bottom, h);
      for (let j = 0; j < a.ow; j++, y += 4) {
        const left = j * a.sw - a.pw, right = min(left + a.kw, w + a.pw), x0 = max(left, 0), x1 = min(right, w);
        const size = a.countPad ? (bottom - top) * (right - left) : (y1 - y0) * (x1 - x0);
        store<f32>(y, <f32>(sumWindow(x, w, y0, y1, x0, x1) / <f64>size));
      }
    }
  }
}

export function avgPool2dBackward(a: AvgPool2dBackward, from: i32, to: i32): void {
  const h = a.h, w = a.w;
  let dy = a.dy + (<usize>(from * a.oh * a.ow) << 2);
  for (let plane = from; plane < to; plane++) {
    const dx = a.dx + (<usize>(plane * h * w) << 2);
    zeroRow(dx, h * w);
    for (let i = 0; i < a.oh; i++) {
      const top = i * a.sh - a.ph, bottom = min(top + a.kh, h + a.ph), y0 = max(top, 0), y1 = min(bottom, h);
      for (let j = 0; j < a.ow; j++, dy += 4) {
        const left = j * a.sw - a.pw, right = min(left + a.kw, w + a.pw), x0 = max(left, 0), x1 = min(right, w);
        const size = a.countPad ? (bottom - top) * (right - left) : (y1 - y0) * (x1 - x0);
        addToWindow(dx, w, y0, y1, x0, x1, <f32>(<f64>load<f32>(dy) / <f64>size));
      }
    }
  }
}

/** Where bin i of n begins on an axis of that size. */
@inline function binStart(i: i32, n: i32, size: i32): i32 {
  return <i32>(<i64>i * size / n);
}

@inline function binEnd(i: i32, n: i32, size: i32): i32 {
  return <i32>((<i64>(i + 1) * size + n - 1) / n);
}

export function adaptiveAvgPool2d(a: AdaptiveAvgPool2d, from: i32, to: i32): void {
  const h = a.h, w = a.w;
  let y = a.y + (<usize>(from * a.oh * a.ow) << 2);
  for (let plane = from; plane < to; plane++) {
    const x = a.x + (<usize>(plane * h * w) << 2);
    for (let i = 0; i < a.oh; i++) {
      const y0 = binStart(i, a.oh, h), y1 = binEnd(i, a.oh, h);
      for (let j = 0; j < a.ow; j++, y += 4) {
        const x0 = binStart(j, a.ow, w), x1 = binEnd(j, a.ow, w);
        store<f32>(y, <f32>(sumWindow(x, w, y0, y1, x0, x1) / <f64>((y1 - y0) * (x1 - x0))));
      }
    }
  }
}

export function adaptiveAvgPool2dBackward(a: AdaptiveAvgPool2dBackward, from: i32, to: i32): void {
  const h = a.h, w = a.w;
  let dy = a.dy + (<usize>(from * a.oh * a.ow) << 2);
  for (let plane = from; plane < to; plane++) {
    const dx = a.dx + (<usize>(plane * h * w) << 2);
    zeroRow(dx, h * w);
    for (let i = 0; i < a.oh; i++) {
      const y0 = binStart(i, a.oh, h), y1 = binEnd(i, a.oh, h);
      for (let j = 0; j < a.ow; j++, dy += 4) {
        const x0 = binStart(j, a.ow, w), x1 = binEnd(j, a.ow, w);
        addToWindow(dx, w, y0, y1, x0, x1, <f32>(<f64>load<f32>(dy) / <f64>((y1 - y0) * (x1 - x0))));
      }
    }
  }
}
