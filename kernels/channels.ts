// Sums over the channels of an array [n, c, s], and the loops that apply per-channel coefficients to it.
//
// Two walks: "planes" (s > 1) takes one channel at a time, whose runs of s values lie apart by c * s; "columns" (s = 1)
// takes up to CHUNK neighbouring channels at a time and works on four of them in each vector.
//
// Sums are float32 within a block that fits the L1 cache and float64 between blocks. Values are first shifted by a number
// from the data, so that an offset that all values share costs no digits and a constant channel gives exact results.

/** Most channels that are worked on together. */
export const CHUNK: i32 = 1024;
/** Values of a channel in one block. */
const BLOCK: i32 = 1024;

// Layout of the results and coefficients of a chunk in the thread's workspace: two float64 and four float32 per channel.
@inline export function first(w: usize, i: i32): usize { return w + ((<usize>i) << 4); }
@inline export function second(w: usize, i: i32): usize { return first(w, i) + 8; }
@inline export function coefficient(w: usize, which: i32, i: i32): usize {
  return w + 16 * CHUNK + ((<usize>(which * (CHUNK + 4) + i)) << 2);
}

@inline export function laneSum(v: v128): f64 {
  return ((<f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1)) + <f64>f32x4.extract_lane(v, 2)) + <f64>f32x4.extract_lane(v, 3);
}

/** Joins a block of `m` values (mean, sum of squared deviations) into the results of channel i, which cover `seen` (Chan et al.). */
@inline function join(w: usize, i: i32, seen: f64, m: f64, mean: f64, squares: f64): void {
  if (seen == 0) {
    store<f64>(first(w, i), mean);
    store<f64>(second(w, i), squares);
    return;
  }
  const total = seen + m, old = load<f64>(first(w, i)), delta = mean - old;
  store<f64>(first(w, i), old + delta * (m / total));
  store<f64>(second(w, i), load<f64>(second(w, i)) + squares + delta * delta * (seen * m / total));
}

// ---- mean and sum of squared deviations -------------------------------------------------------------------------

/** One channel: `runs` runs of `length` values, `stride` bytes apart. */
function blockMoments(x: usize, runs: i32, length: i32, stride: usize, w: usize, seen: f64): void {
  const shift = load<f32>(x), k = f32x4.splat(shift), vectors = length & ~3, m = <f64>runs * <f64>length;
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, rest: f64 = 0;
  for (let r = 0, run = x; r < runs; r++, run += stride) {
    let p = run;
    const end4 = run + ((<usize>(length & ~15)) << 2), end = run + ((<usize>vectors) << 2);
    for (; p < end4; p += 64) {
      s0 = f32x4.add(s0, f32x4.sub(v128.load(p), k));
      s1 = f32x4.add(s1, f32x4.sub(v128.load(p, 16), k));
      s2 = f32x4.add(s2, f32x4.sub(v128.load(p, 32), k));
      s3 = f32x4.add(s3, f32x4.sub(v128.load(p, 48), k));
    }
    for (; p < end; p += 16) s0 = f32x4.add(s0, f32x4.sub(v128.load(p), k));
    for (const stop = run + ((<usize>length) << 2); p < stop; p += 4) rest += <f64>(load<f32>(p) - shift);
  }
  const sum = laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))) + rest;
  const center = <f32>(<f64>shift + sum / m), mid = f32x4.splat(center);
  let d0 = f32x4.splat(0), d1 = d0, q0 = d0, q1 = d0, restD: f64 = 0, restQ: f64 = 0;
  for (let r = 0, run = x; r < runs; r++, run += stride) {
    let p = run;
    const end2 = run + ((<usize>(length & ~7)) << 2), end = run + ((<usize>vectors) << 2);
    for (; p < end2; p += 32) {
      const a = f32x4.sub(v128.load(p), mid), b = f32x4.sub(v128.load(p, 16), mid);
      d0 = f32x4.add(d0, a);
      d1 = f32x4.add(d1, b);
      q0 = f32x4.add(q0, f32x4.mul(a, a));
      q1 = f32x4.add(q1, f32x4.mul(b, b));
    }
    for (; p < end; p += 16) {
      const a = f32x4.sub(v128.load(p), mid);
      d0 = f32x4.add(d0, a);
      q0 = f32x4.add(q0, f32x4.mul(a, a));
    }
    for (const stop = run + ((<usize>length) << 2); p < stop; p += 4) {
      const d = <f64>(load<f32>(p) - center);
      restD += d;
      restQ += d * d;
    }
  }
  // The center is the rounded mean: what it misses is made good here.
  const d = laneSum(f32x4.add(d0, d1)) + restD, q = laneSum(f32x4.add(q0, q1)) + restQ;
  join(w, 0, seen, m, <f64>center + d / m, max<f64>(q - d * d / m, 0));
}

function planeMoments(x: usize, n: i32, c: i32, s: i32, channel: i32, w: usize): void {
  const stride = ((<usize>c) * (<usize>s)) << 2, start = x + (((<usize>channel) * (<usize>s)) << 2);
  let seen: f64 = 0;
  if (s >= BLOCK) {
    for (let i = 0; i < n; i++) {
      const plane = start + (<usize>i) * stride;
      for (let at = 0; at < s; at += BLOCK) {
        const length = min(BLOCK, s - at);
        blockMoments(plane + ((<usize>at) << 2), 1, length, stride, w, seen);
        seen += <f64>length;
      }
    }
    return;
  }
  const images = max(1, BLOCK / s);
  for (let i = 0; i < n; i += images) {
    const runs = min(images, n - i);
    blockMoments(start + (<usize>i) * stride, runs, s, stride, w, seen);
    seen += <f64>runs * <f64>s;
  }
}

/** Channels [c0, c0 + 4) of `rows` rows; lanes past the last channel are computed and not stored. */
function columnBlockMoments(x: usize, rows: i32, stride: usize, w: usize, i: i32, lanes: i32, seen: f64): void {
  const shift = v128.load(x), m = <f64>rows;
  let s0 = f32x4.splat(0), s1 = s0, p = x, r = 0;
  for (; r + 2 <= rows; r += 2, p += 2 * stride) {
    s0 = f32x4.add(s0, f32x4.sub(v128.load(p), shift));
    s1 = f32x4.add(s1, f32x4.sub(v128.load(p + stride), shift));
  }
  if (r < rows) s0 = f32x4.add(s0, f32x4.sub(v128.load(p), shift));
  const center = f32x4.add(shift, f32x4.mul(f32x4.add(s0, s1), f32x4.splat(<f32>(1 / m))));
  let d0 = f32x4.splat(0), d1 = d0, q0 = d0, q1 = d0;
  for (p = x, r = 0; r + 2 <= rows; r += 2, p += 2 * stride) {
    const a = f32x4.sub(v128.load(p), center), b = f32x4.sub(v128.load(p + stride), center);
    d0 = f32x4.add(d0, a);
    d1 = f32x4.add(d1, b);
    q0 = f32x4.add(q0, f32x4.mul(a, a));
    q1 = f32x4.add(q1, f32x4.mul(b, b));
  }
  if (r < rows) {
    const a = f32x4.sub(v128.load(p), center);
    d0 = f32x4.add(d0, a);
    q0 = f32x4.add(q0, f32x4.mul(a, a));
  }
  const d = f32x4.add(d0, d1), q = f32x4.add(q0, q1);
  for (let lane = 0; lane < lanes; lane++) {
    const dl = <f64>lane4(d, lane), ql = <f64>lane4(q, lane);
    join(w, i + lane, seen, m, <f64>lane4(center, lane) + dl / m, max<f64>(ql - dl * dl / m, 0));
  }
}

/** Rows of a block in the column walk: short enough that float32 sums keep their digits. */
const ROWS: i32 = 64;

function columnMoments(x: usize, n: i32, c: i32, c0: i32, c1: i32, w: usize): void {
  const stride = (<usize>c) << 2;
  for (let row = 0; row < n; row += ROWS) {
    const rows = min(ROWS, n - row), start = x + (<usize>row) * stride;
    for (let channel = c0; channel < c1; channel += 4) {
      columnBlockMoments(start + ((<usize>channel) << 2), rows, stride, w, channel - c0, min(4, c1 - channel), <f64>row);
    }
  }
}

/** Mean and sum of squared deviations of channels [c0, c1) into the workspace; one channel at a time if s > 1. */
export function moments(x: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  if (s == 1) columnMoments(x, n, c, c0, c1, w);
  else planeMoments(x, n, c, s, c0, w);
}

/** The plain mean of a channel: Infinity stays Infinity where the shifted sums would give NaN. */
export function plainMean(x: usize, n: i32, c: i32, s: i32, channel: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < n; i++) {
    const run = x + (((<usize>i) * (<usize>c) + <usize>channel) * (<usize>s) << 2);
    for (let j = 0; j < s; j++) sum += <f64>load<f32>(run + ((<usize>j) << 2));
  }
  return sum / (<f64>n * <f64>s);
}

// ---- sums of dy and of dy · (x − mean) ---------------------------------------------------------------------------

@inline function lane4(v: v128, lane: i32): f32 {
  if (lane == 0) return f32x4.extract_lane(v, 0);
  if (lane == 1) return f32x4.extract_lane(v, 1);
  if (lane == 2) return f32x4.extract_lane(v, 2);
  return f32x4.extract_lane(v, 3);
}

@inline function addTo(w: usize, i: i32, s: f64, q: f64): void {
  store<f64>(first(w, i), load<f64>(first(w, i)) + s);
  store<f64>(second(w, i), load<f64>(second(w, i)) + q);
}

/** Adds one block of a channel; `offset` is dy − x. */
function blockProducts(x: usize, offset: usize, runs: i32, length: i32, stride: usize, w: usize): void {
  const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0)), vectors = length & ~3;
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0, restS: f64 = 0, restQ: f64 = 0;
  for (let r = 0, run = x; r < runs; r++, run += stride) {
    let p = run;
    const end4 = run + ((<usize>(length & ~15)) << 2), end = run + ((<usize>vectors) << 2);
    for (; p < end4; p += 64) {
      let d = v128.load(p + offset);
      s0 = f32x4.add(s0, d);
      q0 = f32x4.add(q0, f32x4.mul(d, f32x4.sub(f32x4.sub(v128.load(p), hi), lo)));
      d = v128.load(p + offset, 16);
      s1 = f32x4.add(s1, d);
      q1 = f32x4.add(q1, f32x4.mul(d, f32x4.sub(f32x4.sub(v128.load(p, 16), hi), lo)));
      d = v128.load(p + offset, 32);
      s2 = f32x4.add(s2, d);
      q2 = f32x4.add(q2, f32x4.mul(d, f32x4.sub(f32x4.sub(v128.load(p, 32), hi), lo)));
      d = v128.load(p + offset, 48);
      s3 = f32x4.add(s3, d);
      q3 = f32x4.add(q3, f32x4.mul(d, f32x4.sub(f32x4.sub(v128.load(p, 48), hi), lo)));
    }
    for (; p < end; p += 16) {
      const a = v128.load(p + offset);
      s0 = f32x4.add(s0, a);
      q0 = f32x4.add(q0, f32x4.mul(a, f32x4.sub(f32x4.sub(v128.load(p), hi), lo)));
    }
    for (const stop = run + ((<usize>length) << 2); p < stop; p += 4) {
      const d = <f64>load<f32>(p + offset);
      restS += d;
      restQ += d * <f64>((load<f32>(p) - load<f32>(coefficient(w, 0, 0))) - load<f32>(coefficient(w, 1, 0)));
    }
  }
  const sum = laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  addTo(w, 0, sum + restS, laneSum(f32x4.add(f32x4.add(q0, q1), f32x4.add(q2, q3))) + restQ);
}

function planeProducts(x: usize, offset: usize, n: i32, c: i32, s: i32, channel: i32, w: usize): void {
  const stride = ((<usize>c) * (<usize>s)) << 2, start = x + (((<usize>channel) * (<usize>s)) << 2);
  if (s >= BLOCK) {
    for (let i = 0; i < n; i++) {
      for (let at = 0; at < s; at += BLOCK) {
        blockProducts(start + (<usize>i) * stride + ((<usize>at) << 2), offset, 1, min(BLOCK, s - at), stride, w);
      }
    }
    return;
  }
  const images = max(1, BLOCK / s);
  for (let i = 0; i < n; i += images) blockProducts(start + (<usize>i) * stride, offset, min(images, n - i), s, stride, w);
}

function columnProducts(x: usize, offset: usize, n: i32, c: i32, c0: i32, c1: i32, w: usize): void {
  const stride = (<usize>c) << 2;
  for (let row = 0; row < n; row += ROWS) {
    const rows = min(ROWS, n - row), start = x + (<usize>row) * stride;
    for (let channel = c0; channel < c1; channel += 4) {
      const i = channel - c0, hi = v128.load(coefficient(w, 0, i)), lo = v128.load(coefficient(w, 1, i));
      let sum = f32x4.splat(0), product = sum, p = start + ((<usize>channel) << 2);
      for (let r = 0; r < rows; r++, p += stride) {
        const d = v128.load(p + offset);
        sum = f32x4.add(sum, d);
        product = f32x4.add(product, f32x4.mul(d, f32x4.sub(f32x4.sub(v128.load(p), hi), lo)));
      }
      for (let lane = 0; lane < min(4, c1 - channel); lane++) addTo(w, i + lane, <f64>lane4(sum, lane), <f64>lane4(product, lane));
    }
  }
}

/** Σ dy and Σ dy · (x − mean) of channels [c0, c1) into the workspace, whose coefficients 0 and 1 hold the mean. */
export function products(x: usize, dy: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  memory.fill(first(w, 0), 0, first(w, c1 - c0) - first(w, 0));
  if (s == 1) columnProducts(x, dy - x, n, c, c0, c1, w);
  else planeProducts(x, dy - x, n, c, s, c0, w);
}

// ---- applying coefficients -----------------------------------------------------------------------------------------

@inline function affine(x: v128, hi: v128, lo: v128, k: v128, b: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.sub(f32x4.sub(x, hi), lo), k), b);
}

function affineRun(p: usize, y: usize, length: i32, hi: v128, lo: v128, k: v128, b: v128): void {
  const end = p + ((<usize>length) << 2), end2 = p + ((<usize>(length & ~7)) << 2), end1 = p + ((<usize>(length & ~3)) << 2);
  for (; p < end2; p += 32, y += 32) {
    v128.store(y, affine(v128.load(p), hi, lo, k, b));
    v128.store(y, affine(v128.load(p, 16), hi, lo, k, b), 16);
  }
  for (; p < end1; p += 16, y += 16) v128.store(y, affine(v128.load(p), hi, lo, k, b));
  for (; p < end; p += 4, y += 4) v128.store_lane<f32>(y, affine(v128.load32_zero(p), hi, lo, k, b), 0);
}

/** y = ((x − hi) − lo) · k + b with the coefficients 0 to 3 of channels [c0, c1). */
export function applyAffine(x: usize, y: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const skip = ((<usize>c0) * (<usize>s)) << 2, stride = ((<usize>c) * (<usize>s)) << 2;
  if (s > 1) {
    const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0));
    const k = v128.load32_splat(coefficient(w, 2, 0)), b = v128.load32_splat(coefficient(w, 3, 0));
    for (let i = 0; i < n; i++) affineRun(x + skip + (<usize>i) * stride, y + skip + (<usize>i) * stride, s, hi, lo, k, b);
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, q = y + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16, q += 16) {
      const at = coefficient(w, 0, j);
      v128.store(q, affine(v128.load(p), v128.load(at), v128.load(coefficient(w, 1, j)), v128.load(coefficient(w, 2, j)), v128.load(coefficient(w, 3, j))));
    }
    for (; j < count; j++, p += 4, q += 4) {
      v128.store_lane<f32>(q, affine(v128.load32_zero(p), v128.load32_zero(coefficient(w, 0, j)), v128.load32_zero(coefficient(w, 1, j)),
        v128.load32_zero(coefficient(w, 2, j)), v128.load32_zero(coefficient(w, 3, j))), 0);
    }
  }
}

@inline function gradient(dy: v128, x: v128, hi: v128, lo: v128, a: v128, b: v128, k: v128): v128 {
  return f32x4.mul(f32x4.sub(f32x4.sub(dy, a), f32x4.mul(f32x4.sub(f32x4.sub(x, hi), lo), b)), k);
}

/** dx = ((dy − a) − ((x − hi) − lo) · b) · k with the coefficients hi, lo, a, b, k = 0 to 4 of channels [c0, c1). */
export function applyGradient(x: usize, dy: usize, dx: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const skip = ((<usize>c0) * (<usize>s)) << 2, stride = ((<usize>c) * (<usize>s)) << 2, toDy = dy - x, toDx = dx - x;
  if (s > 1) {
    const hi = v128.load32_splat(coefficient(w, 0, 0)), lo = v128.load32_splat(coefficient(w, 1, 0));
    const a = v128.load32_splat(coefficient(w, 2, 0)), b = v128.load32_splat(coefficient(w, 3, 0)), k = v128.load32_splat(coefficient(w, 4, 0));
    for (let i = 0; i < n; i++) {
      let p = x + skip + (<usize>i) * stride;
      const end = p + ((<usize>s) << 2), end1 = p + ((<usize>(s & ~3)) << 2);
      for (; p < end1; p += 16) v128.store(p + toDx, gradient(v128.load(p + toDy), v128.load(p), hi, lo, a, b, k));
      for (; p < end; p += 4) v128.store_lane<f32>(p + toDx, gradient(v128.load32_zero(p + toDy), v128.load32_zero(p), hi, lo, a, b, k), 0);
    }
    return;
  }
  const count = c1 - c0, vectors = count & ~3;
  for (let i = 0; i < n; i++) {
    let p = x + skip + (<usize>i) * stride, j = 0;
    for (; j < vectors; j += 4, p += 16) {
      v128.store(p + toDx, gradient(v128.load(p + toDy), v128.load(p), v128.load(coefficient(w, 0, j)), v128.load(coefficient(w, 1, j)),
        v128.load(coefficient(w, 2, j)), v128.load(coefficient(w, 3, j)), v128.load(coefficient(w, 4, j))));
    }
    for (; j < count; j++, p += 4) {
      v128.store_lane<f32>(p + toDx, gradient(v128.load32_zero(p + toDy), v128.load32_zero(p), v128.load32_zero(coefficient(w, 0, j)),
        v128.load32_zero(coefficient(w, 1, j)), v128.load32_zero(coefficient(w, 2, j)), v128.load32_zero(coefficient(w, 3, j)),
        v128.load32_zero(coefficient(w, 4, j))), 0);
    }
  }
}
