// How the values of x [groups, units, inner] are distributed, unit by unit; what is not finite is left out. All in float64 and in
// the order of memory, so that results are those of src/engine/reference/distribution.ts to the last bit.
import { at } from "./channels";
import { FiniteMoments, Histogram, Percentiles } from "./generated";
import { workspace } from "./runtime";

/** Values of a unit that are sorted in the workspace, which takes them twice; also in src/engine/wasm/schedule.ts. */
const IN_WORKSPACE: i32 = 64000;
/** Bytes of the counters of four digits, at the start of the workspace. */
const COUNTERS: usize = 4096;

@inline function f64at(base: usize, i: i32): usize { return base + ((<usize>i) << 3); }
@inline function isFinite32(x: f32): bool { return x - x == 0; }
/** The run of values that a unit has in a group. */
@inline function runOf(x: usize, group: i32, unit: i32, units: i32, inner: i32): usize {
  return x + (((<usize>group) * (<usize>units) + <usize>unit) * (<usize>inner) << 2);
}

/** Unit: a unit. Rows of moments [6, units]: number, mean, variance, third central moment, smallest, largest; NaN of no values. */
export function finiteMoments(a: FiniteMoments, from: i32, to: i32): void {
  for (let unit = from; unit < to; unit++) {
    let n: f64 = 0, origin: f64 = 0, sum: f64 = 0, least: f64 = Infinity, most: f64 = -Infinity;
    for (let g = 0; g < a.groups; g++) {
      let p = runOf(a.x, g, unit, a.units, a.inner);
      for (const end = at(p, a.inner); p < end; p += 4) {
        const v = <f64>load<f32>(p);
        if (v - v != 0) continue;
        if (n == 0) origin = v;
        n += 1;
        sum += v - origin;
        if (v < least) least = v;
        if (v > most) most = v;
      }
    }
    const mean = origin + sum / n;
    let squares: f64 = 0, cubes: f64 = 0;
    for (let g = 0; g < a.groups; g++) {
      let p = runOf(a.x, g, unit, a.units, a.inner);
      for (const end = at(p, a.inner); p < end; p += 4) {
        const v = <f64>load<f32>(p);
        if (v - v != 0) continue;
        const d = v - mean, square = d * d;
        squares += square;
        cubes += square * d;
      }
    }
    store<f64>(f64at(a.moments, unit), n);
    store<f64>(f64at(a.moments, a.units + unit), mean);
    store<f64>(f64at(a.moments, 2 * a.units + unit), squares / n);
    store<f64>(f64at(a.moments, 3 * a.units + unit), cubes / n);
    store<f64>(f64at(a.moments, 4 * a.units + unit), n > 0 ? least : NaN);
    store<f64>(f64at(a.moments, 5 * a.units + unit), n > 0 ? most : NaN);
  }
}

/** Unsigned integers in the order of the floats they are made of; −0 before 0. */
@inline function keyOf(bits: u32): u32 { return bits ^ (<u32>(<i32>bits >> 31) | 0x80000000); }
@inline function valueOf(key: u32): f64 {
  return <f64>reinterpret<f32>(key ^ (key & 0x80000000 ? 0x80000000 : 0xffffffff));
}

/** The keys of a unit's finite values, and how often each value of each of their four digits is there; returns their number. */
function collect(a: Percentiles, unit: i32, keys: usize, counters: usize): i32 {
  memory.fill(counters, 0, COUNTERS);
  let q = keys;
  for (let g = 0; g < a.groups; g++) {
    let p = runOf(a.x, g, unit, a.units, a.inner);
    for (const end = at(p, a.inner); p < end; p += 4) {
      if (!isFinite32(load<f32>(p))) continue;
      const key = keyOf(load<u32>(p));
      store<u32>(q, key);
      q += 4;
      for (let digit = 0, rest = key; digit < 4; digit++, rest >>= 8) {
        const counter = at(counters, (digit << 8) | <i32>(rest & 255));
        store<i32>(counter, load<i32>(counter) + 1);
      }
    }
  }
  return <i32>((q - keys) >> 2);
}

/** Sorts n keys by one digit after the other, from the lowest; they are moved to `spare` and back. Returns where they are. */
function sort(keys: usize, spare: usize, n: i32, counters: usize): usize {
  for (let digit = 0; digit < 4; digit++) {
    const own = at(counters, digit << 8), shift = digit << 3;
    // A digit that is the same in all keys.
    if (load<i32>(at(own, <i32>((load<u32>(keys) >> shift) & 255))) == n) continue;
    for (let i = 0, start = 0; i < 256; i++) {
      const count = load<i32>(at(own, i));
      store<i32>(at(own, i), start);
      start += count;
    }
    for (let p = keys, end = at(keys, n); p < end; p += 4) {
      const key = load<u32>(p), place = at(own, <i32>((key >> shift) & 255)), i = load<i32>(place);
      store<i32>(place, i + 1);
      store<u32>(at(spare, i), key);
    }
    const moved = spare;
    spare = keys;
    keys = moved;
  }
  return keys;
}

/** Between two neighbours in the sorted keys; from the nearer one, so that the last value is met exactly. */
function percentile(keys: usize, n: i32, percent: f64): f64 {
  const position = (<f64>(n - 1)) * (percent / 100), below = min(<i32>position, n - 1), t = position - <f64>below;
  const low = valueOf(load<u32>(at(keys, below))), high = valueOf(load<u32>(at(keys, min(below + 1, n - 1)))), d = high - low;
  return t < 0.5 ? low + d * t : high - d * (1 - t);
}

/** Unit: a unit. y is [units, count]; NaN of no values. */
export function percentiles(a: Percentiles, from: i32, to: i32): void {
  const size = a.groups * a.inner, counters = workspace;
  for (let unit = from; unit < to; unit++) {
    const place = size <= IN_WORKSPACE ? workspace + COUNTERS : a.scratch + (<usize>unit * <usize>size << 3);
    const n = collect(a, unit, place, counters), keys = n > 0 ? sort(place, at(place, size), n, counters) : place;
    for (let i = 0; i < a.count; i++) {
      store<f64>(f64at(a.y, unit * a.count + i), n > 0 ? percentile(keys, n, load<f64>(f64at(a.percents, i))) : NaN);
    }
  }
}

@inline function edge(a: Histogram, i: i32): f64 {
  return i >= a.bins ? a.high : a.low + <f64>i * ((a.high - a.low) / <f64>a.bins);
}

/** Which counter of a unit a value belongs to: a bin, or those behind them for what lies below, above, or is not finite. */
@inline function binOf(a: Histogram, v: f64): i32 {
  if (v - v != 0) return a.bins + 2;
  if (v < a.low) return a.bins;
  if (v > a.high) return a.bins + 1;
  // The quotient may be rounded over an edge.
  let i = min(<i32>((v - a.low) / (a.high - a.low) * <f64>a.bins), a.bins - 1);
  while (i > 0 && v < edge(a, i)) i--;
  while (i < a.bins - 1 && v >= edge(a, i + 1)) i++;
  return i;
}

/** Unit: a unit. counts is [units, bins + 3]. */
export function histogram(a: Histogram, from: i32, to: i32): void {
  for (let unit = from; unit < to; unit++) {
    const own = at(a.counts, unit * (a.bins + 3));
    memory.fill(own, 0, (<usize>(a.bins + 3)) << 2);
    for (let g = 0; g < a.groups; g++) {
      let p = runOf(a.x, g, unit, a.units, a.inner);
      for (const end = at(p, a.inner); p < end; p += 4) {
        const counter = at(own, binOf(a, <f64>load<f32>(p)));
        store<i32>(counter, load<i32>(counter) + 1);
      }
    }
  }
}
