import { OptionError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { finiteMoments } from "./describe.js";
import { checkValues, pooledLayout, resultOf, type Units, unitLayout } from "./units.js";

/** How many values lie where. */
export interface Histogram {
  /** One more than there are bins, ascending. A bin has its lower edge; the last one has both. */
  edges: readonly number[];
  counts: number[];
  /** Values below the first edge, and above the last. */
  below: number;
  above: number;
  /** NaN, Infinity and -Infinity. */
  nonFinite: number;
}

/** What `histogram` gives; all have the same edges. */
export interface Histograms {
  /** All values together. */
  pooled: Histogram;
  /** Each unit; none if only pooled values were asked for. */
  units: Histogram[];
}

export interface HistogramOptions {
  /** Number of bins, all of the same width (default 50). */
  bins?: number;
  /** First and last edge (default: the smallest and the largest finite value; around values that are all the same, 1 wide). */
  range?: readonly [low: number, high: number];
  /** "channel" counts each unit, the entries of axis 1, besides all values together (default "pooled"). */
  units?: Units;
}

const MOST_BINS = 1 << 20;

/** @throws OptionError */
export function checkBins(who: string, { bins = 50, range }: HistogramOptions): void {
  if (!Number.isSafeInteger(bins) || bins < 1 || bins > MOST_BINS) {
    throw new OptionError(`${who}: expected bins to be an integer from 1 to ${MOST_BINS}, got ${bins}.`);
  }
  if (range === undefined) return;
  const [low, high] = range;
  if (!(low < high && Number.isFinite(high - low))) {
    throw new OptionError(`${who}: expected a range from low to high, finite, with low < high, got [${low}, ${high}].`);
  }
}

/** Whose distance is 1, or can still be seen between float32 numbers of their size. */
function defaultRange(x: Tensor): [low: number, high: number] {
  const moments = finiteMoments(x, pooledLayout(x));
  const [count, low, high] = [moments[0]!, moments[4]!, moments[5]!];
  if (count === 0) return [0, 1];
  if (low < high) return [low, high];
  const pad = Math.max(0.5, Math.abs(low) * 2 ** -20);
  return [low - pad, low + pad];
}

/**
 * Counts a tensor's values in bins of the same width. Values outside the range, and those that are not finite, are counted
 * apart, so that nothing is lost.
 *
 * Cost: one reading of the values, with units too; without a range two more, which find it.
 *
 * @param x float32; with units, [N, C, …]
 * @throws ShapeError if there is no value, or no axis 1 for units; OptionError; DTypeError; RecordingError in a recorded step
 * @example
 * histogram(x, { bins: 3, range: [0, 3] }).pooled; // { edges: [0, 1, 2, 3], counts: […], below, above, nonFinite }
 */
export function histogram(x: Tensor, options: HistogramOptions = {}): Histograms {
  const { bins = 50, units = "pooled" } = options;
  checkBins("histogram", options);
  checkValues("histogram", x, units);
  const [low, high] = options.range ?? defaultRange(x);
  const edges = Array.from({ length: bins + 1 }, (_, i) => (i === bins ? high : low + i * ((high - low) / bins)));
  if (units === "pooled") return { pooled: { edges, ...countedIn(x, "pooled", bins, low, high)[0]! }, units: [] };
  const each = countedIn(x, units, bins, low, high);
  return { pooled: { edges, ...together(each) }, units: each.map((counted) => ({ edges, ...counted })) };
}

type Counted = Omit<Histogram, "edges">;

/** Values of each unit in `bins` bins; see the kernel. */
export function countedIn(x: Tensor, units: Units, bins: number, low: number, high: number): Counted[] {
  const layout = units === "pooled" ? pooledLayout(x) : unitLayout("histogram", x);
  const length = layout.units * (bins + 3);
  const all = resultOf(x, "int32", length, (counts) =>
    x.backend.call("histogram", { x: x.storage, counts, ...layout, bins, low, high }),
  );
  return Array.from({ length: layout.units }, (_, unit) => {
    const own = Array.from(all.subarray(unit * (bins + 3), (unit + 1) * (bins + 3)));
    return { counts: own.slice(0, bins), below: own[bins]!, above: own[bins + 1]!, nonFinite: own[bins + 2]! };
  });
}

/** The sums over units. */
export function together(units: readonly Counted[]): Counted {
  const sum = (count: (unit: Counted) => number) => units.reduce((total, unit) => total + count(unit), 0);
  return {
    counts: units[0]!.counts.map((_, i) => sum(({ counts }) => counts[i]!)),
    below: sum(({ below }) => below),
    above: sum(({ above }) => above),
    nonFinite: sum(({ nonFinite }) => nonFinite),
  };
}
