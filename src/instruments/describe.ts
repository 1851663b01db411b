import { OptionError } from "../core/errors.js";
import type { HostArray } from "../engine/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkValues, pooledLayout, resultOf, type UnitLayout, type Units, unitLayout } from "./units.js";

/** How some values are distributed. What is not finite is counted and left out of all else, which is NaN if nothing is left. */
export interface Summary {
  /** Number of finite values. */
  count: number;
  /** Number of values that are NaN, Infinity or -Infinity. */
  nonFinite: number;
  mean: number;
  /** Mean squared distance to the mean (over count, not count − 1). */
  variance: number;
  /** Square root of the variance. */
  std: number;
  /** Mean of ((x − mean) / std)³: 0 if symmetric; NaN where all values are the same. */
  skewness: number;
  min: number;
  max: number;
  /** In the order in which they were asked for; between neighbours by linear interpolation. */
  percentiles: number[];
}

/** What `describe` gives. */
export interface Description {
  /** Which percentiles the summaries have, of 100. */
  percentiles: readonly number[];
  /** All values together. */
  pooled: Summary;
  /** Each unit; none if only pooled values were asked for. */
  units: Summary[];
}

export interface DescribeOptions {
  /** From 0 to 100, in any order (default 15, 50 and 85, as in figure 1 of Ioffe & Szegedy 2015). */
  percentiles?: readonly number[];
  /** "channel" describes each unit, the entries of axis 1, besides all values together (default "pooled"). */
  units?: Units;
}

const DEFAULT_PERCENTILES = [15, 50, 85];

/** @throws OptionError if one is not from 0 to 100 */
export function checkPercentiles(who: string, percentiles: readonly number[] = DEFAULT_PERCENTILES): readonly number[] {
  const wrong = percentiles.find((p) => !(p >= 0 && p <= 100));
  if (wrong === undefined) return percentiles;
  throw new OptionError(`${who}: expected percentiles from 0 to 100, got ${wrong}.`);
}

/**
 * Counts, mean, variance, skewness, extremes and percentiles of a tensor's values, all in float64.
 *
 * Percentiles are exact: the values are sorted, and p lies at (count − 1)·p/100, between neighbours by linear interpolation.
 * Cost: three readings of the values and a sort, of all of them and again of each unit; of more than 64,000 values together,
 * memory for two copies meanwhile. Nothing but the results is copied to JavaScript.
 *
 * @param x float32; with units, [N, C, …]
 * @throws ShapeError if there is no value, or no axis 1 for units; OptionError; DTypeError; RecordingError in a recorded step
 * @example
 * describe(x, { percentiles: [5, 50, 95], units: "channel" }).units[3].percentiles;
 */
export function describe(x: Tensor, { percentiles, units = "pooled" }: DescribeOptions = {}): Description {
  const wanted = [...checkPercentiles("describe", percentiles)];
  checkValues("describe", x, units);
  return {
    percentiles: wanted,
    pooled: summariesOf(x, pooledLayout(x), wanted)[0]!,
    units: units === "channel" ? summariesOf(x, unitLayout("describe", x), wanted) : [],
  };
}

/** Rows [6, units]: number, mean, variance, third central moment, smallest, largest. */
export function finiteMoments(x: Tensor, layout: UnitLayout): HostArray {
  return resultOf(x, "float64", 6 * layout.units, (moments) =>
    x.backend.call("finiteMoments", { x: x.storage, moments, ...layout }),
  );
}

/** [units, wanted.length]. */
function percentilesOf(x: Tensor, layout: UnitLayout, wanted: readonly number[]): HostArray {
  const count = wanted.length;
  if (count === 0) return new Float64Array(0);
  const percents = x.backend.alloc("float64", count);
  try {
    x.backend.write(percents, wanted);
    return resultOf(x, "float64", layout.units * count, (y) =>
      x.backend.call("percentiles", { x: x.storage, percents, y, ...layout, count }),
    );
  } finally {
    x.backend.release(percents);
  }
}

function summariesOf(x: Tensor, layout: UnitLayout, wanted: readonly number[]): Summary[] {
  const { groups, units, inner } = layout;
  const moments = finiteMoments(x, layout);
  const percentiles = percentilesOf(x, layout, wanted);
  return Array.from({ length: units }, (_, unit) => {
    const [count, mean, variance, third, min, max] = [0, 1, 2, 3, 4, 5].map((row) => moments[row * units + unit]!) as Six;
    const std = Math.sqrt(variance);
    return {
      count,
      nonFinite: groups * inner - count,
      mean,
      variance,
      std,
      skewness: third / std ** 3,
      min,
      max,
      percentiles: Array.from(percentiles.subarray(unit * wanted.length, (unit + 1) * wanted.length)),
    };
  });
}

type Six = [number, number, number, number, number, number];
