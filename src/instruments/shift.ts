import { OptionError } from "../core/errors.js";
import type { Description, Summary } from "./describe.js";

/** How a distribution has moved, in standard deviations of what it was before. */
export interface UnitShift {
  /** (mean after − mean before) / σ before. */
  mean: number;
  /** ln(σ after / σ before): above 0 where values spread. */
  logStd: number;
  /** (percentile after − percentile before) / σ before, in the order of the descriptions. */
  percentiles: number[];
}

export interface Shift {
  /** Of all values together. */
  pooled: UnitShift;
  /** Of each unit, by its own σ; none if the descriptions have no units. */
  units: UnitShift[];
  /** Root mean square of `mean` over the units whose σ was above 0; NaN of none. */
  rms: number;
}

/**
 * How far a distribution has moved between two descriptions of the same layer. Where σ was 0 before, a shift is ±Infinity, or NaN
 * if nothing has moved.
 *
 * Units may move in opposite directions: `pooled` then shows nothing, and `rms` does. Means over a batch of m independent values
 * differ by some √(2/m) σ by chance alone: describe both times on the same inputs.
 *
 * @throws OptionError if the descriptions differ in their units or percentiles
 * @example
 * const before = describe(model.call(x), { units: "channel" });
 * train();
 * shift(before, describe(model.call(x), { units: "channel" })).rms;
 */
export function shift(before: Description, after: Description): Shift {
  if (before.units.length !== after.units.length) {
    throw new OptionError(
      `shift: expected descriptions of the same units, got ${before.units.length} units before and ${after.units.length} after.`,
    );
  }
  if (before.percentiles.join() !== after.percentiles.join()) {
    throw new OptionError(
      `shift: expected the same percentiles, got [${before.percentiles}] before and [${after.percentiles}] after.`,
    );
  }
  const units = before.units.map((unit, i) => between(unit, after.units[i]!));
  const squares = units.filter((_, i) => before.units[i]!.std > 0).map(({ mean }) => mean * mean);
  return {
    pooled: between(before.pooled, after.pooled),
    units,
    rms: Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length),
  };
}

const between = (before: Summary, after: Summary): UnitShift => ({
  mean: (after.mean - before.mean) / before.std,
  logStd: Math.log(after.std / before.std),
  percentiles: before.percentiles.map((p, i) => (after.percentiles[i]! - p) / before.std),
});
