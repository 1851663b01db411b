// Layer, group, instance and RMS normalization: each row of x [rows, c, s] is normalized over its own c · s values; weight and
// bias are [groups, c], row r takes part r % groups. A row's y and dx depend on that row alone.
//
// A block of a row fits the L1 cache and is read twice: its mean comes from float64 sums, so that it is right to the last digit
// at any offset and exact for a constant row; squares of deviations are float32 within a block and float64 between blocks.
import { RowNorm, RowNormBackward } from "./generated";
import { addLanes, high, keepLanes, loadLanes, low, storeLanes, widen } from "./lanes";
import { dotRow, sumRow } from "./row-sums";
import { workspace } from "./runtime";

/** Values of a row in one block. */
@inline const BLOCK: i32 = 1024;
/** Elements of the rows whose columns are summed together: they and their dy come from the L2 cache. */
@inline const TILE: i32 = 32768;
/** Most rows of such a tile: few enough that float32 sums keep their digits. */
@inline const ROWS: i32 = 64;

// Results of the loops over a row.
let first: f64 = 0;
let second: f64 = 0;

@inline function at(base: usize, i: i32): usize { return base + (<usize>i << 2); }
@inline function isFinite64(x: f64): bool { return x - x == 0; }
@inline function deviation(x: v128, hi: v128, lo: v128): v128 { return f32x4.sub(f32x4.sub(x, hi), lo); }

// A vector of equal factors and one of equal summands, in the workspace, stand in for weight and bias where these are null
// or the same for a whole run: they are read with step 0.
@inline function ones(): usize { return workspace; }
@inline function zeros(): usize { return workspace + 16; }
function setConstants(weight: f32, bias: f32): void {
  v128.store(ones(), f32x4.splat(weight));
  v128.store(zeros(), f32x4.splat(bias));
}

// ---- statistics ----------------------------------------------------------------------------------------------------

/** Σ (x − mean)² of one block. */
function squaresAround(x: usize, n: i32, mean: f64): f64 {
  const center = <f32>mean, mid = f32x4.splat(center), end = at(x, n), blocks = at(x, n & ~15);
  let q0 = f32x4.splat(0), q1 = q0, q2 = q0, q3 = q0;
  for (; x < blocks; x += 64) {
    const a = f32x4.sub(v128.load(x), mid), b = f32x4.sub(v128.load(x, 16), mid);
    const c = f32x4.sub(v128.load(x, 32), mid), d = f32x4.sub(v128.load(x, 48), mid);
    q0 = f32x4.add(q0, f32x4.mul(a, a));
    q1 = f32x4.add(q1, f32x4.mul(b, b));
    q2 = f32x4.add(q2, f32x4.mul(c, c));
    q3 = f32x4.add(q3, f32x4.mul(d, d));
  }
  for (; x < end; x += 16) {
    const lanes = <i32>((end - x) >> 2), d = keepLanes(f32x4.sub(loadLanes(x, lanes), mid), min(4, lanes));
    q0 = f32x4.add(q0, f32x4.mul(d, d));
  }
  // The squares are around the rounded mean: that adds n times the square of what rounding moved it by.
  const moved = mean - <f64>center, squares = f64x2.add(f64x2.add(widen(q0), widen(q1)), f64x2.add(widen(q2), widen(q3)));
  return max<f64>(addLanes(squares) - <f64>n * moved * moved, 0);
}

/** Mean and Σ (x − mean)² of a row into `first` and `second`; blocks are joined by the rule of Chan et al. */
function moments(x: usize, n: i32): void {
  let mean: f64 = 0, squares: f64 = 0;
  for (let i = 0; i < n; i += BLOCK) {
    const count = min(BLOCK, n - i), block = at(x, i), own = sumRow(block, count) / <f64>count;
    const delta = own - mean, share = <f64>count / <f64>(i + count);
    mean += delta * share;
    squares += squaresAround(block, count, own) + delta * delta * (<f64>i * share);
  }
  first = mean;
  second = squares;
}

/** Computes and stores the statistics of a row: mean (high and low part) and 1/√(variance + eps), 0 where both are 0. */
function rowStats(a: RowNorm, row: i32, x: usize, n: i32): void {
  if (a.rms) {
    first = 0;
    second = dotRow(x, x, n);
  } else moments(x, n);
  const mean = first, variance = second / <f64>n, hi = <f32>mean;
  store<f32>(at(a.stats, row), hi);
  // An infinite mean has no low part.
  store<f32>(at(a.stats, a.rows + row), isFinite64(mean) ? <f32>(mean - <f64>hi) : 0);
  store<f32>(at(a.stats, 2 * a.rows + row), variance == 0 && a.eps == 0 ? 0 : <f32>(1 / sqrt<f64>(variance + a.eps)));
}

// ---- forward -------------------------------------------------------------------------------------------------------

/** y = (x − mean) · k · weight + bias; `stats` is where the row's mean lies, `wStep` and `bStep` are 16, or 0 for constants. */
function applyRun(
  x: usize, y: usize, n: i32, stats: usize, rows: i32, weight: usize, wStep: usize, bias: usize, bStep: usize,
): void {
  const hi = v128.load32_splat(stats), lo = v128.load32_splat(at(stats, rows)), k = v128.load32_splat(at(stats, 2 * rows));
  const vectors = at(x, n & ~3), rest = n & 3;
  for (; x < vectors; x += 16, y += 16, weight += wStep, bias += bStep) {
    v128.store(y, f32x4.add(f32x4.mul(f32x4.mul(deviation(v128.load(x), hi, lo), k), v128.load(weight)), v128.load(bias)));
  }
  if (rest) {
    const d = f32x4.mul(deviation(loadLanes(x, rest), hi, lo), k);
    storeLanes(y, f32x4.add(f32x4.mul(d, loadLanes(weight, rest)), loadLanes(bias, rest)), rest);
  }
}

/** A unit is one row. */
export function rowNorm(a: RowNorm, from: i32, to: i32): void {
  const c = a.c, s = a.s, n = c * s;
  setConstants(1, 0);
  for (let row = from; row < to; row++) {
    const offset = (<usize>row * <usize>n) << 2, part = (row % a.groups) * c, stats = at(a.stats, row);
    const x = a.x + offset, y = a.y + offset, weight = a.weight ? at(a.weight, part) : 0, bias = a.bias ? at(a.bias, part) : 0;
    rowStats(a, row, x, n);
    if (s == 1) {
      applyRun(x, y, n, stats, a.rows, weight ? weight : ones(), weight ? 16 : 0, bias ? bias : zeros(), bias ? 16 : 0);
      continue;
    }
    for (let j = 0; j < c; j++) {
      setConstants(weight ? load<f32>(at(weight, j)) : 1, bias ? load<f32>(at(bias, j)) : 0);
      applyRun(at(x, j * s), at(y, j * s), s, stats, a.rows, ones(), 0, zeros(), 0);
    }
  }
}

// ---- backward ------------------------------------------------------------------------------------------------------

/** Σ g and Σ g · (x − mean) of a run into `first` and `second`, where g = dy · weight. */
function products(x: usize, toDy: usize, n: i32, hi: v128, lo: v128, weight: usize, step: usize): void {
  let sum: f64 = 0, product: f64 = 0;
  for (let i = 0; i < n; i += BLOCK) {
    const end = at(x, min(BLOCK, n - i)), vectors = at(x, min(BLOCK, n - i) & ~3), pairs = at(x, min(BLOCK, n - i) & ~7);
    let s0 = f32x4.splat(0), s1 = s0, p0 = s0, p1 = s0;
    for (; x < pairs; x += 32, weight += 2 * step) {
      const g = f32x4.mul(v128.load(x + toDy), v128.load(weight));
      const h = f32x4.mul(v128.load(x + toDy, 16), v128.load(weight + step));
      s0 = f32x4.add(s0, g);
      s1 = f32x4.add(s1, h);
      p0 = f32x4.add(p0, f32x4.mul(g, deviation(v128.load(x), hi, lo)));
      p1 = f32x4.add(p1, f32x4.mul(h, deviation(v128.load(x, 16), hi, lo)));
    }
    for (; x < vectors; x += 16, weight += step) {
      const g = f32x4.mul(v128.load(x + toDy), v128.load(weight));
      s0 = f32x4.add(s0, g);
      p0 = f32x4.add(p0, f32x4.mul(g, deviation(v128.load(x), hi, lo)));
    }
    if (x < end) {
      // Lanes past the end hold g = 0.
      const lanes = <i32>((end - x) >> 2), g = f32x4.mul(loadLanes(x + toDy, lanes), loadLanes(weight, lanes));
      s1 = f32x4.add(s1, g);
      p1 = f32x4.add(p1, f32x4.mul(g, keepLanes(deviation(loadLanes(x, lanes), hi, lo), lanes)));
      x = end;
    }
    sum += addLanes(f64x2.add(widen(s0), widen(s1)));
    product += addLanes(f64x2.add(widen(p0), widen(p1)));
  }
  first = sum;
  second = product;
}

/** dx = k · (dy · weight − a − (x − mean) · b) of a run. */
function gradientRun(
  x: usize, toDy: usize, toDx: usize, n: i32, hi: v128, lo: v128, k: v128, a: v128, b: v128, weight: usize, step: usize,
): void {
  const vectors = at(x, n & ~3), rest = n & 3;
  for (; x < vectors; x += 16, weight += step) {
    const g = f32x4.sub(f32x4.mul(v128.load(x + toDy), v128.load(weight)), a);
    v128.store(x + toDx, f32x4.mul(k, f32x4.sub(g, f32x4.mul(deviation(v128.load(x), hi, lo), b))));
  }
  if (rest) {
    const g = f32x4.sub(f32x4.mul(loadLanes(x + toDy, rest), loadLanes(weight, rest)), a);
    storeLanes(x + toDx, f32x4.mul(k, f32x4.sub(g, f32x4.mul(deviation(loadLanes(x, rest), hi, lo), b))), rest);
  }
}

@inline function addAt(p: usize, value: f64): void { store<f64>(p, load<f64>(p) + value); }

/** dx of one row if it is wanted; where s > 1 also what the row adds to the parameters' sums, unless that is 0. */
function rowGradient(a: RowNormBackward, row: i32, sums: usize): void {
  const c = a.c, s = a.s, n = c * s, x = a.x + ((<usize>row * <usize>n) << 2), toDy = a.dy - a.x, toDx = a.dx - a.x;
  const inverse = <f64>load<f32>(at(a.stats, 2 * a.rows + row)), weight = a.weight ? at(a.weight, (row % a.groups) * c) : 0;
  const hi = v128.load32_splat(at(a.stats, row)), lo = v128.load32_splat(at(a.stats, a.rows + row));
  let sum: f64 = 0, product: f64 = 0;
  setConstants(1, 0);
  if (s == 1) {
    products(x, toDy, n, hi, lo, weight ? weight : ones(), weight ? 16 : 0);
    sum = first;
    product = second;
  } else {
    for (let j = 0; j < c; j++) {
      products(at(x, j * s), toDy, s, hi, lo, ones(), 0);
      const w: f64 = weight ? <f64>load<f32>(at(weight, j)) : 1;
      sum += w * first;
      product += w * second;
      if (!sums) continue;
      const own = sums + (<usize>((row % a.groups) * c + j) << 3);
      addAt(own, first);
      addAt(own + (<usize>(a.groups * c) << 3), second * inverse);
    }
  }
  if (!a.dx) return;
  const mean = f32x4.splat(a.rms ? 0 : <f32>(sum / <f64>n)), slope = f32x4.splat(<f32>(product * inverse * inverse / <f64>n));
  const k = f32x4.splat(<f32>inverse);
  if (s == 1) return gradientRun(x, toDy, toDx, n, hi, lo, k, mean, slope, weight ? weight : ones(), weight ? 16 : 0);
  for (let j = 0; j < c; j++) {
    if (weight) setConstants(load<f32>(at(weight, j)), 0);
    gradientRun(at(x, j * s), toDy, toDx, s, hi, lo, k, mean, slope, ones(), 0);
  }
}

/** Adds the first lanes of `v` to sums in 64 bits. */
@inline function addWide(p: usize, v: v128, lanes: i32): void {
  const a = low(v), b = high(v);
  if (lanes >= 4) {
    v128.store(p, f64x2.add(v128.load(p), a));
    v128.store(p, f64x2.add(v128.load(p, 16), b), 16);
    return;
  }
  addAt(p, f64x2.extract_lane(a, 0));
  if (lanes > 1) addAt(p + 8, f64x2.extract_lane(a, 1));
  if (lanes > 2) addAt(p + 16, f64x2.extract_lane(b, 0));
}

/** dy · (x − mean) / √(variance + eps) of up to four columns. */
@inline function share(dy: v128, x: v128, hi: v128, lo: v128, k: v128): v128 {
  return f32x4.mul(dy, f32x4.mul(deviation(x, hi, lo), k));
}

/** Adds Σ dy and Σ dy · x̂ of 16 columns, a cache line of each row; the statistics of successive rows are `step` bytes apart. */
function sumColumns16(
  x: usize, toDy: usize, count: i32, stride: usize, stats: usize, step: usize, rows: i32, dbias: usize, dweight: usize,
): void {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, p0 = s0, p1 = s0, p2 = s0, p3 = s0;
  for (let r = 0; r < count; r++, x += stride, stats += step) {
    const hi = v128.load32_splat(stats), lo = v128.load32_splat(at(stats, rows)), k = v128.load32_splat(at(stats, 2 * rows));
    let dy = v128.load(x + toDy);
    s0 = f32x4.add(s0, dy);
    p0 = f32x4.add(p0, share(dy, v128.load(x), hi, lo, k));
    dy = v128.load(x + toDy, 16);
    s1 = f32x4.add(s1, dy);
    p1 = f32x4.add(p1, share(dy, v128.load(x, 16), hi, lo, k));
    dy = v128.load(x + toDy, 32);
    s2 = f32x4.add(s2, dy);
    p2 = f32x4.add(p2, share(dy, v128.load(x, 32), hi, lo, k));
    dy = v128.load(x + toDy, 48);
    s3 = f32x4.add(s3, dy);
    p3 = f32x4.add(p3, share(dy, v128.load(x, 48), hi, lo, k));
  }
  addWide(dbias, s0, 4);
  addWide(dbias + 32, s1, 4);
  addWide(dbias + 64, s2, 4);
  addWide(dbias + 96, s3, 4);
  addWide(dweight, p0, 4);
  addWide(dweight + 32, p1, 4);
  addWide(dweight + 64, p2, 4);
  addWide(dweight + 96, p3, 4);
}

/** The same of up to four columns. */
function sumColumns4(
  x: usize, toDy: usize, count: i32, stride: usize, stats: usize, step: usize, rows: i32, dbias: usize, dweight: usize,
  lanes: i32,
): void {
  let sum = f32x4.splat(0), product = sum;
  for (let r = 0; r < count; r++, x += stride, stats += step) {
    const hi = v128.load32_splat(stats), lo = v128.load32_splat(at(stats, rows)), k = v128.load32_splat(at(stats, 2 * rows));
    const dy = loadLanes(x + toDy, lanes);
    sum = f32x4.add(sum, dy);
    product = f32x4.add(product, share(dy, loadLanes(x, lanes), hi, lo, k));
  }
  addWide(dbias, sum, lanes);
  addWide(dweight, product, lanes);
}

/** Adds Σ dy and Σ dy · x̂ of each column of `count` rows, from `row` on and `groups` apart, to the parameters' sums; s is 1. */
function columnSums(a: RowNormBackward, row: i32, count: i32, sums: usize): void {
  const c = a.c, rows = a.rows, toDy = a.dy - a.x, stride = <usize>(a.groups * c) << 2, step = <usize>a.groups << 2;
  const stats = at(a.stats, row), toDweight = <usize>(a.groups * c) << 3;
  let x = a.x + ((<usize>row * <usize>c) << 2), own = sums + (<usize>((row % a.groups) * c) << 3), j = 0;
  for (; j + 16 <= c; j += 16, x += 64, own += 128) {
    sumColumns16(x, toDy, count, stride, stats, step, rows, own, own + toDweight);
  }
  for (; j < c; j += 4, x += 16, own += 32) sumColumns4(x, toDy, count, stride, stats, step, rows, own, own + toDweight, c - j);
}

// How the work is cut, by shape alone; also in src/engine/wasm/schedule.ts.

/** Neighbouring groups of a unit: their rows of one example lie side by side, enough of them to be read at full speed. */
function groupsOfUnit(a: RowNormBackward): i32 {
  return min(a.groups, max(1, TILE / max(1, a.c * a.s)));
}

/** Rows of each group in a part. */
function rowsOfPart(a: RowNormBackward): i32 {
  const size = max(1, a.c * a.s * groupsOfUnit(a));
  return max((a.rows / a.groups + 63) / 64, (8192 + size - 1) / size);
}

/**
 * dx, and the sums of each part for the gradients of the parameters, in 64 bits: scratch is [parts, 2, groups · c], first
 * towards the bias. A unit is some groups in one part.
 */
export function rowNormBackward(a: RowNormBackward, from: i32, to: i32): void {
  const groups = a.groups, c = a.c, width = groupsOfUnit(a), part = rowsOfPart(a), units = (groups + width - 1) / width;
  const tile = max(1, min(ROWS, TILE / max(1, c * width))), channels = groups * c, wanted = (a.dweight | a.dbias) != 0;
  for (let unit = from; unit < to; unit++) {
    const g0 = (unit % units) * width, g1 = min(groups, g0 + width), begin = (unit / units) * part;
    const end = min(a.rows / groups, begin + part), sums = a.scratch + (<usize>((unit / units) * 2 * channels) << 3);
    if (wanted) {
      const own = sums + (<usize>(g0 * c) << 3), bytes = <usize>((g1 - g0) * c) << 3;
      memory.fill(own, 0, bytes);
      memory.fill(own + (<usize>channels << 3), 0, bytes);
    }
    for (let i = begin; i < end; i += tile) {
      const stop = min(end, i + tile);
      if (a.s > 1 || a.dx) {
        for (let r = i; r < stop; r++) for (let g = g0; g < g1; g++) rowGradient(a, r * groups + g, wanted ? sums : 0);
      }
      if (a.s == 1 && wanted) for (let g = g0; g < g1; g++) columnSums(a, i * groups + g, stop - i, sums);
    }
  }
}

/** Joins the parts in order; a unit is one value of dweight and of dbias. */
export function rowNormParameters(a: RowNormBackward, from: i32, to: i32): void {
  const channels = a.groups * a.c, perGroup = a.rows / a.groups, part = rowsOfPart(a);
  const parts = a.s > 0 ? (perGroup + part - 1) / part : 0, step = <usize>channels << 4;
  for (let channel = from; channel < to; channel++) {
    let dbias: f64 = 0, dweight: f64 = 0, p = a.scratch + (<usize>channel << 3);
    for (let i = 0; i < parts; i++, p += step) {
      dbias += load<f64>(p);
      dweight += load<f64>(p + (step >> 1));
    }
    if (a.dbias) store<f32>(at(a.dbias, channel), <f32>dbias);
    if (a.dweight) store<f32>(at(a.dweight, channel), <f32>dweight);
  }
}
