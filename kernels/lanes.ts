// Vectors of four floats whose last lanes may be missing, and their sums in 64 bits.
import { loadPart, storePart } from "./math";

/** The `n` floats at `p` (1 to 4), then zeros; reads nothing beyond them. */
@inline export function loadLanes(p: usize, n: i32): v128 {
  return n >= 4 ? v128.load(p) : loadRest(p, n);
}

function loadRest(p: usize, n: i32): v128 {
  return loadPart(p, n);
}

/** Stores the first `n` lanes of `v` (1 to 4); writes nothing beyond them. */
@inline export function storeLanes(p: usize, v: v128, n: i32): void {
  if (n >= 4) v128.store(p, v);
  else storeRest(p, v, n);
}

function storeRest(p: usize, v: v128, n: i32): void {
  storePart(p, v, n);
}

/** `v` with zeros in all lanes but the first `n`. */
@inline export function keepLanes(v: v128, n: i32): v128 {
  return v128.and(v, i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(n)));
}

/** Lanes 0 and 1 in 64 bits. */
@inline export function low(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

/** Lanes 2 and 3 in 64 bits. */
@inline export function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3));
}

/** The four lanes added into two of 64 bits. */
@inline export function widen(v: v128): v128 {
  return f64x2.add(low(v), high(v));
}

/** The four products, exact, added into two lanes of 64 bits. */
@inline export function widenProduct(a: v128, b: v128): v128 {
  return f64x2.add(f64x2.mul(low(a), low(b)), f64x2.mul(high(a), high(b)));
}

/** Four floats from two pairs of 64 bits. */
@inline export function narrow(lower: v128, upper: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(lower), f32x4.demote_f64x2_zero(upper), 0, 1, 4, 5);
}

/** The sum of two lanes of 64 bits. */
@inline export function addLanes(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}
