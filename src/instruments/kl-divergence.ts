import { OptionError } from "../core/errors.js";
import type { Histogram } from "./histogram.js";

export interface KlDivergenceOptions {
  /** Added to the count of every bin of both before they become probabilities (default 0: nothing). */
  smoothing?: number;
}

/**
 * The Kullback-Leibler divergence Σ p·ln(p/q) of two histograms with the same edges, in nats. What lies below and above the range
 * is a bin each; what is not finite is left out.
 *
 * It is Infinity where q has an empty bin in which p has values, which is likely with many bins and few values: smoothing
 * (½ is the usual prior of Jeffreys) makes it finite and draws it towards 0. It depends on the bins: compare only figures of the
 * same edges.
 *
 * @throws OptionError if the edges differ, one has no values, or smoothing is no finite number of at least 0
 * @example
 * const range = [-4, 4] as const;
 * klDivergence(histogram(after, { range }).pooled, histogram(before, { range }).pooled, { smoothing: 0.5 });
 * @see Kullback & Leibler 1951, "On information and sufficiency"
 */
export function klDivergence(p: Histogram, q: Histogram, { smoothing = 0 }: KlDivergenceOptions = {}): number {
  if (!(smoothing >= 0 && smoothing < Infinity)) {
    throw new OptionError(`klDivergence: expected smoothing to be a finite number of at least 0, got ${smoothing}.`);
  }
  if (p.edges.length !== q.edges.length || p.edges.some((edge, i) => edge !== q.edges[i])) {
    throw new OptionError(
      "klDivergence: expected histograms with the same edges, got others: give both the same range and bins.",
    );
  }
  const [ps, qs] = [probabilities(p, smoothing), probabilities(q, smoothing)];
  // Rounding may carry it a little below 0.
  return Math.max(
    0,
    ps.reduce((sum, pi, i) => (pi > 0 ? sum + pi * Math.log(pi / qs[i]!) : sum), 0),
  );
}

function probabilities({ counts, below, above }: Histogram, smoothing: number): number[] {
  const weights = [below, ...counts, above].map((count) => count + smoothing);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new OptionError("klDivergence: expected histograms of at least one finite value, got one of none.");
  return weights.map((weight) => weight / total);
}
