import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { accuracyChart } from "../../src/charts/accuracy.js";
import { distributionChart } from "../../src/charts/distribution.js";
import { lossChart } from "../../src/charts/loss.js";
import { percentileChart } from "../../src/charts/percentiles.js";
import { finalWindow, meanOrNull, smooth, spread, thin } from "../../src/charts/series.js";
import { renderChart } from "../../src/charts/svg.js";
import { CHART_SIZES, type ChartSize } from "../../src/charts/theme.js";
import { timeAxis } from "../../src/charts/time-axis.js";
import { fakeRecord } from "./fake-record.js";

const record = fakeRecord({ epochs: 4 });
const charts = [lossChart, distributionChart, percentileChart, accuracyChart];
const cases = charts.flatMap((make) => CHART_SIZES.map((size) => [make(record).name, size.name, make, size] as const));
const wide = CHART_SIZES.at(-1) as ChartSize;

describe("every chart at every size", () => {
  test.each(cases)("%s, %s: has title, description, viewBox and no fixed size", (_name, _size, make, size) => {
    const chart = make(record);
    const svg = parseHTML(`<body>${renderChart(chart, size)}</body>`).document.querySelector("svg");
    const [title, desc] = (svg?.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => svg?.querySelector(`[id="${id}"]`));
    expect([title?.localName, title?.textContent]).toEqual(["title", chart.title]);
    expect([desc?.localName, desc?.textContent]).toEqual(["desc", chart.description]);
    expect(svg?.getAttribute("viewBox")).toMatch(new RegExp(`^0 0 ${size.width} \\d`));
    expect(svg?.getAttribute("width") ?? null).toBeNull();
  });

  test.each(cases)("%s, %s: holds no NaN, and is the same text when drawn again", (_name, _size, make, size) => {
    const svg = renderChart(make(record), size);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(renderChart(make(record), size)).toBe(svg);
  });

  test.each(cases)("%s, %s: can be drawn from diverged, short and empty runs", (_name, _size, make, size) => {
    for (const options of [{ divergeAt: 1 }, { divergeAt: 60, epochs: 1 }, { stopAt: 1 }, { stopAt: 0 }]) {
      expect(renderChart(make(fakeRecord(options)), size)).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  test("text stays at 11 px or more at the least width each size is shown at, from a figure of 328 px on", () => {
    for (const size of CHART_SIZES) expect((size.fontSize * Math.max(328, size.from)) / size.width).toBeGreaterThanOrEqual(11);
  });
});

describe("what charts say", () => {
  test("the loss chart marks the step at which an arm stopped being finite", () => {
    expect(renderChart(lossChart(fakeRecord({ divergeAt: 812 })), wide)).toContain("plain: not finite from step 812");
  });

  test("the loss axis is logarithmic for a tenfold fall and linear from zero for a short run", () => {
    expect(renderChart(lossChart(fakeRecord()), wide)).toContain("loss (log scale)");
    expect(renderChart(lossChart(fakeRecord({ stopAt: 37 })), wide)).not.toContain("log scale");
  });

  test("percentiles draw one line per unit and panel", () => {
    const svg = renderChart(percentileChart(record), wide);
    const groups = [...parseHTML(`<body>${svg}</body>`).document.querySelectorAll('g[stroke-opacity="0.42"]')];
    const lines = groups.map((group) => group.querySelectorAll("path").length);
    expect(lines).toEqual([64, 64, 64]);
  });
});

describe("series", () => {
  test("smoothing keeps a straight line straight, ends included, within 1e-12", () => {
    const line = Array.from({ length: 40 }, (_, i) => 3 - 0.05 * i);
    for (const [i, point] of (smooth(line, 9)[0] ?? []).entries())
      expect(Math.abs(point.value - (line[i] as number))).toBeLessThan(1e-12);
  });

  test("smoothing away from the ends is the centred moving average within 1e-12", () => {
    const values = Array.from({ length: 40 }, (_, i) => Math.sin(i * i));
    const mean = values.slice(16, 25).reduce((sum, x) => sum + x, 0) / 9;
    expect(Math.abs((smooth(values, 9)[0]?.[20]?.value ?? Number.NaN) - mean)).toBeLessThan(1e-12);
  });

  test("smoothing breaks at missing values and never mixes the pieces", () => {
    const values = [1, 1, null, 9, 9];
    expect(smooth(values, 5).map((piece) => piece.map((point) => [point.step, point.value]))).toEqual([
      [
        [1, 1],
        [2, 1],
      ],
      [
        [4, 9],
        [5, 9],
      ],
    ]);
  });

  test("thinning keeps the extremes", () => {
    const points = Array.from({ length: 1000 }, (_, i) => ({
      step: i + 1,
      value: i === 417 ? 50 : i === 733 ? -50 : Math.sin(i),
    }));
    const kept = thin(points, 50);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect([Math.max(...kept.map((p) => p.value)), Math.min(...kept.map((p) => p.value))]).toEqual([50, -50]);
    expect(kept.every((p, i) => i === 0 || p.step > (kept[i - 1]?.step ?? 0))).toBe(true);
  });

  test("spreading keeps first and last", () => {
    expect(spread([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 3, 6, 9]);
  });

  test("a mean with a missing value is missing, and the final window is a tenth of the run, at most an epoch", () => {
    expect([meanOrNull([1, 2]), meanOrNull([1, null]), meanOrNull([])]).toEqual([1.5, null, null]);
    expect([finalWindow(2360, 118), finalWindow(118, 118), finalWindow(1, 118)]).toEqual([118, 12, 1]);
  });

  test("the time axis counts epochs from two epochs on, else steps", () => {
    expect(timeAxis(2360, 118, wide).ticks.map(timeAxis(2360, 118, wide).format)).toEqual(
      Array.from({ length: 11 }, (_, i) => String(2 * i)),
    );
    expect(timeAxis(37, 118, wide).label).toBe("Training step (118 make an epoch)");
  });
});
