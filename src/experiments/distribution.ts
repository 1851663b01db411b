import { type Distribution, finiteOrNull } from "./record.js";

/** Bins of a histogram. */
const BINS = 80;

/** Quantile of sorted values, between neighbours by linear interpolation; NaN of none. */
export function quantile(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (at - below) * (sorted[above]! - sorted[below]!);
}

/** Mean and (population) standard deviation; NaN of none. */
export function moments(values: Float64Array): { mean: number; std: number } {
  let sum = 0;
  for (const v of values) sum += v;
  const mean = sum / values.length;
  let squares = 0;
  for (const v of values) squares += (v - mean) ** 2;
  return { mean, std: Math.sqrt(squares / values.length) };
}

function histogram(sorted: Float64Array, nonFinite: number): Distribution["histogram"] {
  const low = sorted[0] ?? -1;
  const high = sorted[sorted.length - 1] ?? 1;
  // Values that are all the same get one bin's width around them.
  const pad = high > low ? 0 : Math.max(1e-6, Math.abs(low) * 1e-3);
  const start = low - pad;
  const width = (high + pad - start) / BINS;
  const counts = new Array<number>(BINS).fill(0);
  for (const v of sorted) counts[Math.min(BINS - 1, Math.floor((v - start) / width))]!++;
  return { edges: Array.from({ length: BINS + 1 }, (_, i) => start + i * width), counts, nonFinite };
}

/**
 * What `values`, row-major [examples, units], look like: all units pooled, and each unit alone.
 */
export function describeUnits(values: ArrayLike<number>, units: number): Distribution {
  const finite = Float64Array.from(Array.from(values).filter(Number.isFinite)).sort();
  const at = (q: number) => finiteOrNull(quantile(finite, q));
  const pooled = moments(finite);
  const rows = values.length / units;
  const each: Distribution["units"] = { mean: [], std: [], p15: [], p50: [], p85: [] };
  for (let u = 0; u < units; u++) {
    const own = Float64Array.from({ length: rows }, (_, row) => values[row * units + u]!).sort();
    const { mean, std } = moments(own);
    each.mean.push(finiteOrNull(mean));
    each.std.push(finiteOrNull(std));
    each.p15.push(finiteOrNull(quantile(own, 0.15)));
    each.p50.push(finiteOrNull(quantile(own, 0.5)));
    each.p85.push(finiteOrNull(quantile(own, 0.85)));
  }
  return {
    histogram: histogram(finite, values.length - finite.length),
    percentiles: { p5: at(0.05), p15: at(0.15), p50: at(0.5), p85: at(0.85), p95: at(0.95) },
    mean: finiteOrNull(pooled.mean),
    std: finiteOrNull(pooled.std),
    units: each,
  };
}
