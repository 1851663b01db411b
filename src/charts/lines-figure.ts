import type { Markish, PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { LinesFigure } from "../experiments/figure.js";
import { type LegendEntry, legend } from "./legend.js";
import { logTicks, tickText } from "./log-ticks.js";
import { type ChartSize, GRID, MUTED, PAPER, ROLE_COLOURS } from "./theme.js";

type Series = LinesFigure["series"][number];
type Rule = LinesFigure["rules"][number];

/** A point as it is drawn: NaN breaks a line. */
interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

/** More series than this with one name are a bundle: thin lines. */
const BUNDLE = 8;
/** Series of so few points show them. */
const DOTTED = 16;
/** Frames in a row. */
const COLUMNS = { narrow: 1, medium: 2, wide: 3 } as const;

/** Lines with bands against one axis, in one frame or in small multiples that share their axes. */
export function linesPlot(figure: LinesFigure, size: ChartSize): PlotOptions {
  const panels = [...new Set(figure.series.map(({ panel }) => panel ?? ""))];
  // Four panels stand better in two rows of two than with one alone below.
  const columns = Math.min(COLUMNS[size.name], panels.length === 4 ? 2 : panels.length);
  const rows = Math.ceil(panels.length / columns);
  const place = (panel: string) =>
    panels.length === 1 ? {} : { fx: panels.indexOf(panel) % columns, fy: Math.floor(panels.indexOf(panel) / columns) };
  const series = figure.series.map((one) => ({ ...one, drawn: pointsOf(one, figure) }));
  const domains = {
    x: domainOf(
      series.flatMap(({ drawn }) => drawn.map(({ x }) => x)),
      figure.x.log,
      figure.rules.filter(({ axis }) => axis === "x"),
      0,
    ),
    y: domainOf(
      series.flatMap(({ drawn }) => drawn.flatMap(({ y, low, high }) => [y, low, high])),
      figure.y.log,
      figure.rules.filter(({ axis }) => axis === "y"),
      0.04,
    ),
  };
  const line = size.fontSize * 1.5;
  const heading = panels.length > 1 ? line : 0;
  const above = heading + line;
  const marginLeft = 20 + size.fontSize * 0.62 * Math.max(...ticksOf(domains.y, figure.y.log, 6).map((t) => tickText(t).length));
  const marginRight = 26;
  const key = legend(entriesOf(figure.series), {
    size,
    width: size.width - marginLeft - marginRight,
    above,
    facet: place(panels[0]!),
  });
  const marginTop = key.height + above + 6;
  const marginBottom = size.fontSize * 3.4;
  const frame =
    panels.length === 1 ? { narrow: 230, medium: 300, wide: 350 }[size.name] : { narrow: 170, medium: 210, wide: 240 }[size.name];
  const between = heading + size.fontSize;
  return {
    height: marginTop + rows * frame + (rows - 1) * between + marginBottom,
    marginTop,
    marginLeft,
    marginRight,
    marginBottom,
    x: { type: figure.x.log ? "log" : "linear", domain: domains.x },
    y: { type: figure.y.log ? "log" : "linear", domain: domains.y, clamp: true },
    ...(panels.length === 1
      ? {}
      : {
          fx: { domain: Array.from({ length: columns }, (_, i) => i), axis: null, paddingInner: columns > 1 ? 0.09 : 0 },
          fy: {
            domain: Array.from({ length: rows }, (_, i) => i),
            axis: null,
            paddingInner: rows > 1 ? between / (frame + between) : 0,
          },
        }),
    marks: [
      ...axes(figure, domains, { size, columns, rows, above, heading, first: place(panels[0]!) }),
      ...figure.rules.flatMap((rule) => ruleMarks(rule, figure, place(panels[0]!))),
      ...series.flatMap((one) => seriesMarks(one, figure, place(one.panel ?? ""))),
      ...(panels.length === 1
        ? []
        : panels.map((panel) =>
            Plot.text([0], {
              ...place(panel),
              text: () => panel,
              frameAnchor: "top-left",
              textAnchor: "start",
              dy: -line / 2 - 2,
              fontWeight: 700,
            }),
          )),
      ...key.marks,
    ],
  };
}

/** Points in order, without what a logarithmic axis cannot show. */
function pointsOf({ points }: Series, { x, y }: LinesFigure): Point[] {
  const shown = (value: number | null | undefined) =>
    value === null || value === undefined || (y.log && value <= 0) ? Number.NaN : value;
  return points
    .filter((point) => !(x.log && point[0] <= 0))
    .map((point) => ({ x: point[0], y: shown(point[1]), low: shown(point[2]), high: shown(point[3]) }));
}

function entriesOf(series: readonly Series[]): LegendEntry[] {
  const all = series.map(({ label, role, dashed = false }): LegendEntry => ({ label, role, dashed }));
  return all.filter((a, i) => all.findIndex((b) => b.label === a.label && b.role === a.role && b.dashed === a.dashed) === i);
}

type Domain = [number, number];

/** From the least to the largest finite value, rules included, with some air. */
function domainOf(values: readonly number[], log: boolean | undefined, rules: readonly Rule[], air: number): Domain {
  let [low, high] = [Infinity, -Infinity];
  for (const value of [...values, ...rules.map((rule) => rule.value)]) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return log ? [1, 10] : [0, 1];
  if (log) {
    if (low === high) return [low / 2, high * 2];
    const ratio = (high / low) ** air;
    return [low / ratio, high * ratio];
  }
  const pad = air * (high - low) || (low === high ? Math.abs(low) / 2 || 1 : 0);
  // A scale that begins near zero begins at zero.
  return [low >= 0 && low < 0.3 * high ? 0 : low - pad, high + pad];
}

/** @param least smallest distance of linear ticks, such as 1 for whole epochs */
function ticksOf([low, high]: Domain, log: boolean | undefined, most: number, least = 0): number[] {
  if (log) return logTicks([low, high], most);
  const rough = Math.max(least, (high - low) / most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= rough) ?? 10 * power;
  const first = Math.ceil(low / gap - 1e-9);
  return Array.from({ length: Math.floor(high / gap + 1e-9) - first + 1 }, (_, i) => Number(((first + i) * gap).toPrecision(10)));
}

interface Layout {
  size: ChartSize;
  columns: number;
  rows: number;
  above: number;
  heading: number;
  first: object;
}

function axes(figure: LinesFigure, domains: { x: Domain; y: Domain }, { size, columns, heading, first }: Layout): Markish[] {
  const isWhole = figure.series.every(({ points }) => points.every(([x]) => Number.isInteger(x)));
  const [xTicks, yTicks] = [
    ticksOf(domains.x, figure.x.log, size.name === "narrow" ? 5 : columns > 1 ? 4 : 8, isWhole ? 1 : 0),
    ticksOf(domains.y, figure.y.log, columns > 1 || size.name === "narrow" ? 5 : 7),
  ];
  return [
    Plot.gridY(yTicks, { stroke: GRID, strokeOpacity: 1 }),
    Plot.axisX(xTicks, {
      tickFormat: tickText,
      label: figure.x.log ? `${figure.x.label} (log)` : figure.x.label,
      labelAnchor: "center",
      labelArrow: "none",
      tickSize: 4,
      labelOffset: size.fontSize * 2.9,
    }),
    Plot.axisY(yTicks, { tickFormat: tickText, label: null, tickSize: 0, fill: MUTED }),
    Plot.text([0], {
      ...first,
      text: () => (figure.y.log ? `${figure.y.label} (log)` : figure.y.label),
      frameAnchor: "top-left",
      textAnchor: "start",
      dy: -heading - size.fontSize * 0.75,
      fill: MUTED,
    }),
  ];
}

function ruleMarks({ axis, value, label }: Rule, figure: LinesFigure, first: object): Markish[] {
  if (figure[axis].log && value <= 0) return [];
  const style = { stroke: "currentColor", strokeOpacity: 0.55, strokeDasharray: "2,3" };
  const text = { ...first, text: () => label, fill: MUTED, stroke: PAPER, strokeWidth: 4 };
  return axis === "y"
    ? [
        Plot.ruleY([value], style),
        Plot.text([value], { ...text, y: (d: number) => d, frameAnchor: "right", textAnchor: "end", dx: -4, dy: -8 }),
      ]
    : [
        Plot.ruleX([value], style),
        Plot.text([value], { ...text, x: (d: number) => d, frameAnchor: "top", textAnchor: "start", dx: 5, dy: 9 }),
      ];
}

function seriesMarks(
  { drawn, label, role, dashed, panel }: Series & { drawn: readonly Point[] },
  figure: LinesFigure,
  place: object,
): Markish[] {
  const { line } = ROLE_COLOURS[role];
  const isBundle = figure.series.filter((one) => one.label === label && one.panel === panel).length > BUNDLE;
  const isTheory = role === "theory";
  const dash = dashed ? { strokeDasharray: isTheory ? "3,4" : "7,4" } : {};
  const width = isBundle ? 0.8 : isTheory ? 1.5 : 2;
  const marks: Markish[] = [];
  if (drawn.some(({ low, high }) => high > low)) {
    marks.push(Plot.areaY(drawn, { ...place, x: "x", y1: "low", y2: "high", fill: line, fillOpacity: 0.16 }));
  }
  marks.push(
    Plot.line(drawn, { ...place, x: "x", y: "y", stroke: line, strokeWidth: width, strokeOpacity: isBundle ? 0.45 : 1, ...dash }),
  );
  const finite = drawn.filter(({ y }) => Number.isFinite(y));
  if (!isBundle && !isTheory && finite.length <= DOTTED) {
    marks.push(
      Plot.dot(finite, { ...place, x: "x", y: "y", r: 2.8, stroke: line, fill: dashed ? PAPER : line, strokeWidth: 1.5 }),
    );
  }
  return marks;
}
