// Reductions over the middle axis of [outer, count, inner], and sums of [n, c, s] by channel. Sums are kept in 64 bits.
import { Argmax, Reduce, SumChannels } from "./generated";
import { high, loadLanes, low, narrow, storeLanes } from "./lanes";
import { extreme, maxRow, minRow, startOf, sumRow } from "./row-sums";

// Indices of `reduceOps`.
@inline const SUM: i32 = 0;
@inline const MEAN: i32 = 1;
@inline const MAX: i32 = 2;

/**
 * Steps of the axis that are summed on their own before they join the total; also in src/engine/wasm/schedule.ts. They
 * are the same with one phase and with two, so that a sum has the same bits whatever else is summed beside it.
 */
@inline const PART: i32 = 16384;

/** Whether the parts are computed by the first phase and joined by the second. */
@inline function hasParts(a: Reduce): bool {
  return a.scratch != 0 && a.count > PART && a.outer * a.inner < 64;
}

function partsOf(a: Reduce): i32 {
  return (a.count + PART - 1) / PART;
}

function sumParts(x: usize, n: i32): f64 {
  let total: f64 = 0;
  for (let i = 0; i < n; i += PART) total += sumRow(x + (<usize>i << 2), min(PART, n - i));
  return total;
}

/** The sum (also for the mean) or the extreme of one row. */
function reduceRow(x: usize, n: i32, op: i32): f64 {
  if (op <= MEAN) return sumParts(x, n);
  return op == MAX ? maxRow(x, n) : minRow(x, n);
}

// Results go out either as 64-bit partial results (`wide`) or, divided, as floats.
@inline function storeSums(y: usize, s0: v128, s1: v128, n: i32, wide: bool, divisor: f64): void {
  if (!wide) {
    const d = f64x2.splat(divisor);
    storeLanes(y, narrow(f64x2.div(s0, d), f64x2.div(s1, d)), n);
    return;
  }
  v128.store_lane<f64>(y, s0, 0);
  if (n > 1) v128.store_lane<f64>(y, s0, 1, 8);
  if (n > 2) v128.store_lane<f64>(y, s1, 0, 16);
  if (n > 3) v128.store_lane<f64>(y, s1, 1, 24);
}

/** Sums of 16 columns: a whole cache line of every row. */
function sumColumns16(x: usize, rows: i32, stride: usize, y: usize, wide: bool, divisor: f64): void {
  const zero = f64x2.splat(0);
  let t0 = zero, t1 = zero, t2 = zero, t3 = zero, t4 = zero, t5 = zero, t6 = zero, t7 = zero;
  for (let part = 0; part < rows; part += PART) {
    let s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero;
    for (let r = min(PART, rows - part); r > 0; r--, x += stride) {
      const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
      s0 = f64x2.add(s0, low(a));
      s1 = f64x2.add(s1, high(a));
      s2 = f64x2.add(s2, low(b));
      s3 = f64x2.add(s3, high(b));
      s4 = f64x2.add(s4, low(c));
      s5 = f64x2.add(s5, high(c));
      s6 = f64x2.add(s6, low(d));
      s7 = f64x2.add(s7, high(d));
    }
    t0 = f64x2.add(t0, s0);
    t1 = f64x2.add(t1, s1);
    t2 = f64x2.add(t2, s2);
    t3 = f64x2.add(t3, s3);
    t4 = f64x2.add(t4, s4);
    t5 = f64x2.add(t5, s5);
    t6 = f64x2.add(t6, s6);
    t7 = f64x2.add(t7, s7);
  }
  const step: usize = wide ? 32 : 16;
  storeSums(y, t0, t1, 4, wide, divisor);
  storeSums(y + step, t2, t3, 4, wide, divisor);
  storeSums(y + 2 * step, t4, t5, 4, wide, divisor);
  storeSums(y + 3 * step, t6, t7, 4, wide, divisor);
}

/** Sums of up to four columns. */
function sumColumns4(x: usize, rows: i32, stride: usize, n: i32, y: usize, wide: bool, divisor: f64): void {
  let t0 = f64x2.splat(0), t1 = t0;
  for (let part = 0; part < rows; part += PART) {
    let s0 = f64x2.splat(0), s1 = s0;
    for (let r = min(PART, rows - part); r > 0; r--, x += stride) {
      const v = loadLanes(x, n);
      s0 = f64x2.add(s0, low(v));
      s1 = f64x2.add(s1, high(v));
    }
    t0 = f64x2.add(t0, s0);
    t1 = f64x2.add(t1, s1);
  }
  storeSums(y, t0, t1, n, wide, divisor);
}

/** Sums of `columns` neighbouring columns; the rows are `stride` bytes apart. */
function sumColumns(x: usize, rows: i32, stride: usize, columns: i32, y: usize, wide: bool, divisor: f64): void {
  const size: usize = wide ? 8 : 4;
  let i = 0;
  for (; i + 16 <= columns; i += 16) sumColumns16(x + (<usize>i << 2), rows, stride, y + <usize>i * size, wide, divisor);
  for (; i < columns; i += 4) {
    sumColumns4(x + (<usize>i << 2), rows, stride, min(4, columns - i), y + <usize>i * size, wide, divisor);
  }
}

@inline function extremeColumns(x: usize, rows: i32, columns: i32, y: usize, wide: bool, largest: bool): void {
  const stride = <usize>columns << 2;
  for (let i = 0; i < columns; i += 4, x += 16) {
    const n = min(4, columns - i);
    let m = f32x4.splat(startOf(largest));
    let p = x;
    for (let r = 0; r < rows; r++, p += stride) m = extreme(m, loadLanes(p, n), largest);
    if (wide) storeSums(y + (<usize>i << 3), low(m), high(m), n, true, 1);
    else storeLanes(y + (<usize>i << 2), m, n);
  }
}

function reduceColumns(x: usize, rows: i32, columns: i32, op: i32, y: usize, wide: bool): void {
  const divisor: f64 = op == MEAN ? <f64>rows : 1;
  if (op <= MEAN) sumColumns(x, rows, <usize>columns << 2, columns, y, wide, divisor);
  else if (op == MAX) extremeColumns(x, rows, columns, y, wide, true);
  else extremeColumns(x, rows, columns, y, wide, false);
}

/** Partial results [outer, parts, inner] in 64 bits; a unit is one part of one outer index. */
export function reducePart(a: Reduce, from: i32, to: i32): void {
  const parts = partsOf(a), inner = a.inner;
  for (let unit = from; unit < to; unit++) {
    const start = (unit % parts) * PART, steps = min(PART, a.count - start);
    const x = a.x + (<usize>((unit / parts * a.count + start) * inner) << 2);
    const partial = a.scratch + (<usize>(unit * inner) << 3);
    if (inner == 1) store<f64>(partial, reduceRow(x, steps, a.op));
    // Only the second phase divides: a part is a sum also for the mean.
    else reduceColumns(x, steps, inner, a.op == MEAN ? SUM : a.op, partial, true);
  }
}

function joinParts(partial: usize, parts: i32, stride: usize, op: i32): f64 {
  let total = op <= MEAN ? 0 : load<f64>(partial);
  for (let i = 0; i < parts; i++, partial += stride) {
    const value = load<f64>(partial);
    total = op <= MEAN ? total + value : op == MAX ? max(total, value) : min(total, value);
  }
  return total;
}

/** A unit is one outer index. */
export function reduce(a: Reduce, from: i32, to: i32): void {
  const inner = a.inner, parts = partsOf(a), divisor: f64 = a.op == MEAN ? <f64>a.count : 1;
  for (let o = from; o < to; o++) {
    const y = a.y + (<usize>(o * inner) << 2), x = a.x + (<usize>(o * a.count * inner) << 2);
    if (hasParts(a)) {
      for (let i = 0; i < inner; i++) {
        const partial = a.scratch + (<usize>(o * parts * inner + i) << 3);
        store<f32>(y + (<usize>i << 2), <f32>(joinParts(partial, parts, <usize>inner << 3, a.op) / divisor));
      }
    } else if (inner == 1) store<f32>(y, <f32>(reduceRow(x, a.count, a.op) / divisor));
    else reduceColumns(x, a.count, inner, a.op, y, false);
  }
}

/** The first index of the largest element, or of the first NaN. */
function argmaxRow(x: usize, n: i32): i32 {
  const m = maxRow(x, n);
  for (let i = 0; i < n; i++, x += 4) {
    const v = load<f32>(x);
    if (v == m || v != v) return i;
  }
  return 0;
}

function argmaxColumns(x: usize, rows: i32, stride: usize, n: i32): v128 {
  let best = loadLanes(x, n), index = i32x4.splat(0);
  for (let r = 1; r < rows; r++) {
    x += stride;
    const v = loadLanes(x, n);
    const better = v128.or(f32x4.gt(v, best), v128.and(f32x4.ne(v, v), f32x4.eq(best, best)));
    best = v128.bitselect(v, best, better);
    index = v128.bitselect(i32x4.splat(r), index, better);
  }
  return index;
}

/** A unit is one outer index; y is int32. */
export function argmax(a: Argmax, from: i32, to: i32): void {
  const inner = a.inner;
  for (let o = from; o < to; o++) {
    const x = a.x + (<usize>(o * a.count * inner) << 2), y = a.y + (<usize>(o * inner) << 2);
    if (inner == 1) store<i32>(y, argmaxRow(x, a.count));
    else {
      for (let i = 0; i < inner; i += 4) {
        const n = min(4, inner - i), offset = <usize>i << 2;
        storeLanes(y + offset, argmaxColumns(x + offset, a.count, <usize>inner << 2, n), n);
      }
    }
  }
}

/** [n, c, s] to [c]; a unit is one channel. */
export function sumChannels(a: SumChannels, from: i32, to: i32): void {
  const c = a.c, s = a.s;
  if (s == 1) {
    sumColumns(a.x + (<usize>from << 2), a.n, <usize>c << 2, to - from, a.y + (<usize>from << 2), false, 1);
    return;
  }
  for (let channel = from; channel < to; channel++) {
    let total: f64 = 0;
    for (let i = 0; i < a.n; i++) total += sumRow(a.x + (<usize>((i * c + channel) * s) << 2), s);
    store<f32>(a.y + (<usize>channel << 2), <f32>total);
  }
}
