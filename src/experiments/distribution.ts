import { describe } from "../instruments/describe.js";
import { histogram } from "../instruments/histogram.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Distribution, finiteOrNull } from "./record.js";

/** Bins of a histogram. */
const BINS = 80;
const POOLED = [5, 15, 50, 85, 95];

/** What the values of [examples, units] look like: all units pooled, and each unit alone; null where nothing is finite. */
export function describeUnits(x: Tensor): Distribution {
  const { pooled, units } = describe(x, { percentiles: POOLED, units: "channel" });
  const { edges, counts, nonFinite } = histogram(x, { bins: BINS }).pooled;
  const [p5, p15, p50, p85, p95] = pooled.percentiles.map(finiteOrNull) as [Value, Value, Value, Value, Value];
  const each = (of: (unit: (typeof units)[number]) => number) => units.map((unit) => finiteOrNull(of(unit)));
  return {
    histogram: { edges: [...edges], counts, nonFinite },
    percentiles: { p5, p15, p50, p85, p95 },
    mean: finiteOrNull(pooled.mean),
    std: finiteOrNull(pooled.std),
    units: {
      mean: each(({ mean }) => mean),
      std: each(({ std }) => std),
      p15: each(({ percentiles }) => percentiles[1]!),
      p50: each(({ percentiles }) => percentiles[2]!),
      p85: each(({ percentiles }) => percentiles[3]!),
    },
  };
}

type Value = number | null;
