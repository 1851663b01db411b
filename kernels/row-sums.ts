// Operations on `n` floats that lie side by side. The order of additions depends on `n` alone.
import { addLanes, loadLanes, storeLanes, widen, widenProduct } from "./lanes";

/** The sum, accumulated in 64 bits. */
export function sumRow(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const end = x + (<usize>n << 2), blocks = x + (<usize>(n & ~15) << 2);
  for (; x < blocks; x += 64) {
    s0 = f64x2.add(s0, widen(v128.load(x)));
    s1 = f64x2.add(s1, widen(v128.load(x, 16)));
    s2 = f64x2.add(s2, widen(v128.load(x, 32)));
    s3 = f64x2.add(s3, widen(v128.load(x, 48)));
  }
  for (; x < end; x += 16) s0 = f64x2.add(s0, widen(loadLanes(x, <i32>((end - x) >> 2))));
  return addLanes(f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3)));
}

/** The sum of products, accumulated in 64 bits. */
export function dotRow(x: usize, y: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = s0;
  let i = 0;
  for (; i + 8 <= n; i += 8, x += 32, y += 32) {
    s0 = f64x2.add(s0, widenProduct(v128.load(x), v128.load(y)));
    s1 = f64x2.add(s1, widenProduct(v128.load(x, 16), v128.load(y, 16)));
  }
  for (; i < n; i += 4, x += 16, y += 16) s0 = f64x2.add(s0, widenProduct(loadLanes(x, n - i), loadLanes(y, n - i)));
  return addLanes(f64x2.add(s0, s1));
}

@inline export function extreme(a: v128, b: v128, largest: bool): v128 {
  return largest ? f32x4.max(a, b) : f32x4.min(a, b);
}

/** Where the search for an extreme starts. */
@inline export function startOf(largest: bool): f32 {
  return largest ? -Infinity : Infinity;
}

@inline function extremeRow(x: usize, n: i32, largest: bool): f32 {
  let m0 = f32x4.splat(startOf(largest)), m1 = m0, m2 = m0, m3 = m0;
  const end = x + (<usize>n << 2), blocks = x + (<usize>(n & ~15) << 2), vectors = x + (<usize>(n & ~3) << 2);
  for (; x < blocks; x += 64) {
    m0 = extreme(m0, v128.load(x), largest);
    m1 = extreme(m1, v128.load(x, 16), largest);
    m2 = extreme(m2, v128.load(x, 32), largest);
    m3 = extreme(m3, v128.load(x, 48), largest);
  }
  for (; x < vectors; x += 16) m0 = extreme(m0, v128.load(x), largest);
  for (; x < end; x += 4) m1 = extreme(m1, v128.load32_splat(x), largest);
  m0 = extreme(extreme(m0, m1, largest), extreme(m2, m3, largest), largest);
  m0 = extreme(m0, v128.shuffle<f32>(m0, m0, 2, 3, 0, 1), largest);
  return f32x4.extract_lane(extreme(m0, v128.shuffle<f32>(m0, m0, 1, 0, 3, 2), largest), 0);
}

/** The largest value; NaN if there is one. */
export function maxRow(x: usize, n: i32): f32 {
  return extremeRow(x, n, true);
}

/** The smallest value; NaN if there is one. */
export function minRow(x: usize, n: i32): f32 {
  return extremeRow(x, n, false);
}

/** Writes zeros. */
export function zeroRow(y: usize, n: i32): void {
  const zero = f32x4.splat(0);
  for (let i = 0; i < n; i += 4, y += 16) storeLanes(y, zero, n - i);
}

/** Adds `value` to every element. */
export function addToRow(y: usize, n: i32, value: f32): void {
  const v = f32x4.splat(value);
  for (let i = 0; i < n; i += 4, y += 16) storeLanes(y, f32x4.add(loadLanes(y, n - i), v), n - i);
}
