// What the kernels on the channels of an array [n, c, s] share: the layout of their coefficients, and mean and variance.
//
// Neighbouring channels are worked on together, so that memory is read and written in its own order: a walk that goes through
// one channel alone takes short runs that lie far apart, and twice as long. What is computed for a channel, and in which order,
// depends neither on the channels next to it nor on how many there are.
//
// Two walks: "planes" (s > 1) takes the runs of s values of an image, channel after channel; "columns" (s = 1) works on four
// channels in each vector.
//
// A block is read once. Squares are taken of the differences from c, the mean of the block's first values, and corrected:
// (c - mean)^2 is at most variance * n / m where m of n values were sampled (Cauchy-Schwarz), 16 here, so that
// squares - n * (mean - c)^2 loses four bits at worst, of rounding errors that are random; as a rule it loses none. They are
// float32 in eights and float64 beyond. A constant channel leaves zeros, at any offset.

import { madd } from "./gemm";

/** Most channels that are worked on together. */
const CHUNK: i32 = 1024;
/** Values of an image that its neighbouring channels may have together: of long planes, few go together and may stay in the cache. */
const SPAN: i32 = 65536;
/** Values of a tensor that the last level of cache holds, and of a group of its channels that the second does. */
const SMALL: i32 = 1048576;
const CACHED: i32 = 49152;
/** Values of a channel in one block, and how many of them are sampled. */
export const BLOCK: i32 = 1024;
const SAMPLE: i32 = 64;

// Layout of the results and coefficients of a chunk in the thread's workspace: two float64 and up to six float32 per channel.
@inline export function first(w: usize, i: i32): usize { return w + ((<usize>i) << 4); }
@inline export function second(w: usize, i: i32): usize { return first(w, i) + 8; }
@inline export function coefficient(w: usize, which: i32, i: i32): usize {
  return w + 16 * CHUNK + ((<usize>(which * (CHUNK + 4) + i)) << 2);
}

/** How many neighbouring channels of [n, c, s] are worked on together. */
export function groupSize(n: i32, c: i32, s: i32): i32 {
  if (s == 1) return CHUNK;
  const channel = <i64>n * <i64>s;
  // A small tensor: what a group reads twice stays in the cache, whatever the order.
  if (channel * <i64>c <= SMALL) return min(CHUNK, max<i32>(1, <i32>(<i64>CACHED / max<i64>(1, channel))));
  return min(CHUNK, max(1, SPAN / max(1, s)));
}

@inline export function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }
@inline export function isFinite64(x: f64): bool { return x - x == 0; }

@inline export function laneSum(v: v128): f64 {
  return ((<f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1)) + <f64>f32x4.extract_lane(v, 2)) + <f64>f32x4.extract_lane(v, 3);
}

@inline export function lane4(v: v128, lane: i32): f32 {
  if (lane == 0) return f32x4.extract_lane(v, 0);
  if (lane == 1) return f32x4.extract_lane(v, 1);
  if (lane == 2) return f32x4.extract_lane(v, 2);
  return f32x4.extract_lane(v, 3);
}

/** Joins a block of `m` values (mean, sum of squared deviations) into the results of channel i, which cover `seen` (Chan et al.). */
@inline export function join(w: usize, i: i32, seen: f64, m: f64, mean: f64, squares: f64): void {
  if (seen == 0) {
    store<f64>(first(w, i), mean);
    store<f64>(second(w, i), squares);
    return;
  }
  const total = seen + m, old = load<f64>(first(w, i)), delta = mean - old;
  store<f64>(first(w, i), old + delta * (m / total));
  store<f64>(second(w, i), load<f64>(second(w, i)) + squares + delta * delta * (seen * m / total));
}

/** Two of the four lanes in 64 bits. */
@inline export function lower(v: v128): v128 { return f64x2.promote_low_f32x4(v); }
@inline export function upper(v: v128): v128 { return f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 2, 3)); }

/** Most float32 additions that a term goes through are two: long float32 sums lose digits, with squares all to one side. */
@inline export function tree(a: v128, b: v128, c: v128, d: v128): v128 { return f32x4.add(f32x4.add(a, b), f32x4.add(c, d)); }

/** The sum of both lanes of two sums of 64 bits. */
@inline export function total(a: v128, b: v128): f64 {
  const v = f64x2.add(a, b);
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

/** The four lanes added to two sums of 64 bits. */
@inline function widen(sum: v128, v: v128): v128 {
  const upper = v128.shuffle<i32>(v, v, 2, 3, 2, 3);
  return f64x2.add(f64x2.add(sum, f64x2.promote_low_f32x4(v)), f64x2.promote_low_f32x4(upper));
}

/** Mean of up to SAMPLE values at the start of a block, whose runs have `length` values. */
function sampleMean(x: usize, runs: i32, length: i32, stride: usize): f32 {
  if (length >= SAMPLE) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    const origin = v128.load32_splat(x);
    for (let p = x, end = x + (SAMPLE << 2); p < end; p += 64) {
      a = f32x4.add(a, f32x4.sub(v128.load(p), origin));
      b = f32x4.add(b, f32x4.sub(v128.load(p, 16), origin));
      c = f32x4.add(c, f32x4.sub(v128.load(p, 32), origin));
      d = f32x4.add(d, f32x4.sub(v128.load(p, 48), origin));
    }
    return load<f32>(x) + <f32>(laneSum(tree(a, b, c, d)) / SAMPLE);
  }
  let sum: f64 = 0, count = 0;
  for (let r = 0; r < runs && count < SAMPLE; r++, x += stride) {
    for (let j = 0; j < length && count < SAMPLE; j++, count++) sum += <f64>load<f32>(at(x, j));
  }
  return <f32>(sum / <f64>count);
}

/** Two neighbouring floats in 64 bits. */
@inline export function wide(p: usize): v128 { return f64x2.promote_low_f32x4(v128.load64_zero(p)); }

/** Channel i of the workspace: `runs` runs of `length` values, `stride` bytes apart. `isExact`: see `moments`. */
function blockMoments(x: usize, runs: i32, length: i32, stride: usize, w: usize, i: i32, seen: f64, isExact: bool): void {
  const m = <f64>runs * <f64>length, center = sampleMean(x, runs, length, stride), mid = f32x4.splat(center);
  const bytes = (<usize>length) << 2, bytes8 = (<usize>(length & ~31)) << 2, bytes1 = (<usize>(length & ~3)) << 2;
  // Sums of x, or of the differences from the center.
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, rest: f64 = 0, restQ: f64 = 0;
  for (let r = 0, run = x; r < runs; r++, run += stride) {
    let p = run;
    for (const end = run + bytes8; p < end; p += 128) {
      let a = f32x4.sub(v128.load(p), mid), b = f32x4.sub(v128.load(p, 16), mid);
      let c = f32x4.sub(v128.load(p, 32), mid), d = f32x4.sub(v128.load(p, 48), mid);
      let s = tree(a, b, c, d), qa = madd(b, b, f32x4.mul(a, a)), qb = madd(d, d, f32x4.mul(c, c));
      a = f32x4.sub(v128.load(p, 64), mid);
      b = f32x4.sub(v128.load(p, 80), mid);
      c = f32x4.sub(v128.load(p, 96), mid);
      d = f32x4.sub(v128.load(p, 112), mid);
      qa = f32x4.add(madd(b, b, madd(a, a, qa)), madd(d, d, madd(c, c, qb)));
      q0 = f64x2.add(q0, lower(qa));
      q1 = f64x2.add(q1, upper(qa));
      if (isExact) {
        s0 = f64x2.add(s0, f64x2.add(f64x2.add(wide(p), wide(p + 32)), f64x2.add(wide(p + 64), wide(p + 96))));
        s1 = f64x2.add(s1, f64x2.add(f64x2.add(wide(p + 8), wide(p + 40)), f64x2.add(wide(p + 72), wide(p + 104))));
        s2 = f64x2.add(s2, f64x2.add(f64x2.add(wide(p + 16), wide(p + 48)), f64x2.add(wide(p + 80), wide(p + 112))));
        s3 = f64x2.add(s3, f64x2.add(f64x2.add(wide(p + 24), wide(p + 56)), f64x2.add(wide(p + 88), wide(p + 120))));
      } else {
        s = f32x4.add(s, tree(a, b, c, d));
        s0 = f64x2.add(s0, lower(s));
        s1 = f64x2.add(s1, upper(s));
      }
    }
    for (const end = run + bytes1; p < end; p += 16) {
      const u = v128.load(p), a = f32x4.sub(u, mid);
      s0 = widen(s0, isExact ? u : a);
      q0 = widen(q0, f32x4.mul(a, a));
    }
    for (const end = run + bytes; p < end; p += 4) {
      const v = load<f32>(p), d = <f64>(v - center);
      rest += isExact ? <f64>v : d;
      restQ += d * d;
    }
  }
  const sum = (total(f64x2.add(s0, s1), f64x2.add(s2, s3)) + rest) / m, moved = isExact ? sum - <f64>center : sum;
  join(w, i, seen, m, <f64>center + moved, max<f64>(total(q0, q1) + restQ - m * moved * moved, 0));
}

function planeMoments(x: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize, isExact: bool): void {
  const plane = (<usize>s) << 2, stride = (<usize>c) * plane, images = max(1, BLOCK / s);
  for (let image = 0; image < n; image += images) {
    const runs = min(images, n - image), seen = <f64>image * <f64>s;
    let p = x + (<usize>image) * stride + (<usize>c0) * plane;
    for (let i = 0; i < c1 - c0; i++, p += plane) {
      if (s <= BLOCK) blockMoments(p, runs, s, stride, w, i, seen, isExact);
      else for (let j = 0; j < s; j += BLOCK) blockMoments(p + ((<usize>j) << 2), 1, min(BLOCK, s - j), 0, w, i, seen + <f64>j, isExact);
    }
  }
}

/** Four channels of `rows` rows; lanes past the last channel are computed and not stored. The sums of x itself are exact. */
function columnBlockMoments(x: usize, rows: i32, stride: usize, w: usize, i: i32, lanes: i32, seen: f64): void {
  const sampled = min(4, rows), origin = v128.load(x), end = x + <usize>rows * stride, end2 = x + <usize>(rows & ~1) * stride;
  let center = f32x4.splat(0), p = x;
  for (let r = 0; r < sampled; r++, p += stride) center = f32x4.add(center, f32x4.sub(v128.load(p), origin));
  center = f32x4.add(origin, f32x4.div(center, f32x4.splat(<f32>sampled)));
  let s0 = f64x2.splat(0), s1 = s0, q0 = s0, q1 = s0;
  for (p = x; p < end2; p += 2 * stride) {
    const u = v128.load(p), v = v128.load(p + stride), a = f32x4.sub(u, center), b = f32x4.sub(v, center);
    const q = madd(b, b, f32x4.mul(a, a));
    s0 = f64x2.add(s0, f64x2.add(lower(u), lower(v)));
    s1 = f64x2.add(s1, f64x2.add(upper(u), upper(v)));
    q0 = f64x2.add(q0, lower(q));
    q1 = f64x2.add(q1, upper(q));
  }
  for (; p < end; p += stride) {
    const u = v128.load(p), a = f32x4.sub(u, center), q = f32x4.mul(a, a);
    s0 = f64x2.add(s0, lower(u));
    s1 = f64x2.add(s1, upper(u));
    q0 = f64x2.add(q0, lower(q));
    q1 = f64x2.add(q1, upper(q));
  }
  const m = <f64>rows;
  for (let lane = 0; lane < lanes; lane++) {
    const s = lane < 2 ? s0 : s1, q = lane < 2 ? q0 : q1;
    const mean = (lane & 1 ? f64x2.extract_lane(s, 1) : f64x2.extract_lane(s, 0)) / m, moved = mean - <f64>lane4(center, lane);
    const squares = lane & 1 ? f64x2.extract_lane(q, 1) : f64x2.extract_lane(q, 0);
    join(w, i + lane, seen, m, mean, max<f64>(squares - m * moved * moved, 0));
  }
}

/** Rows of a block in the column walk: short enough that float32 sums keep their digits. */
export const ROWS: i32 = 64;

function columnMoments(x: usize, n: i32, c: i32, c0: i32, c1: i32, w: usize): void {
  const stride = (<usize>c) << 2;
  for (let row = 0; row < n; row += ROWS) {
    const rows = min(ROWS, n - row), start = x + (<usize>row) * stride;
    for (let channel = c0; channel < c1; channel += 4) {
      columnBlockMoments(start + ((<usize>channel) << 2), rows, stride, w, channel - c0, min(4, c1 - channel), <f64>row);
    }
  }
}

/** Mean and sum of squared deviations of channels [c0, c1) into the workspace. */
function sums(x: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize, isExact: bool): void {
  if (s == 1) columnMoments(x, n, c, c0, c1, w);
  else planeMoments(x, n, c, s, c0, c1, w, isExact);
}

/** The plain mean of a channel: Infinity stays Infinity where joining blocks would give NaN. */
function plainMean(x: usize, n: i32, c: i32, s: i32, channel: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < n; i++) {
    const run = x + (((<usize>i) * (<usize>c) + <usize>channel) * (<usize>s) << 2);
    for (let j = 0; j < s; j++) sum += <f64>load<f32>(run + ((<usize>j) << 2));
  }
  return sum / (<f64>n * <f64>s);
}

/** Whether a channel has so many values that what a mean from float32 sums misses is below any digit of a normalized value. */
@inline export function isLong(n: i32, s: i32): bool { return s > 1 && <i64>n * <i64>s >= 4096; }

/**
 * Mean (`first`) and biased variance (`second`) of channels [c0, c1), at most groupSize(n, c, s), into the workspace. An exact
 * mean comes from float64 sums. Of a long channel float32 sums of eight differences may do, a third faster: the mean then misses
 * 2^-24 of the deviation divided by the root of the number of values, which is seen only in a mean that is as small itself.
 */
export function moments(x: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize, isExact: bool = true): void {
  const m = <f64>n * <f64>s;
  sums(x, n, c, s, c0, c1, w, isExact);
  for (let i = 0; i < c1 - c0; i++) {
    const mean = load<f64>(first(w, i));
    store<f64>(second(w, i), load<f64>(second(w, i)) / m);
    if (!isFinite64(mean)) store<f64>(first(w, i), plainMean(x, n, c, s, c0 + i));
  }
}
