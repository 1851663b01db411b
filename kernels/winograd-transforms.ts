// The matrices of Winograd's F(4×4, 3×3), applied along one dimension to vectors of four independent numbers.
//
// Interpolation points 0, ±3/4, ±3/2 and ∞. Powers of all of them are exact in float32, and with them the error is about
// half of that of the usual 0, ±1, ±2 (bench/winograd-points.mjs measures it). Lavin & Gray 2016 for the method.
import { madd } from "./gemm";

// Points a, b; the products N of the differences between a point and the others: a²b² for 0, 2a²(a² − b²), 2b²(b² − a²).
const CONSTANTS = memory.data<f32>([
  0.75, 1.5, 0.5625, 2.25, 2.8125, 1.265625, // a, b, a², b², a² + b², a²b²
  0.421875, 3.375, // a³, b³
  0.7901234567901234, -0.5267489711934156, 0.13168724279835392, // 1 / N
  -0.3950617283950617, 0.19753086419753085, // a / N, b / N
]);

/** Constant number i in all lanes. */
@inline export function constant(i: usize): v128 { return v128.load32_splat(CONSTANTS + (i << 2)); }
@inline export const A: usize = 0;
@inline export const B: usize = 1;
@inline export const A2: usize = 2;
@inline export const B2: usize = 3;
@inline export const SUM: usize = 4;
@inline export const PRODUCT: usize = 5;
@inline const A3: usize = 6;
@inline const B3: usize = 7;
@inline const PER_N0: usize = 8;
@inline const PER_NA: usize = 9;
@inline const PER_NB: usize = 10;
@inline const A_PER_NA: usize = 11;
@inline const B_PER_NB: usize = 12;

/** c − a · b, like madd. */
@inline function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** Bᵀd: six inputs to six positions, which are stored `step` bytes apart. The constants come from the caller, which keeps them in registers. */
@inline export function inputTransform(a: v128, b: v128, a2: v128, b2: v128, sum: v128, product: v128, d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, to: usize, step: usize): void {
  v128.store(to, madd(product, d0, nmadd(sum, d2, d4)));
  v128.store(to + 5 * step, madd(product, d1, nmadd(sum, d3, d5)));
  let even = nmadd(b2, d2, d4), odd = nmadd(b2, d1, d3);
  v128.store(to + step, madd(a, odd, even));
  v128.store(to + 2 * step, nmadd(a, odd, even));
  even = nmadd(a2, d2, d4);
  odd = nmadd(a2, d1, d3);
  v128.store(to + 3 * step, madd(b, odd, even));
  v128.store(to + 4 * step, nmadd(b, odd, even));
}

/** A·y: four outputs to six positions, the transpose of the output transform. */
@inline export function gradientTransform(a: v128, b: v128, a2: v128, b2: v128, y0: v128, y1: v128, y2: v128, y3: v128, to: usize, step: usize): void {
  v128.store(to, y0);
  v128.store(to + 5 * step, y3);
  let even = madd(a2, y2, y0), odd = madd(a2, y3, y1);
  v128.store(to + step, madd(a, odd, even));
  v128.store(to + 2 * step, nmadd(a, odd, even));
  even = madd(b2, y2, y0);
  odd = madd(b2, y3, y1);
  v128.store(to + 3 * step, madd(b, odd, even));
  v128.store(to + 4 * step, nmadd(b, odd, even));
}

/** Aᵀm: six positions, `step` bytes apart, to four outputs, `toStep` bytes apart. */
@inline export function outputTransform(from: usize, step: usize, to: usize, toStep: usize): void {
  const m1 = v128.load(from + step), m2 = v128.load(from + 2 * step), m3 = v128.load(from + 3 * step), m4 = v128.load(from + 4 * step);
  const s = f32x4.add(m1, m2), d = f32x4.sub(m1, m2), S = f32x4.add(m3, m4), D = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(v128.load(from), f32x4.add(s, S)));
  v128.store(to + toStep, madd(constant(B), D, f32x4.mul(constant(A), d)));
  v128.store(to + 2 * toStep, madd(constant(B2), S, f32x4.mul(constant(A2), s)));
  v128.store(to + 3 * toStep, madd(constant(B3), D, madd(constant(A3), d, v128.load(from + 5 * step))));
}

/** G·g: three weights, `step` bytes apart, to six positions. */
@inline export function weightTransform(from: usize, step: usize, to: usize, toStep: usize): void {
  const g0 = v128.load(from), g1 = v128.load(from + step), g2 = v128.load(from + 2 * step);
  v128.store(to, f32x4.mul(constant(PER_N0), g0));
  v128.store(to + 5 * toStep, g2);
  let even = f32x4.mul(constant(PER_NA), madd(constant(A2), g2, g0)), odd = f32x4.mul(constant(A_PER_NA), g1);
  v128.store(to + toStep, f32x4.add(even, odd));
  v128.store(to + 2 * toStep, f32x4.sub(even, odd));
  even = f32x4.mul(constant(PER_NB), madd(constant(B2), g2, g0));
  odd = f32x4.mul(constant(B_PER_NB), g1);
  v128.store(to + 3 * toStep, f32x4.add(even, odd));
  v128.store(to + 4 * toStep, f32x4.sub(even, odd));
}

/** Gᵀm: six positions to three weights, the transpose of the weight transform. */
@inline export function weightGradientTransform(from: usize, step: usize, to: usize, toStep: usize): void {
  const m1 = v128.load(from + step), m2 = v128.load(from + 2 * step), m3 = v128.load(from + 3 * step), m4 = v128.load(from + 4 * step);
  const s = f32x4.mul(constant(PER_NA), f32x4.add(m1, m2)), S = f32x4.mul(constant(PER_NB), f32x4.add(m3, m4));
  const d = f32x4.sub(m1, m2), D = f32x4.sub(m3, m4);
  v128.store(to, madd(constant(PER_N0), v128.load(from), f32x4.add(s, S)));
  v128.store(to + toStep, madd(constant(B_PER_NB), D, f32x4.mul(constant(A_PER_NA), d)));
  v128.store(to + 2 * toStep, madd(constant(B2), S, madd(constant(A2), s, v128.load(from + 5 * step))));
}
