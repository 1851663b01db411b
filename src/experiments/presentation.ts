// Metrics and rows of figures from one value of each seed.
import type { DotsFigure, Role } from "./figure.js";
import type { Metric } from "./protocol.js";
import { interval } from "./statistics.js";

/** A metric that decides nothing: the mean of the seeds' values with its interval. */
export function exploratory(name: string, unit: string, values: readonly number[]): Metric {
  return { ...interval(values), name, unit, role: "exploratory", values };
}

/** a[i] − b[i]. */
export const differences = (a: readonly number[], b: readonly number[]) => a.map((x, i) => x - b[i]!);

/** A row of dots, one a seed, with the mean and its interval. */
export function dotRow(label: string, role: Role, values: readonly number[], group?: string): DotsFigure["rows"][number] {
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  const { estimate, low, high } = interval(values);
  const numbers = { estimate: finite(estimate), low: finite(low), high: finite(high), values: values.map(finite) };
  return { label, role, ...(group === undefined ? {} : { group }), ...numbers };
}
