// The loops that apply per-channel coefficients to an array [n, c, s]; F (activation.ts) is what follows the normalization.
// Coefficients of a channel: 0 mean (high part), 1 mean (low part), 2 k = γ / √(variance + ε), 3 bias, 4 a, 5 b.
import { coefficient } from "./channels";

@inline function centered(x: v128, hi: v128, lo: v128): v128 { return f32x4.sub(f32x4.sub(x, hi), lo); }

@inline function affine(x: v128, hi: v128, lo: v128, k: v128, bias: v128): v128 {
  return f32x4.add(f32x4.mul(centered(x, hi, lo), k), bias);
}

function affineRun<F>(p: usize, y: usize, length: i32, hi: v128, lo: v128, k: v128, bias: v128): void {
  const f = changetype<F>(0);
  const end = p + ((<usize>length) << 2), end2 = p + ((<usize>(length & ~7)) << 2), end1 = p + ((<usize>(length & ~3)) << 2);
  for (; p < end2; p += 32, y += 32) {
    v128.store(y, f.output(affine(v128.load(p), hi, lo, k, bias)));
    v128.store(y, f.output(affine(v128.load(p, 16), hi, lo, k, bias)), 16);
  }
  for (; p < end1; p += 16, y += 16) v128.store(y, f.output(affine(v128.load(p), hi, lo, k, bias)));
  for (; p < end; p += 4, y += 4) v128.store_lane<f32>(y, f.output(affine(v128.load32_zero(p), hi, lo, k, bias)), 0);
}

/** y = f(((x − hi) − lo) · k + bias) of channels [c0, c1). */
export function applyAffine<F>(x: usize, y: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const skip = ((<usize>c0) * (<usize>s)) << 2, stride = ((<usize>c) * (<usize>s)) << 2, f = changetype<F>(0);
  if (s > 1) {
    const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0));
    const k = v128.load32_splat(coefficient(w, 2, 0)), bias = v128.load32_splat(coefficient(w, 3, 0));
    for (let i = 0; i < n; i++) affineRun<F>(x + skip + (<usize>i) * stride, y + skip + (<usize>i) * stride, s, hi, lo, k, bias);
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, q = y + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16, q += 16) {
      const hi = v128.load(coefficient(w, 0, j)), lo = v128.load(coefficient(w, 1, j));
      v128.store(q, f.output(affine(v128.load(p), hi, lo, v128.load(coefficient(w, 2, j)), v128.load(coefficient(w, 3, j)))));
    }
    for (; j < count; j++, p += 4, q += 4) {
      const hi = v128.load32_zero(coefficient(w, 0, j)), lo = v128.load32_zero(coefficient(w, 1, j));
      const k = v128.load32_zero(coefficient(w, 2, j)), bias = v128.load32_zero(coefficient(w, 3, j));
      v128.store_lane<f32>(q, f.output(affine(v128.load32_zero(p), hi, lo, k, bias)), 0);
    }
  }
}

// The gradients take the place p in x, and the distances from there to the places in dy and dx.

@inline function scaled<F>(dy: v128, x: v128, hi: v128, lo: v128, k: v128, bias: v128): v128 {
  return f32x4.mul(changetype<F>(0).gradient(dy, centered(x, hi, lo), k, bias), k);
}

/** dx = f'(dy) · k of channels [c0, c1): mean and variance are constants. */
export function applyScale<F>(x: usize, dy: usize, dx: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const skip = ((<usize>c0) * (<usize>s)) << 2, stride = ((<usize>c) * (<usize>s)) << 2, toDy = dy - x, toDx = dx - x, f = changetype<F>(0);
  if (s > 1) {
    const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0));
    const k = v128.load32_splat(coefficient(w, 2, 0)), bias = v128.load32_splat(coefficient(w, 3, 0));
    for (let i = 0; i < n; i++) {
      let p = x + skip + (<usize>i) * stride;
      const end = p + ((<usize>s) << 2), end2 = p + ((<usize>(s & ~7)) << 2);
      for (; p < end2; p += 32) {
        v128.store(p + toDx, scaled<F>(v128.load(p + toDy), f.load(p), hi, lo, k, bias));
        v128.store(p + toDx, scaled<F>(v128.load(p + toDy, 16), f.load(p + 16), hi, lo, k, bias), 16);
      }
      for (; p < end; p += 4) v128.store_lane<f32>(p + toDx, scaled<F>(v128.load32_zero(p + toDy), f.load(p), hi, lo, k, bias), 0);
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16) {
      const hi = v128.load(coefficient(w, 0, j)), lo = v128.load(coefficient(w, 1, j));
      const k = v128.load(coefficient(w, 2, j)), bias = f.load(coefficient(w, 3, j));
      v128.store(p + toDx, scaled<F>(v128.load(p + toDy), f.load(p), hi, lo, k, bias));
    }
    for (; j < count; j++, p += 4) {
      const hi = v128.load32_zero(coefficient(w, 0, j)), lo = v128.load32_zero(coefficient(w, 1, j));
      const k = v128.load32_zero(coefficient(w, 2, j)), bias = v128.load32_zero(coefficient(w, 3, j));
      v128.store_lane<f32>(p + toDx, scaled<F>(v128.load32_zero(p + toDy), f.load(p), hi, lo, k, bias), 0);
    }
  }
}

@inline function gradient<F>(dy: v128, x: v128, hi: v128, lo: v128, k: v128, bias: v128, a: v128, b: v128): v128 {
  const t = centered(x, hi, lo);
  return f32x4.mul(f32x4.sub(f32x4.sub(changetype<F>(0).gradient(dy, t, k, bias), a), f32x4.mul(t, b)), k);
}

/** dx = ((f'(dy) − a) − ((x − hi) − lo) · b) · k of channels [c0, c1). */
export function applyGradient<F>(x: usize, dy: usize, dx: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const skip = ((<usize>c0) * (<usize>s)) << 2, stride = ((<usize>c) * (<usize>s)) << 2, toDy = dy - x, toDx = dx - x, f = changetype<F>(0);
  if (s > 1) {
    const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0)), k = v128.load32_splat(coefficient(w, 2, 0));
    const bias = v128.load32_splat(coefficient(w, 3, 0)), a = v128.load32_splat(coefficient(w, 4, 0)), b = v128.load32_splat(coefficient(w, 5, 0));
    for (let i = 0; i < n; i++) {
      let p = x + skip + (<usize>i) * stride;
      const end = p + ((<usize>s) << 2), end1 = p + ((<usize>(s & ~3)) << 2);
      for (; p < end1; p += 16) v128.store(p + toDx, gradient<F>(v128.load(p + toDy), v128.load(p), hi, lo, k, bias, a, b));
      for (; p < end; p += 4) v128.store_lane<f32>(p + toDx, gradient<F>(v128.load32_zero(p + toDy), v128.load32_zero(p), hi, lo, k, bias, a, b), 0);
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16) {
      const hi = v128.load(coefficient(w, 0, j)), lo = v128.load(coefficient(w, 1, j)), k = v128.load(coefficient(w, 2, j));
      const bias = f.load(coefficient(w, 3, j)), a = v128.load(coefficient(w, 4, j)), b = v128.load(coefficient(w, 5, j));
      v128.store(p + toDx, gradient<F>(v128.load(p + toDy), v128.load(p), hi, lo, k, bias, a, b));
    }
    for (; j < count; j++, p += 4) {
      const hi = v128.load32_zero(coefficient(w, 0, j)), lo = v128.load32_zero(coefficient(w, 1, j)), k = v128.load32_zero(coefficient(w, 2, j));
      const bias = v128.load32_zero(coefficient(w, 3, j)), a = v128.load32_zero(coefficient(w, 4, j)), b = v128.load32_zero(coefficient(w, 5, j));
      v128.store_lane<f32>(p + toDx, gradient<F>(v128.load32_zero(p + toDy), v128.load32_zero(p), hi, lo, k, bias, a, b), 0);
    }
  }
}
