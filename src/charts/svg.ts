import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Chart } from "./chart.js";
import type { ChartSize } from "./theme.js";

/**
 * Draws a chart as one SVG element, without a browser. It has a viewBox and no fixed size, so it fills its container;
 * title and description are there for screen readers. The same chart and size give the same text.
 */
export function renderChart(chart: Chart, size: ChartSize): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const svg = Plot.plot({
    width: size.width,
    className: "chart",
    style: { fontSize: `${size.fontSize}px`, fontFamily: "inherit", overflow: "visible" } as object,
    ...chart.plot(size),
    document,
  }) as unknown as SvgElement;
  for (const name of ["width", "height"]) svg.removeAttribute(name);
  const id = `chart-${chart.name}-${size.name}`;
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-labelledby", `${id}-title ${id}-desc`);
  const desc = document.createElementNS(SVG_NAMESPACE, "desc") as unknown as SvgElement;
  desc.id = `${id}-desc`;
  desc.textContent = chart.description;
  const title = document.createElementNS(SVG_NAMESPACE, "title") as unknown as SvgElement;
  title.id = `${id}-title`;
  title.textContent = chart.title;
  svg.prepend(title, desc);
  for (const style of svg.querySelectorAll("style")) style.remove();
  return shortenNumbers(svg.outerHTML);
}

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/** The little of the DOM that is needed here; the library's own types need a browser's. */
interface SvgElement {
  id: string;
  textContent: string;
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  prepend(...children: SvgElement[]): void;
  querySelectorAll(selector: string): Iterable<{ remove(): void }>;
}

/** A tenth of a pixel is enough for a path: this makes a report a third of its size. */
function shortenNumbers(svg: string): string {
  return svg.replace(/ d="([^"]*)"/g, (_all, path: string) => ` d="${path.replace(/-?\d+\.\d+/g, round)}"`);
}

function round(text: string): string {
  return String(Math.round(Number(text) * 10) / 10);
}
