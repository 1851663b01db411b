import type { PlotOptions } from "@observablehq/plot";
import type { ChartSize } from "./theme.js";

/**
 * A chart as data: what it says, and Observable Plot's description of it for a size. Nothing is drawn until
 * `renderChart` (a string, no browser needed) or a page's own `Plot.plot` takes it.
 */
export interface Chart {
  /** Unique among the charts of a page; part of the ids in the drawing. */
  readonly name: string;
  readonly title: string;
  /** The chart's content in words, for those who cannot see it. */
  readonly description: string;
  plot(size: ChartSize): PlotOptions;
}
