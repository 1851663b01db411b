import type { Markish, PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { ArmName, CompareRecord, Distribution } from "../experiments/record.js";
import type { Chart } from "./chart.js";
import { facetOf, PANEL_IDS, type Panel, panelHeadings, panelsOf } from "./panels.js";
import { spread } from "./series.js";
import { ARM_COLOURS, type ChartSize, GRID, PAPER } from "./theme.js";
import { momentName } from "./time-axis.js";

/** A ridge reaches this many rows up. */
const RIDGE = 0.9;

interface Ridge {
  readonly panel: Panel;
  readonly row: number;
  readonly values: Distribution;
}

/** First-layer activations of all units together at several moments, as ridges on one horizontal scale. */
export function distributionChart(record: CompareRecord): Chart {
  const panels = panelsOf(record);
  const steps = momentsToShow(panels, record.stepsPerEpoch);
  const ridges = panels.flatMap((panel) =>
    panel.moments.flatMap(({ step, values }) => (steps.includes(step) ? [{ panel, row: steps.indexOf(step), values }] : [])),
  );
  return {
    name: "distribution",
    title: "First-layer activations during training",
    description: describe(panels, steps, record.stepsPerEpoch),
    plot: (size) => plot(record, panels, steps, ridges, size),
  };
}

function plot(record: CompareRecord, panels: Panel[], steps: number[], ridges: Ridge[], size: ChartSize): PlotOptions {
  const narrow = size.name === "narrow";
  const rows = Math.max(1, steps.length);
  const headings = size.fontSize * 2.6 + (narrow ? 22 : 10);
  const panelHeight = rows * (narrow ? 30 : size.name === "medium" ? 40 : 46) + 16;
  const domain = valueDomain(ridges);
  const names = steps.map((step) => momentName(step, record.stepsPerEpoch));
  const facet = facetOf(size);
  return {
    height: narrow ? 3 * (panelHeight + headings) + 46 : panelHeight + headings + 46,
    marginTop: size.fontSize * 2.6 + 10,
    marginLeft: Math.round(12 + 0.62 * size.fontSize * Math.max(5, ...names.map((name) => name.length))),
    marginRight: 10,
    marginBottom: 46,
    x: { domain },
    y: { domain: [-(rows - 1) - 0.12, 1.05] },
    [facet]: { domain: [...PANEL_IDS], axis: null, paddingInner: narrow ? headings / (panelHeight + headings) : 0.13 },
    marks: [
      Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: 5 }),
      Plot.ruleX([0], { stroke: "currentColor", strokeOpacity: 0.35 }),
      Plot.axisX({
        ticks: 5,
        tickSize: 4,
        label: "Activation (same scale in all panels)",
        labelAnchor: "center",
        labelArrow: "none",
      }),
      Plot.axisY(
        steps.map((_, row) => -row),
        {
          tickFormat: (y: number) => names[-y] as string,
          tickSize: 0,
          label: null,
        },
      ),
      ...ridges.flatMap((ridge) => ridgeMarks(ridge, domain, facet)),
      ...panelHeadings(panels, size),
    ],
  };
}

function ridgeMarks(ridge: Ridge, domain: [number, number], facet: "fx" | "fy"): Markish[] {
  const colour = ARM_COLOURS[ridge.panel.arm];
  const base = -ridge.row;
  const outline = outlineOf(ridge.values, domain).map((point) => ({ ...point, top: base + RIDGE * point.height }));
  const place = { [facet]: () => ridge.panel.id };
  const { p15, p50, p85 } = ridge.values.percentiles;
  const summary = [{ p15, p50, p85 }];
  return [
    Plot.areaY(outline, { ...place, x: "x", y1: base, y2: "top", fill: colour.line, fillOpacity: 0.26, curve: "linear" }),
    Plot.lineY(outline, { ...place, x: "x", y: "top", stroke: colour.line, strokeWidth: 1.1, curve: "linear" }),
    Plot.ruleY(summary, { ...place, y: base, x1: "p15", x2: "p85", stroke: colour.line, strokeWidth: 3 }),
    Plot.dot(summary, { ...place, x: "p50", y: () => base, r: 3.6, fill: PAPER, stroke: colour.line, strokeWidth: 2 }),
  ];
}

/** The histogram inside the domain as heights at bin centres, 1 at the highest bin: curves have equal heights, not areas. */
function outlineOf({ histogram }: Distribution, [low, high]: [number, number]): { x: number; height: number }[] {
  const { edges, counts } = histogram;
  const density = counts.map((count, i) => count / ((edges[i + 1] as number) - (edges[i] as number)));
  const peak = Math.max(...density);
  if (!(peak > 0)) return [];
  const points = density.map((d, i) => ({ x: ((edges[i] as number) + (edges[i + 1] as number)) / 2, height: d / peak }));
  const first = edges[0] as number;
  const last = edges.at(-1) as number;
  return [{ x: first, height: 0 }, ...points, { x: last, height: 0 }].filter((point) => point.x >= low && point.x <= high);
}

/** From the lowest 0.5 % to the highest 0.5 % point of any ridge, so that a few far values do not flatten the rest. */
function valueDomain(ridges: readonly Ridge[]): [number, number] {
  if (ridges.length === 0) return [-1, 1];
  const low = Math.min(0, ...ridges.map((ridge) => histogramQuantile(ridge.values, 0.005)));
  const high = Math.max(0, ...ridges.map((ridge) => histogramQuantile(ridge.values, 0.995)));
  return low < high ? [low, high] : [-1, 1];
}

function histogramQuantile({ histogram }: Distribution, q: number): number {
  const { edges, counts } = histogram;
  const target = q * counts.reduce((a, b) => a + b, 0);
  let below = 0;
  for (let i = 0; i < counts.length; i++) {
    const here = counts[i] as number;
    if (below + here >= target && here > 0) {
      const start = edges[i] as number;
      return start + ((target - below) / here) * ((edges[i + 1] as number) - start);
    }
    below += here;
  }
  return edges.at(-1) as number;
}

/** Up to eight moments: the first steps, then whole epochs evenly to the end. */
function momentsToShow(panels: readonly Panel[], stepsPerEpoch: number): number[] {
  const all = [...new Set(panels.flatMap((panel) => panel.moments.map((moment) => moment.step)))].sort((a, b) => a - b);
  const early = [0, 10, 100].filter((step) => all.includes(step));
  const epochs = all.filter((step) => step > 0 && step % stepsPerEpoch === 0);
  const late = epochs.filter((step) => (step / stepsPerEpoch) % Math.max(1, Math.ceil(epochs.length / 4)) === 0);
  const shown = new Set([...early, ...(epochs.length > 4 ? late : epochs)]);
  const last = all.at(-1);
  if (last !== undefined) shown.add(last);
  if (shown.size < 5) for (const step of spread(all, 7)) shown.add(step);
  return [...shown].sort((a, b) => a - b);
}

function describe(panels: readonly Panel[], steps: readonly number[], stepsPerEpoch: number): string {
  const names = steps.map((step) => momentName(step, stepsPerEpoch)).join(", ");
  const each = panels.flatMap((panel) => {
    const first = panel.moments[0];
    const last = panel.moments.at(-1);
    if (!first || !last) return [];
    return [
      `${armWords(panel.arm)}, ${panel.place}: middle 70 % from ${range(first.values)} at first to ${range(last.values)} at last`,
    ];
  });
  return `Distributions of the first layer's activations, all units together, at ${names}. ${each.join("; ")}.`;
}

function armWords(arm: ArmName): string {
  return arm === "plain" ? "Plain network" : "Batch norm network";
}

function range({ percentiles: { p15, p85 } }: Distribution): string {
  return `[${(p15 ?? Number.NaN).toFixed(2)}, ${(p85 ?? Number.NaN).toFixed(2)}]`;
}
