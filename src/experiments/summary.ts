// How the values of seeds become metrics and points of figures.

import type { DotsFigure, LinesFigure, Role } from "./figure.js";
import type { Norm } from "./networks.js";
import type { Metric } from "./protocol.js";
import { interval, mean } from "./statistics.js";

/** The colour of each normalization, the same in all figures. */
export const NORM_ROLES: Readonly<Record<Norm, Role>> = {
  none: "plain",
  layer: "layer-norm",
  batch: "batch-norm",
  group: "other",
  renorm: "other",
};

export const finiteOrNull = (x: number) => (Number.isFinite(x) ? x : null);

/** A mean over seeds that is shown and decides nothing. */
export function exploratory(name: string, unit: string, values: readonly number[]): Metric {
  return { ...interval(values), name, unit, role: "exploratory", values };
}

/** a[i] − b[i]. */
export const differences = (a: readonly number[], b: readonly number[]) => a.map((x, i) => x - b[i]!);

export type BandPoint = LinesFigure["series"][number]["points"][number];

/** Mean, least and largest of the seeds at x; a gap where one has no finite value: the mean of those that survived would flatter. */
export function bandPoint(x: number, values: readonly (number | null)[]): BandPoint {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  if (known.length < values.length || known.length === 0) return [x, null, null, null];
  return [x, mean(known), Math.min(...known), Math.max(...known)];
}

/** A row of dots: the seeds, and the interval of their mean. */
export function dotsRow(label: string, role: Role, values: readonly number[], group?: string): DotsFigure["rows"][number] {
  const { estimate, low, high } = interval(values);
  return {
    label,
    role,
    ...(group === undefined ? {} : { group }),
    estimate: finiteOrNull(estimate),
    low: finiteOrNull(low),
    high: finiteOrNull(high),
    values: values.map(finiteOrNull),
  };
}
