import type { Args, NumericArray } from "./arrays.js";

/** Visits the finite values of a unit of x [groups, units, inner] in the order of memory. */
function forEachFinite(
  x: NumericArray,
  { groups, units, inner }: { groups: number; units: number; inner: number },
  unit: number,
  visit: (v: number) => void,
): void {
  for (let g = 0; g < groups; g++) {
    const start = (g * units + unit) * inner;
    for (let i = start; i < start + inner; i++) if (Number.isFinite(x[i]!)) visit(x[i]!);
  }
}

/**
 * moments [6, units] of the finite values of each unit: their number, mean, biased variance, third central moment, smallest and
 * largest. All but the number are NaN where there is no such value. Sums are of differences from the first value, so that the
 * mean of a constant is that constant, and its variance 0, exactly.
 */
export function finiteMoments(a: Args<"finiteMoments">): void {
  const { x, moments, units } = a;
  for (let unit = 0; unit < units; unit++) {
    let [n, origin, sum, least, most] = [0, 0, 0, Infinity, -Infinity];
    forEachFinite(x, a, unit, (v) => {
      if (n === 0) origin = v;
      n++;
      sum += v - origin;
      if (v < least) least = v;
      if (v > most) most = v;
    });
    const mean = origin + sum / n;
    let [squares, cubes] = [0, 0];
    forEachFinite(x, a, unit, (v) => {
      const d = v - mean;
      squares += d * d;
      cubes += d * d * d;
    });
    const row = [n, mean, squares / n, cubes / n, n > 0 ? least : NaN, n > 0 ? most : NaN];
    for (const [i, value] of row.entries()) moments[i * units + unit] = value;
  }
}

/**
 * y [units, count], float64: the percentiles `percents` [count] of the finite values of each unit, from 0 (the smallest) to 100
 * (the largest), between neighbours by linear interpolation: position (n − 1)·p/100 in the sorted values (definition 7 of
 * Hyndman & Fan 1996, "Sample quantiles in statistical packages"). NaN where there is no such value.
 */
export function percentiles(a: Args<"percentiles">): void {
  const { x, percents, y, units, count } = a;
  for (let unit = 0; unit < units; unit++) {
    const values: number[] = [];
    forEachFinite(x, a, unit, (v) => void values.push(v));
    const sorted = Float64Array.from(values).sort();
    for (let i = 0; i < count; i++) y[unit * count + i] = between(sorted, percents[i]!);
  }
}

function between(sorted: Float64Array, percent: number): number {
  const last = sorted.length - 1;
  if (last < 0) return Number.NaN;
  const position = last * (percent / 100);
  const below = Math.min(Math.floor(position), last);
  const t = position - below;
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, last)]!];
  // From the nearer neighbour, so that the last value is met exactly.
  return t < 0.5 ? low + (high - low) * t : high - (high - low) * (1 - t);
}

/**
 * counts [units, bins + 3], int32: how many values of each unit lie in each of `bins` equal bins from `low` to `high`, then how
 * many lie below, above, and are not finite. A bin has its lower edge, low + i·((high − low)/bins), and the last bin both.
 */
export function histogram({ x, counts, groups, units, inner, bins, low, high }: Args<"histogram">): void {
  const edge = (i: number): number => (i >= bins ? high : low + i * ((high - low) / bins));
  const binOf = (v: number): number => {
    if (!Number.isFinite(v)) return bins + 2;
    if (v < low) return bins;
    if (v > high) return bins + 1;
    let i = Math.min(Math.floor(((v - low) / (high - low)) * bins), bins - 1);
    while (i > 0 && v < edge(i)) i--;
    while (i < bins - 1 && v >= edge(i + 1)) i++;
    return i;
  };
  counts.fill(0);
  for (let i = 0; i < groups * units * inner; i++) {
    const unit = Math.floor(i / inner) % units;
    counts[unit * (bins + 3) + binOf(x[i]!)]!++;
  }
}
