import type { Figure } from "../experiments/figure.js";
import type { Chart } from "./chart.js";
import { dotsPlot } from "./dots-figure.js";
import { heatPlot } from "./heat-figure.js";
import { linesPlot } from "./lines-figure.js";

/** The chart of a figure that an experiment declared. */
export function experimentChart(figure: Figure): Chart {
  const { name, title, description } = figure;
  return {
    name,
    title,
    description,
    plot: (size) => {
      switch (figure.kind) {
        case "lines":
          return linesPlot(figure, size);
        case "dots":
          return dotsPlot(figure, size);
        case "heat":
          return heatPlot(figure, size);
      }
    },
  };
}
