// The loops that apply per-channel coefficients to an array [n, c, s]; F (activation.ts) is what follows the normalization.
// Coefficients of a channel: 0 mean (high part), 1 mean (low part), 2 k = γ / √(variance + ε), 3 bias − (low part) · k, 4 a, 5 b.
// x − (high part) is exact where the mean is large against the deviations; what the low part adds is in the coefficients.
import { coefficient, first, total, wide } from "./channels";
import { madd } from "./gemm";

@inline function affine(x: v128, mean: v128, k: v128, bias: v128): v128 { return madd(f32x4.sub(x, mean), k, bias); }

/** One run of channel i of the workspace. */
function affineRun<F>(p: usize, y: usize, length: i32, w: usize, i: i32): void {
  const f = changetype<F>(0), mean = v128.load32_splat(coefficient(w, 0, i));
  const k = v128.load32_splat(coefficient(w, 2, i)), bias = v128.load32_splat(coefficient(w, 3, i));
  const end = p + ((<usize>length) << 2), end4 = p + ((<usize>(length & ~15)) << 2), end1 = p + ((<usize>(length & ~3)) << 2);
  for (; p < end4; p += 64, y += 64) {
    v128.store(y, f.output(affine(v128.load(p), mean, k, bias)));
    v128.store(y, f.output(affine(v128.load(p, 16), mean, k, bias)), 16);
    v128.store(y, f.output(affine(v128.load(p, 32), mean, k, bias)), 32);
    v128.store(y, f.output(affine(v128.load(p, 48), mean, k, bias)), 48);
  }
  for (; p < end1; p += 16, y += 16) v128.store(y, f.output(affine(v128.load(p), mean, k, bias)));
  for (; p < end; p += 4, y += 4) v128.store_lane<f32>(y, f.output(affine(v128.load32_zero(p), mean, k, bias)), 0);
}

/** The same, and adds the values of the run to the channel's float64 sum: this pass waits for memory, so that costs nothing. */
function summedRun<F>(p: usize, y: usize, length: i32, w: usize, i: i32): void {
  const f = changetype<F>(0), mean = v128.load32_splat(coefficient(w, 0, i));
  const k = v128.load32_splat(coefficient(w, 2, i)), bias = v128.load32_splat(coefficient(w, 3, i));
  const end = p + ((<usize>length) << 2), end4 = p + ((<usize>(length & ~15)) << 2), end1 = p + ((<usize>(length & ~3)) << 2);
  let s0 = f64x2.splat(0), s1 = s0, rest: f64 = 0;
  for (; p < end4; p += 64, y += 64) {
    v128.store(y, f.output(affine(v128.load(p), mean, k, bias)));
    v128.store(y, f.output(affine(v128.load(p, 16), mean, k, bias)), 16);
    v128.store(y, f.output(affine(v128.load(p, 32), mean, k, bias)), 32);
    v128.store(y, f.output(affine(v128.load(p, 48), mean, k, bias)), 48);
    s0 = f64x2.add(s0, f64x2.add(f64x2.add(wide(p), wide(p + 16)), f64x2.add(wide(p + 32), wide(p + 48))));
    s1 = f64x2.add(s1, f64x2.add(f64x2.add(wide(p + 8), wide(p + 24)), f64x2.add(wide(p + 40), wide(p + 56))));
  }
  for (; p < end1; p += 16, y += 16) {
    v128.store(y, f.output(affine(v128.load(p), mean, k, bias)));
    s0 = f64x2.add(s0, f64x2.add(wide(p), wide(p + 8)));
  }
  for (; p < end; p += 4, y += 4) {
    v128.store_lane<f32>(y, f.output(affine(v128.load32_zero(p), mean, k, bias)), 0);
    rest += <f64>load<f32>(p);
  }
  store<f64>(first(w, i), load<f64>(first(w, i)) + (total(s0, s1) + rest));
}

/** y = f((x − mean) · k + bias) of channels [c0, c1); with `isSummed` the sums of x are added to `first`, where s > 1. */
export function applyAffine<F>(x: usize, y: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize, isSummed: bool = false): void {
  const plane = (<usize>s) << 2, skip = (<usize>c0) * plane, stride = (<usize>c) * plane, f = changetype<F>(0);
  if (s > 1) {
    for (let image = 0; image < n; image++) {
      let p = skip + (<usize>image) * stride;
      for (let i = 0; i < c1 - c0; i++, p += plane) {
        if (isSummed) summedRun<F>(x + p, y + p, s, w, i);
        else affineRun<F>(x + p, y + p, s, w, i);
      }
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, q = y + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16, q += 16) {
      const k = v128.load(coefficient(w, 2, j)), bias = v128.load(coefficient(w, 3, j));
      v128.store(q, f.output(affine(v128.load(p), v128.load(coefficient(w, 0, j)), k, bias)));
    }
    for (; j < count; j++, p += 4, q += 4) {
      const mean = v128.load32_zero(coefficient(w, 0, j));
      const k = v128.load32_zero(coefficient(w, 2, j)), bias = v128.load32_zero(coefficient(w, 3, j));
      v128.store_lane<f32>(q, f.output(affine(v128.load32_zero(p), mean, k, bias)), 0);
    }
  }
}

// The gradients take the place p in x, and the distances from there to the places in dy and dx.

@inline function scaled<F>(dy: v128, x: v128, mean: v128, k: v128, bias: v128): v128 {
  return f32x4.mul(changetype<F>(0).gradient(dy, f32x4.sub(x, mean), k, bias), k);
}

function scaleRun<F>(p: usize, toDy: usize, toDx: usize, length: i32, w: usize, i: i32): void {
  const f = changetype<F>(0), mean = v128.load32_splat(coefficient(w, 0, i));
  const k = v128.load32_splat(coefficient(w, 2, i)), bias = v128.load32_splat(coefficient(w, 3, i));
  const end = p + ((<usize>length) << 2), end2 = p + ((<usize>(length & ~7)) << 2);
  for (; p < end2; p += 32) {
    v128.store(p + toDx, scaled<F>(v128.load(p + toDy), f.load(p), mean, k, bias));
    v128.store(p + toDx, scaled<F>(v128.load(p + toDy, 16), f.load(p + 16), mean, k, bias), 16);
  }
  for (; p < end; p += 4) {
    v128.store_lane<f32>(p + toDx, scaled<F>(v128.load32_zero(p + toDy), f.load(p), mean, k, bias), 0);
  }
}

/** dx = f'(dy) · k of channels [c0, c1): mean and variance are constants. */
export function applyScale<F>(x: usize, dy: usize, dx: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const plane = (<usize>s) << 2, skip = (<usize>c0) * plane, stride = (<usize>c) * plane, toDy = dy - x, toDx = dx - x;
  const f = changetype<F>(0);
  if (s > 1) {
    for (let image = 0; image < n; image++) {
      let p = x + skip + (<usize>image) * stride;
      for (let i = 0; i < c1 - c0; i++, p += plane) scaleRun<F>(p, toDy, toDx, s, w, i);
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16) {
      const mean = v128.load(coefficient(w, 0, j)), k = v128.load(coefficient(w, 2, j)), bias = f.load(coefficient(w, 3, j));
      v128.store(p + toDx, scaled<F>(v128.load(p + toDy), f.load(p), mean, k, bias));
    }
    for (; j < count; j++, p += 4) {
      const mean = v128.load32_zero(coefficient(w, 0, j));
      const k = v128.load32_zero(coefficient(w, 2, j)), bias = v128.load32_zero(coefficient(w, 3, j));
      v128.store_lane<f32>(p + toDx, scaled<F>(v128.load32_zero(p + toDy), f.load(p), mean, k, bias), 0);
    }
  }
}

@inline function gradient<F>(dy: v128, x: v128, mean: v128, k: v128, bias: v128, a: v128, b: v128): v128 {
  const t = f32x4.sub(x, mean);
  return f32x4.mul(madd(t, b, f32x4.sub(changetype<F>(0).gradient(dy, t, k, bias), a)), k);
}

function gradientRun<F>(p: usize, toDy: usize, toDx: usize, length: i32, w: usize, i: i32): void {
  const mean = v128.load32_splat(coefficient(w, 0, i));
  const k = v128.load32_splat(coefficient(w, 2, i)), bias = v128.load32_splat(coefficient(w, 3, i));
  const a = v128.load32_splat(coefficient(w, 4, i)), b = v128.load32_splat(coefficient(w, 5, i));
  const end = p + ((<usize>length) << 2), end4 = p + ((<usize>(length & ~15)) << 2), end1 = p + ((<usize>(length & ~3)) << 2);
  for (; p < end4; p += 64) {
    const dy = p + toDy, dx = p + toDx;
    v128.store(dx, gradient<F>(v128.load(dy), v128.load(p), mean, k, bias, a, b));
    v128.store(dx, gradient<F>(v128.load(dy, 16), v128.load(p, 16), mean, k, bias, a, b), 16);
    v128.store(dx, gradient<F>(v128.load(dy, 32), v128.load(p, 32), mean, k, bias, a, b), 32);
    v128.store(dx, gradient<F>(v128.load(dy, 48), v128.load(p, 48), mean, k, bias, a, b), 48);
  }
  for (; p < end1; p += 16) v128.store(p + toDx, gradient<F>(v128.load(p + toDy), v128.load(p), mean, k, bias, a, b));
  for (; p < end; p += 4) {
    v128.store_lane<f32>(p + toDx, gradient<F>(v128.load32_zero(p + toDy), v128.load32_zero(p), mean, k, bias, a, b), 0);
  }
}

/** dx = ((f'(dy) − a) + (x − mean) · b) · k of channels [c0, c1). */
export function applyGradient<F>(x: usize, dy: usize, dx: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const plane = (<usize>s) << 2, skip = (<usize>c0) * plane, stride = (<usize>c) * plane, toDy = dy - x, toDx = dx - x;
  const f = changetype<F>(0);
  if (s > 1) {
    for (let image = 0; image < n; image++) {
      let p = x + skip + (<usize>image) * stride;
      for (let i = 0; i < c1 - c0; i++, p += plane) gradientRun<F>(p, toDy, toDx, s, w, i);
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16) {
      const mean = v128.load(coefficient(w, 0, j)), k = v128.load(coefficient(w, 2, j));
      const bias = f.load(coefficient(w, 3, j)), a = v128.load(coefficient(w, 4, j)), b = v128.load(coefficient(w, 5, j));
      v128.store(p + toDx, gradient<F>(v128.load(p + toDy), v128.load(p), mean, k, bias, a, b));
    }
    for (; j < count; j++, p += 4) {
      const mean = v128.load32_zero(coefficient(w, 0, j));
      const k = v128.load32_zero(coefficient(w, 2, j)), bias = v128.load32_zero(coefficient(w, 3, j));
      const a = v128.load32_zero(coefficient(w, 4, j)), b = v128.load32_zero(coefficient(w, 5, j));
      v128.store_lane<f32>(p + toDx, gradient<F>(v128.load32_zero(p + toDy), v128.load32_zero(p), mean, k, bias, a, b), 0);
    }
  }
}
