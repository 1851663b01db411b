// What decides a verdict: intervals over paired seeds, ratios of times that may be censored, and three-valued criteria.

/** What a criterion says of an interval. FAIL is a well measured "no"; INCONCLUSIVE is "these runs cannot tell". */
export type Verdict = "PASS" | "FAIL" | "INCONCLUSIVE";

/** An estimate over seeds with its 95 % interval; the ends are infinite where fewer than two values were given. */
export interface Interval {
  estimate: number;
  low: number;
  high: number;
  n: number;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}

/** Standard deviation with n − 1; NaN for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (values.length - 1 || Number.NaN));
}

/** ln Γ(x) for x > 0; Lanczos' series with g = 7 and nine terms, 15 digits. */
function logGamma(x: number): number {
  const c = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  const t = x + 6.5;
  const series = c.slice(1).reduce((sum, ci, i) => sum + ci / (x + i), c[0]!);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

/** Regularized incomplete beta function by its continued fraction (Lentz's evaluation). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  const away = (value: number) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** Probability that Student's t with `df` degrees of freedom is at most `t`. */
export function tProbability(t: number, df: number): number {
  const tail = 0.5 * incompleteBeta(df / (df + t * t), df / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** The `p` quantile (0.5 ≤ p < 1) of Student's t with `df` degrees of freedom, by bisection. */
export function tQuantile(p: number, df: number): number {
  let [low, high] = [0, 2];
  while (tProbability(high, df) < p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (tProbability(middle, df) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Mean with its t interval, mean ± t(0.975, n − 1)·sd/√n. A value that is not finite makes all of it NaN. */
export function interval(values: readonly number[], confidence = 0.95): Interval {
  const n = values.length;
  const estimate = n === 0 ? Number.NaN : mean(values);
  if (!Number.isFinite(estimate)) return { estimate: Number.NaN, low: Number.NaN, high: Number.NaN, n };
  if (n < 2) return { estimate, low: -Infinity, high: Infinity, n };
  const half = (tQuantile(0.5 + confidence / 2, n - 1) * standardDeviation(values)) / Math.sqrt(n);
  return { estimate, low: estimate - half, high: estimate + half, n };
}

/** Mean of a[i] − b[i] with its interval; a[i] and b[i] come from the same seed. */
export function pairedDifference(a: readonly number[], b: readonly number[]): Interval {
  if (a.length !== b.length)
    throw new RangeError(`pairedDifference: expected lists of one length, got ${a.length} and ${b.length}.`);
  return interval(a.map((x, i) => x - b[i]!));
}

/** Geometric mean of a[i] / b[i] with its interval, from the logarithms; a[i] and b[i] come from the same seed. */
export function pairedRatio(a: readonly number[], b: readonly number[]): Interval & { values: number[] } {
  const values = a.map((x, i) => x / b[i]!);
  const { estimate, low, high, n } = interval(values.map(Math.log));
  return { estimate: Math.exp(estimate), low: Math.exp(low), high: Math.exp(high), n, values };
}

/** How long a run took to reach its target, in steps; censored: it had not at its cap, `steps`. */
export interface Time {
  steps: number;
  censored: boolean;
}

/** Geometric mean of time ratios. */
export interface TimeRatio extends Interval {
  /** "exact": every run arrived; "lower": some run of the slower arm did not, so the ratio is at least this; "unknown" else. */
  bound: "exact" | "lower" | "unknown";
  /** slower / faster of each pair; at its lower bound where the slower one was censored, NaN where the faster one was. */
  pairs: number[];
}

/** Ratio of the times of two arms, pair by pair; runs that never arrived are kept, at their cap. */
export function timeRatio(slower: readonly Time[], faster: readonly Time[]): TimeRatio {
  const pairs = slower.map((time, i) => (faster[i]!.censored ? Number.NaN : time.steps / faster[i]!.steps));
  const bound = faster.some(({ censored }) => censored) ? "unknown" : slower.some(({ censored }) => censored) ? "lower" : "exact";
  const { estimate, low, high, n } = interval(pairs.map(Math.log));
  return { estimate: Math.exp(estimate), low: Math.exp(low), high: Math.exp(high), n, bound, pairs };
}

/** The ratio lies above the threshold. With runs at their cap it can only pass, and only if every pair exceeds it. */
export function ratioAbove(ratio: TimeRatio, threshold: number): Verdict {
  if (ratio.bound === "exact") return above(ratio, threshold);
  return ratio.bound === "lower" && ratio.pairs.length > 1 && ratio.pairs.every((x) => x > threshold) ? "PASS" : "INCONCLUSIVE";
}

/** PASS where the whole interval lies above the threshold, FAIL where it lies below. */
export function above({ low, high }: Interval, threshold: number): Verdict {
  return low > threshold ? "PASS" : high < threshold ? "FAIL" : "INCONCLUSIVE";
}

/** PASS where the whole interval lies below the threshold, FAIL where it lies above. */
export function below({ low, high }: Interval, threshold: number): Verdict {
  return high < threshold ? "PASS" : low > threshold ? "FAIL" : "INCONCLUSIVE";
}

/** A window, or the margin of an equivalence: PASS where the interval lies inside, FAIL where it lies wholly outside. */
export function within({ low, high }: Interval, from: number, to: number): Verdict {
  if (low >= from && high <= to) return "PASS";
  return high < from || low > to ? "FAIL" : "INCONCLUSIVE";
}

/** A criterion that every seed must meet; with fewer than two seeds nothing is known. */
export function everySeed(met: readonly boolean[]): Verdict {
  if (met.some((one) => !one)) return "FAIL";
  return met.length > 1 ? "PASS" : "INCONCLUSIVE";
}

/** An identity that holds exactly or not at all: no interval, since nothing is estimated. */
export function exactly(met: boolean): Verdict {
  return met ? "PASS" : "FAIL";
}

/** All parts pass; one that fails decides. */
export function allOf(...verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("FAIL")) return "FAIL";
  return verdicts.length === 0 || verdicts.includes("INCONCLUSIVE") ? "INCONCLUSIVE" : "PASS";
}

/** Slope of the least-squares line through (x, y). */
export function slope(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [mean(x), mean(y)];
  const across = x.reduce((sum, xi, i) => sum + (xi - mx) * (y[i]! - my), 0);
  return across / x.reduce((sum, xi) => sum + (xi - mx) ** 2, 0);
}
