import type { Markish, PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { DotsFigure } from "../experiments/figure.js";
import { tickText } from "./log-ticks.js";
import { type ChartSize, GRID, MUTED, PAPER, ROLE_COLOURS } from "./theme.js";

type Row = DotsFigure["rows"][number];

interface Placed {
  readonly row: Row;
  readonly at: number;
}

/** A row for each estimate: its interval, and a tick for each seed. Groups have a heading. */
export function dotsPlot(figure: DotsFigure, size: ChartSize): PlotOptions {
  const { placed, headings, count } = layOut(figure.rows);
  const narrow = size.name === "narrow";
  const line = size.fontSize * (narrow ? 3.1 : 2.05);
  const longest = Math.max(...figure.rows.map(({ label, group }) => Math.max(label.length, (group ?? "").length)));
  const marginLeft = narrow ? 14 : Math.min(size.width * 0.42, 26 + longest * size.fontSize * 0.56);
  const values = figure.rows.flatMap(({ estimate, low, high, values = [] }) => [estimate, low, high, ...values]);
  return {
    height: 30 + count * line + size.fontSize * 3.4,
    marginTop: 22,
    marginLeft,
    marginRight: 20,
    marginBottom: size.fontSize * 3.4,
    x: {
      type: figure.x.log ? "log" : "linear",
      domain: domainOf(values.concat(figure.rules.map(({ value }) => value)), figure.x.log),
    },
    y: { domain: [-count + 0.5, 0.5], axis: null },
    marks: [
      Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: narrow ? 4 : 8 }),
      Plot.axisX({
        label: figure.x.label,
        labelAnchor: "center",
        labelArrow: "none",
        tickSize: 4,
        ticks: narrow ? 4 : 8,
        tickFormat: tickText,
        labelOffset: size.fontSize * 2.9,
      }),
      ...figure.rules.flatMap(({ value, label }) => [
        Plot.ruleX([value], { stroke: "currentColor", strokeOpacity: 0.55, strokeDasharray: "2,3" }),
        Plot.text([value], { x: (d: number) => d, text: () => label, frameAnchor: "top", dy: -12, fill: MUTED }),
      ]),
      Plot.text(headings, { ...beside(narrow, marginLeft, 0), y: "at", text: "group", fontWeight: 700, dy: narrow ? 4 : 0 }),
      ...placed.flatMap((one) => rowMarks(one, figure, narrow, marginLeft)),
    ],
  };
}

/** Rows from top to bottom, a heading before the first of each group. */
function layOut(rows: readonly Row[]) {
  const placed: Placed[] = [];
  const headings: { group: string; at: number }[] = [];
  let [at, group] = [0, undefined as string | undefined];
  for (const row of rows) {
    if (row.group !== undefined && row.group !== group) headings.push({ group: row.group, at: -at++ });
    group = row.group;
    placed.push({ row, at: -at++ });
  }
  return { placed, headings, count: at };
}

const beside = (narrow: boolean, marginLeft: number, indent: number) =>
  ({ frameAnchor: "left", textAnchor: "start", dx: narrow ? indent / 2 : indent - marginLeft + 4 }) as const;

function rowMarks({ row, at }: Placed, figure: DotsFigure, narrow: boolean, marginLeft: number): Markish[] {
  const { line, ink } = ROLE_COLOURS[row.role];
  const shown = (x: number | null) => (x === null || (figure.x.log && x <= 0) ? Number.NaN : x);
  const place = { y: () => at };
  const data = [{ estimate: shown(row.estimate), low: shown(row.low), high: shown(row.high) }];
  const isKnown = Number.isFinite(data[0]!.estimate);
  return [
    Plot.text([0], {
      ...place,
      ...beside(narrow, marginLeft, row.group === undefined ? 0 : 14),
      text: () => (isKnown ? row.label : `${row.label}: not finite`),
      fill: ink,
      dy: narrow ? -15 : 0,
    }),
    ...((row.values ?? []).length > 1
      ? [
          Plot.ruleX((row.values ?? []).map(shown).filter(Number.isFinite), {
            x: (d: number) => d,
            y1: () => at - 0.24,
            y2: () => at + 0.24,
            stroke: line,
            strokeOpacity: 0.55,
          }),
        ]
      : []),
    ...(Number.isFinite(data[0]!.low) && Number.isFinite(data[0]!.high)
      ? [Plot.ruleY(data, { ...place, x1: "low", x2: "high", stroke: line, strokeWidth: 3 })]
      : []),
    ...(isKnown ? [Plot.dot(data, { ...place, x: "estimate", r: 4.2, fill: PAPER, stroke: line, strokeWidth: 2.4 })] : []),
  ];
}

function domainOf(values: readonly (number | null)[], log: boolean | undefined): [number, number] {
  const known = values.filter((x): x is number => x !== null && Number.isFinite(x) && !(log && x <= 0));
  if (known.length === 0) return log ? [1, 10] : [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  if (log) return [low / 1.3, high * 1.3];
  const pad = 0.05 * (high - low) || Math.abs(low) / 2 || 1;
  return [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
}
