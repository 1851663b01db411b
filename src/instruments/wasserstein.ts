import { OptionError } from "../core/errors.js";
import { Tensor } from "../tensor/tensor.js";
import type { Histogram } from "./histogram.js";
import { refuseInRecording } from "./measure.js";

/** Values of which a distribution consists, each with the same weight. */
export type Sample = Tensor | ArrayLike<number>;

/**
 * The Wasserstein distance of order 1 between two distributions on the line, ∫|F − G|: how far their values must be moved on
 * average, in the unit of the values, to make one of the other.
 *
 * Of two samples it is exact, of any sizes; they are read and sorted in JavaScript. Of two histograms it is exact for values that
 * are spread evenly in their bins, so off by at most half a bin's width each; edges need not be the same.
 *
 * @throws OptionError if there is no value, one is not finite, a histogram has values outside its range, or a sample is compared
 * with a histogram; RecordingError in a recorded step
 * @example
 * wasserstein1(before, after) / describe(before).pooled.std; // in σ
 * @see Ramdas, García Trillos & Cuturi 2017, "On Wasserstein two-sample testing and related families of nonparametric tests"
 */
export function wasserstein1(a: Sample, b: Sample): number;
export function wasserstein1(a: Histogram, b: Histogram): number;
export function wasserstein1(a: Sample | Histogram, b: Sample | Histogram): number {
  if (isHistogram(a) && isHistogram(b)) return betweenHistograms(a, b);
  if (isHistogram(a) || isHistogram(b)) {
    throw new OptionError("wasserstein1: expected two samples or two histograms, got one of each: take a histogram of both.");
  }
  return betweenSamples(sortedValues(a), sortedValues(b));
}

const isHistogram = (x: Sample | Histogram): x is Histogram => "edges" in x;

function sortedValues(sample: Sample): Float64Array {
  if (sample instanceof Tensor) refuseInRecording("wasserstein1");
  const values = Float64Array.from(sample instanceof Tensor ? sample.data() : sample);
  const wrong = values.find((v) => !Number.isFinite(v));
  if (values.length === 0 || wrong !== undefined) {
    throw new OptionError(`wasserstein1: expected a sample of finite values, got ${wrong ?? "none at all"}.`);
  }
  return values.sort();
}

function betweenSamples(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  if (a.length === b.length) {
    for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
    return sum / a.length;
  }
  // As areas between the quantile functions: between two levels where one of them steps, both are constant.
  let level = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [endA, endB] = [(i + 1) * b.length, (j + 1) * a.length];
    const end = Math.min(endA, endB);
    sum += Math.abs(a[i]! - b[j]!) * (end - level);
    level = end;
    if (endA === end) i++;
    if (endB === end) j++;
  }
  return sum / a.length / b.length;
}

function betweenHistograms(p: Histogram, q: Histogram): number {
  for (const { counts, below, above } of [p, q]) {
    if (below + above > 0 || !counts.some((count) => count > 0)) {
      const what = below + above > 0 ? `${below + above} of them outside` : "none";
      throw new OptionError(`wasserstein1: expected histograms with all values in their range, got ${what}.`);
    }
  }
  const points = Float64Array.from([...p.edges, ...q.edges]).sort();
  const [f, g] = [cumulative(p, points), cumulative(q, points)];
  let area = 0;
  for (let i = 1; i < points.length; i++) {
    area += (points[i]! - points[i - 1]!) * meanSize(f[i - 1]! - g[i - 1]!, f[i]! - g[i]!);
  }
  return area;
}

/** The part of a histogram's values that lies below each of `points`, which ascend. */
function cumulative({ edges, counts }: Histogram, points: Float64Array): Float64Array {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let [bin, before] = [0, 0];
  return points.map((x) => {
    while (bin < counts.length && x >= edges[bin + 1]!) before += counts[bin++]!;
    if (bin === counts.length || x <= edges[0]!) return before / total;
    const part = (x - edges[bin]!) / (edges[bin + 1]! - edges[bin]!);
    return (before + part * counts[bin]!) / total;
  });
}

/** Mean of |y| on a line from `from` to `to`. */
function meanSize(from: number, to: number): number {
  const [a, b] = [Math.abs(from), Math.abs(to)];
  return from * to >= 0 ? (a + b) / 2 : (a * a + b * b) / (2 * (a + b));
}
