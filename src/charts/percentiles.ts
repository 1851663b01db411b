import type { Markish, PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { CompareRecord } from "../experiments/record.js";
import type { Chart } from "./chart.js";
import { facetOf, PANEL_IDS, type Panel, panelHeadings, panelsOf } from "./panels.js";
import { spread } from "./series.js";
import { ARM_COLOURS, type ChartSize, GRID, MUTED } from "./theme.js";
import { type TimeAxis, timeAxis } from "./time-axis.js";

/** Moments drawn per panel: more would not be seen. */
const MOMENTS = { narrow: 32, medium: 32, wide: 41 } as const;

/** Percentiles over time: the middle 70 % and median of all units together, and each unit's own median as a thin line. */
export function percentileChart(record: CompareRecord): Chart {
  const panels = panelsOf(record);
  const units = panels[0]?.moments[0]?.values.units.p50.length ?? 0;
  return {
    name: "percentiles",
    title: "How the first layer’s activations move during training",
    description:
      `Three panels over training time: the 15th to 85th percentile and the median of all units together, and the medians of ` +
      `${units} single units. ${panels.map(describePanel).join("; ")}.`,
    plot: (size) => plot(record, panels, size),
  };
}

function plot(record: CompareRecord, panels: Panel[], size: ChartSize): PlotOptions {
  const narrow = size.name === "narrow";
  const headings = size.fontSize * 2.6 + (narrow ? 22 : 10);
  const panelHeight = narrow ? 170 : 300;
  const facet = facetOf(size);
  const last = Math.max(1, ...panels.flatMap((panel) => panel.moments.map((moment) => moment.step)));
  const time = timeAxis(last, record.stepsPerEpoch, size, narrow ? 1 : 3);
  return {
    height: narrow ? 3 * (panelHeight + headings) + 46 : panelHeight + headings + 46,
    marginTop: size.fontSize * 2.6 + 10,
    marginLeft: 44,
    marginRight: 14,
    marginBottom: 46,
    x: { domain: time.domain },
    y: { domain: valueDomain(panels) },
    [facet]: { domain: [...PANEL_IDS], axis: null, paddingInner: narrow ? headings / (panelHeight + headings) : 0.13 },
    marks: [
      Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: narrow ? 4 : 6 }),
      Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.35 }),
      timeMark(time),
      Plot.axisY({ ticks: narrow ? 4 : 6, tickSize: 0, label: null, fill: MUTED }),
      ...panels.flatMap((panel) => panelMarks(panel, MOMENTS[size.name], facet)),
      ...panelHeadings(panels, size),
    ],
  };
}

function timeMark(time: TimeAxis): Markish {
  return Plot.axisX(time.ticks, {
    tickFormat: time.format,
    label: time.label,
    labelAnchor: "center",
    labelArrow: "none",
    tickSize: 4,
  });
}

function panelMarks(panel: Panel, most: number, facet: "fx" | "fy"): Markish[] {
  const { line } = ARM_COLOURS[panel.arm];
  const place = { [facet]: () => panel.id };
  const moments = spread(panel.moments, most).map(({ step, values }) => ({
    step,
    ...values.percentiles,
    units: values.units.p50,
  }));
  const medians = moments.flatMap(({ step, units }) => units.map((median, unit) => ({ step, median, unit })));
  return [
    Plot.areaY(moments, { ...place, x: "step", y1: "p15", y2: "p85", fill: line, fillOpacity: 0.17 }),
    Plot.line(medians, { ...place, x: "step", y: "median", z: "unit", stroke: line, strokeWidth: 0.8, strokeOpacity: 0.42 }),
    Plot.line(moments, { ...place, x: "step", y: "p50", stroke: "currentColor", strokeWidth: 2.2 }),
  ];
}

/** Everything that is drawn, with a little air. */
function valueDomain(panels: readonly Panel[]): [number, number] {
  let low = 0;
  let high = 0;
  for (const { values } of panels.flatMap((panel) => panel.moments)) {
    for (const x of [values.percentiles.p15, values.percentiles.p85, ...values.units.p50]) {
      if (x === null) continue;
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
  }
  const air = 0.04 * (high - low) || 1;
  return [low - air, high + air];
}

function describePanel(panel: Panel): string {
  const ends = [panel.moments[0], panel.moments.at(-1)].map((moment) => {
    const medians = (moment?.values.units.p50 ?? []).filter((x) => x !== null);
    if (medians.length === 0) return "nothing finite";
    return `${Math.min(...medians).toFixed(2)} to ${Math.max(...medians).toFixed(2)}`;
  });
  return `${panel.heading}, ${panel.place}: unit medians ${ends[0]} at first, ${ends[1]} at last`;
}
