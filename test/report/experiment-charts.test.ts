import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { experimentChart } from "../../src/charts/experiment-figure.js";
import { logTicks, tickText } from "../../src/charts/log-ticks.js";
import { renderChart } from "../../src/charts/svg.js";
import { CHART_SIZES, ROLE_COLOURS } from "../../src/charts/theme.js";
import type { Figure, LinesFigure } from "../../src/experiments/figure.js";
import { figureSchema } from "../../src/experiments/figure.js";
import { allFigures, dots, heat, lines } from "./fake-experiment.js";

const draw = (figure: Figure, size = CHART_SIZES.at(-1)!) => renderChart(experimentChart(figure), size);
const svgOf = (figure: Figure) => parseHTML(`<body>${draw(figure)}</body>`).document.querySelector("svg")!;
const cases = allFigures.flatMap((figure) => CHART_SIZES.map((size) => [figure.kind, size.name, figure, size] as const));

/** The same figure with nothing in it that can be drawn. */
const emptied: Figure[] = [
  { ...lines, series: [{ label: "a", role: "plain", points: [] }], rules: [] },
  { ...lines, series: [{ label: "a", role: "plain", points: [[1, null]] }], rules: [] },
  {
    ...lines,
    x: { label: "x", log: true },
    y: { label: "y", log: true },
    series: [{ label: "a", role: "plain", points: [[0, -1]] }],
  },
  { ...lines, series: [{ label: "a", role: "plain", points: [[1, 1]] }], rules: [] },
  {
    ...dots,
    x: { label: "x", log: true },
    rows: [{ label: "a", role: "other", estimate: null, low: null, high: null }],
    rules: [],
  },
  {
    ...heat,
    cells: [
      [null, null],
      [null, null],
    ],
    scale: { label: "s", from: 1, to: 1 },
  },
];

describe("figures of experiments", () => {
  test.each(cases)(
    "%s, %s: valid, with title, description and viewBox, without NaN, and the same when drawn again",
    (_k, _s, figure, size) => {
      expect(figureSchema.parse(figure)).toEqual(figure);
      const text = draw(figure, size);
      expect(text).not.toMatch(/NaN|Infinity|undefined/);
      expect(draw(figure, size)).toBe(text);
      const svg = parseHTML(`<body>${text}</body>`).document.querySelector("svg")!;
      expect(svg.querySelector("title")!.textContent).toBe(figure.title);
      expect(svg.querySelector("desc")!.textContent).toBe(figure.description);
      expect(svg.getAttribute("viewBox")).toMatch(new RegExp(`^0 0 ${size.width} \\d`));
    },
  );

  test.each(emptied.map((figure, i) => [i, figure.kind, figure] as const))(
    "%d: %s that have nothing to draw are drawn empty",
    (_i, _k, figure) => {
      for (const size of CHART_SIZES) expect(draw(figure, size)).not.toMatch(/NaN|Infinity|undefined/);
    },
  );

  test("a gap breaks a line, and bands are only where ends are known", () => {
    const one: LinesFigure = {
      ...lines,
      rules: [],
      series: [
        {
          label: "a",
          role: "plain",
          points: [
            [1, 1],
            [2, 2],
            [3, null],
            [4, 1],
            [5, 2],
          ],
        },
      ],
    };
    const paths = [...svgOf(one).querySelectorAll('g[aria-label="line"] path')].map((path) => path.getAttribute("d")!);
    expect(paths.length).toBe(1);
    expect(paths[0]!.match(/M/g)!.length).toBe(2);
    expect(svgOf(one).querySelector('g[aria-label="area"]')).toBeNull();
    expect(svgOf(lines).querySelectorAll('g[aria-label="area"]').length).toBe(1);
  });

  test("the legend names every kind of line once, and panels have headings", () => {
    const texts = [...svgOf(lines).querySelectorAll("text")].map((text) => text.textContent);
    for (const name of ["none", "BatchNorm", "LayerNorm", "law", "unit"]) {
      expect(texts.filter((text) => text === `━━ ${name}` || text === `╍╍ ${name}`).length).toBe(1);
    }
    expect(texts).toContain("one");
    expect(texts).toContain("two");
    expect(texts).toContain("counts as trained");
  });

  test("rows of dots say what is not finite, and stand under their group", () => {
    const texts = [...svgOf(dots).querySelectorAll("text")].map((text) => text.textContent);
    expect(texts).toEqual(expect.arrayContaining(["clean", "noise", "none", "BatchNorm", "diverged: not finite", "chance"]));
    expect(svgOf(dots).querySelectorAll("circle").length).toBe(2);
  });

  test("cells of a heat figure hold their number, and a dash where there is none", () => {
    const texts = [...svgOf(heat).querySelectorAll("text")].map((text) => text.textContent);
    expect(texts).toEqual(expect.arrayContaining(["11.4", "–", "97.3", "64"]));
  });

  test("each role has a colour of its own", () => {
    expect(new Set(Object.values(ROLE_COLOURS).map(({ line }) => line)).size).toBe(Object.keys(ROLE_COLOURS).length);
  });
});

describe("ticks", () => {
  test("of a logarithmic axis are powers of ten, with digits between where there is room", () => {
    expect(logTicks([1, 100])).toEqual([1, 2, 5, 10, 20, 50, 100]);
    expect(logTicks([0.001, 30])).toEqual([0.001, 0.01, 0.1, 1, 10]);
    expect(logTicks([0.3, 40], 5)).toEqual([0.3, 1, 3, 10, 30]);
    expect(logTicks([1e-16, 1]).length).toBeLessThanOrEqual(9);
  });

  test.each([
    [0, "0"],
    [0.01, "0.01"],
    [1000, "1,000"],
    [-2.5, "−2.5"],
    [1e-9, "10⁻⁹"],
    [2e6, "2·10⁶"],
  ])("%d reads %s", (value, text) => {
    expect(tickText(value)).toBe(text);
  });
});
