// Softmax and log-softmax over the middle axis of [outer, count, inner]. A unit is one outer index.
import { Softmax, SoftmaxBackward } from "./generated";
import { addLanes, high, keepLanes, loadLanes, low, narrow, storeLanes, widen } from "./lanes";
import { exp, log } from "./math";
import { dotRow, sumRow } from "./row-sums";

/**
 * The largest value of a row. NaN is passed over, which takes a third of the instructions and is enough here: the sum of
 * the exponentials becomes NaN all the same.
 */
export function peakRow(x: usize, n: i32): f32 {
  let m = f32x4.splat(-Infinity), i = 0;
  for (; i + 4 <= n; i += 4, x += 16) m = f32x4.pmax(m, v128.load(x));
  for (; i < n; i++, x += 4) m = f32x4.pmax(m, v128.load32_splat(x));
  m = f32x4.pmax(m, v128.shuffle<f32>(m, m, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(m, v128.shuffle<f32>(m, m, 1, 0, 3, 2)), 0);
}

/** The same of each of `n` columns (1 to 4). */
export function peakColumns(x: usize, count: i32, stride: usize, n: i32): v128 {
  let m = f32x4.splat(-Infinity);
  for (let c = 0; c < count; c++, x += stride) m = f32x4.pmax(m, loadLanes(x, n));
  return m;
}

/** The sum of exp(x - m) over a row; the terms are stored at `y` unless that is 0. */
export function expRow(x: usize, y: usize, n: i32, m: f32): f64 {
  const shift = f32x4.splat(m);
  let sum = f64x2.splat(0);
  for (let i = 0; i < n; i += 4) {
    const offset = <usize>i << 2, lanes = n - i;
    let e = exp(f32x4.sub(loadLanes(x + offset, lanes), shift));
    if (y) storeLanes(y + offset, e, lanes);
    if (lanes < 4) e = keepLanes(e, lanes);
    sum = f64x2.add(sum, widen(e));
  }
  return addLanes(sum);
}

/**
 * The logarithm of sums in 64 bits. What rounding them to floats took away is added again, since it is most of the
 * logarithm where a sum is just above 1, as it is where one class is nearly certain.
 */
@inline function logLanes(s0: v128, s1: v128): v128 {
  const sum = narrow(s0, s1), lost = narrow(f64x2.sub(s0, low(sum)), f64x2.sub(s1, high(sum)));
  return f32x4.add(log(sum), f32x4.div(lost, sum));
}

export function logOf(sum: f64): f32 {
  const s = f64x2.splat(sum);
  return f32x4.extract_lane(logLanes(s, s), 0);
}

/**
 * The sums of exp(x - m) over each of `n` columns, or their logarithms; unless `y` is 0 the terms are stored there.
 * Inline, because the compiler warns of exported functions that take vectors.
 */
@inline export function expColumns(x: usize, y: usize, count: i32, stride: usize, n: i32, m: v128, asLog: bool): v128 {
  let s0 = f64x2.splat(0), s1 = s0;
  for (let c = 0; c < count; c++, x += stride) {
    const e = exp(f32x4.sub(loadLanes(x, n), m));
    if (y) {
      storeLanes(y, e, n);
      y += stride;
    }
    s0 = f64x2.add(s0, low(e));
    s1 = f64x2.add(s1, high(e));
  }
  return asLog ? logLanes(s0, s1) : narrow(s0, s1);
}

@inline function logFinish(x: usize, y: usize, m: v128, logSum: v128, n: i32): void {
  storeLanes(y, f32x4.sub(f32x4.sub(loadLanes(x, n), m), logSum), n);
}

function softmaxRow(x: usize, y: usize, n: i32, asLog: bool): void {
  const m = peakRow(x, n), sum = expRow(x, asLog ? 0 : y, n, m);
  if (asLog) {
    const shift = f32x4.splat(m), logSum = f32x4.splat(logOf(sum));
    for (let i = 0; i < n; i += 4, x += 16, y += 16) logFinish(x, y, shift, logSum, n - i);
  } else {
    const divisor = f32x4.splat(<f32>sum);
    for (let i = 0; i < n; i += 4, y += 16) storeLanes(y, f32x4.div(loadLanes(y, n - i), divisor), n - i);
  }
}

function softmaxColumns(x: usize, y: usize, count: i32, stride: usize, n: i32, asLog: bool): void {
  const m = peakColumns(x, count, stride, n), sum = expColumns(x, asLog ? 0 : y, count, stride, n, m, asLog);
  if (asLog) for (let c = 0; c < count; c++, x += stride, y += stride) logFinish(x, y, m, sum, n);
  else for (let c = 0; c < count; c++, y += stride) storeLanes(y, f32x4.div(loadLanes(y, n), sum), n);
}

export function softmax(a: Softmax, from: i32, to: i32): void {
  const count = a.count, inner = a.inner, asLog = a.log != 0;
  for (let o = from; o < to; o++) {
    const offset = <usize>(o * count * inner) << 2, x = a.x + offset, y = a.y + offset;
    if (inner == 1) softmaxRow(x, y, count, asLog);
    else {
      for (let i = 0; i < inner; i += 4) {
        softmaxColumns(x + (<usize>i << 2), y + (<usize>i << 2), count, <usize>inner << 2, min(4, inner - i), asLog);
      }
    }
  }
}

// softmax: dx = y (dy - sum(y dy)); log-softmax: dx = dy - exp(y) sum(dy).
@inline function backwardLanes(y: v128, dy: v128, sum: v128, asLog: bool): v128 {
  return asLog ? f32x4.sub(dy, f32x4.mul(exp(y), sum)) : f32x4.mul(y, f32x4.sub(dy, sum));
}

function backwardRow(y: usize, dy: usize, dx: usize, n: i32, asLog: bool): void {
  const sum = f32x4.splat(<f32>(asLog ? sumRow(dy, n) : dotRow(y, dy, n)));
  for (let i = 0; i < n; i += 4) {
    const offset = <usize>i << 2, lanes = n - i;
    storeLanes(dx + offset, backwardLanes(loadLanes(y + offset, lanes), loadLanes(dy + offset, lanes), sum, asLog), lanes);
  }
}

function backwardColumns(y: usize, dy: usize, dx: usize, count: i32, stride: usize, n: i32, asLog: bool): void {
  let s0 = f64x2.splat(0), s1 = s0;
  const end = <usize>count * stride, one = f32x4.splat(1);
  for (let offset: usize = 0; offset < end; offset += stride) {
    const factor = asLog ? one : loadLanes(y + offset, n), v = loadLanes(dy + offset, n);
    s0 = f64x2.add(s0, f64x2.mul(low(factor), low(v)));
    s1 = f64x2.add(s1, f64x2.mul(high(factor), high(v)));
  }
  const sum = narrow(s0, s1);
  for (let offset: usize = 0; offset < end; offset += stride) {
    storeLanes(dx + offset, backwardLanes(loadLanes(y + offset, n), loadLanes(dy + offset, n), sum, asLog), n);
  }
}

export function softmaxBackward(a: SoftmaxBackward, from: i32, to: i32): void {
  const count = a.count, inner = a.inner, asLog = a.log != 0;
  for (let o = from; o < to; o++) {
    const offset = <usize>(o * count * inner) << 2;
    if (inner == 1) backwardRow(a.y + offset, a.dy + offset, a.dx + offset, count, asLog);
    else {
      for (let i = 0; i < inner; i += 4) {
        const p = offset + (<usize>i << 2);
        backwardColumns(a.y + p, a.dy + p, a.dx + p, count, <usize>inner << 2, min(4, inner - i), asLog);
      }
    }
  }
}
