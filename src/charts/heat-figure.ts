import type { PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { HeatFigure } from "../experiments/figure.js";
import { tickText } from "./log-ticks.js";
import { type ChartSize, MUTED } from "./theme.js";

/** The deepest tint leaves the number readable in both schemes. */
const DEEPEST = 0.62;

/** A table whose cells are tinted by their value, which stands in them; a dash where there is none. */
export function heatPlot(figure: HeatFigure, size: ChartSize): PlotOptions {
  const { from, to } = figure.scale;
  const cells = figure.cells.flatMap((row, r) =>
    row.map((value, c) => ({
      x: figure.x.values[c]!,
      y: figure.y.values[r]!,
      text: value === null ? "–" : tickText(Number(value.toPrecision(3))),
      tint: value === null || to === from ? 0 : 0.06 + (DEEPEST - 0.06) * Math.min(1, Math.max(0, (value - from) / (to - from))),
    })),
  );
  const longest = Math.max(...figure.y.values.map((text) => text.length));
  const cell = size.name === "narrow" ? 40 : 48;
  return {
    height: 34 + figure.y.values.length * cell + size.fontSize * 3.6,
    marginTop: 34,
    marginLeft: Math.min(size.width * 0.4, 18 + longest * size.fontSize * 0.58),
    marginRight: 10,
    marginBottom: size.fontSize * 3.6,
    x: { domain: figure.x.values, padding: 0.04 },
    y: { domain: figure.y.values, padding: 0.06 },
    marks: [
      ...cells.map((one) =>
        Plot.cell([one], { x: "x", y: "y", fill: "var(--chart-norm, #d55e00)", fillOpacity: one.tint, rx: 3 }),
      ),
      Plot.text(cells, { x: "x", y: "y", text: "text", fill: "currentColor", fontWeight: 600 }),
      Plot.axisX({
        label: figure.x.label,
        labelAnchor: "center",
        labelArrow: "none",
        tickSize: 0,
        labelOffset: size.fontSize * 3,
      }),
      Plot.axisY({ label: null, tickSize: 0 }),
      Plot.text([0], {
        text: () => `${figure.scale.label}: pale ${tickText(from)}, deep ${tickText(to)}`,
        frameAnchor: "top-left",
        textAnchor: "start",
        dy: -18,
        fill: MUTED,
      }),
    ],
  };
}
