import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { renderExperimentsReport } from "../../src/report/experiments-report.js";
import { formula } from "../../src/report/formula.js";
import { intervalText, shortNumber, verdictWord } from "../../src/report/verdicts.js";
import { fakeExperiment } from "./fake-experiment.js";

const quick = { mode: "quick" as const, seeds: [100, 101], data: "mnist" as const };
const fashion = { mode: "full" as const, seeds: [100, 101, 102, 103, 104], data: "fashion" as const };
const page = (...records: ReturnType<typeof fakeExperiment>[]) => {
  const text = renderExperimentsReport(records);
  return { text, document: parseHTML(text).document };
};

describe("the page of experiments", () => {
  const records = [
    fakeExperiment({ id: "E10", title: "Ten", verdict: null, metrics: [] }),
    fakeExperiment(),
    fakeExperiment({ plan: fashion, verdict: "FAIL" }),
    fakeExperiment({ id: "E3", title: "Three", plan: quick, verdict: null }),
  ];

  test("is one file without scripts or anything from elsewhere, the same for the same records", () => {
    const { text, document } = page(...records);
    expect(document.querySelectorAll("script,link,img,iframe").length).toBe(0);
    expect(text.replace(/http:\/\/www\.w3\.org\/[\w/]+/g, "")).not.toMatch(/https?:\/\//);
    const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')!.getAttribute("content");
    expect(policy).toContain("default-src 'none'");
    expect(renderExperimentsReport([...records].reverse()) === text).toBe(true);
  });

  test("has its experiments in the order of their numbers, and every link of the table leads somewhere", () => {
    const { document } = page(...records);
    expect([...document.querySelectorAll("section.experiment")].map(({ id }) => id)).toEqual(["e2", "e3", "e10"]);
    const links = [...document.querySelectorAll(".verdicts a")].map((a) => a.getAttribute("href")!.slice(1));
    expect(links).toEqual(["e2-mnist", "e2-fashion", "e3-mnist", "e10-mnist"]);
    for (const id of links) expect(document.getElementById(id)).not.toBeNull();
  });

  test("says claim, criterion, interval, finding, limits and how to run it again", () => {
    const { document } = page(...records);
    const text = document.querySelector("#e2")!.textContent!.replace(/\s+/g, " ");
    for (const words of [
      "It trains faster.",
      "A small window.",
      "1.5 decades",
      "[1.2, 1.8]",
      "interval above 1 · PASS",
      "The window is 10 times",
    ]) {
      expect(text).toContain(words);
    }
    for (const words of ["The window.", "Why.", "evenkeel run E2 --data fashion", "2026-01-01: the rate was wrong."])
      expect(text).toContain(words);
    expect(document.querySelector("#e3")!.textContent).toContain("evenkeel run E3 --quick");
    expect(document.querySelector("#e3-mnist .verdict")!.textContent).toContain("quick");
    expect(document.querySelector("#e2-fashion .verdict")!.textContent).toContain("✗ FAIL");
    expect(document.querySelector("#e10-mnist .verdict")!.textContent).toContain("reported");
  });

  test("names in the table the control that decided against a primary metric that passed", () => {
    const { metrics } = fakeExperiment();
    const control = { ...metrics[0]!, name: "its control", role: "control" as const, verdict: "FAIL" as const };
    const { document } = page(fakeExperiment({ verdict: "FAIL", metrics: [metrics[0]!, control] }));
    expect(document.querySelector(".verdicts")!.textContent).toContain("control, its control: FAIL");
  });

  test("every figure has a text alternative at each size, and can be saved as a drawing that stands alone", () => {
    const { document } = page(fakeExperiment());
    const figures = [...document.querySelectorAll("figure")];
    expect(figures.length).toBe(3);
    const ids = new Set<string>();
    for (const figure of figures) {
      for (const svg of figure.querySelectorAll("svg")) {
        for (const id of svg.getAttribute("aria-labelledby")!.split(" ")) {
          expect(svg.querySelector(`[id="${id}"]`)!.textContent!.length).toBeGreaterThan(5);
          expect(ids.has(id)).toBe(false);
          ids.add(id);
        }
      }
      const save = figure.querySelector("a.save")!;
      expect(save.getAttribute("download")).toMatch(/^some-\w+-mnist\.svg$/);
      const saved = decodeURIComponent(save.getAttribute("href")!.replace("data:image/svg+xml,", ""));
      expect(saved.startsWith('<svg xmlns="http://www.w3.org/2000/svg"')).toBe(true);
      // Colours come with their own values, since the page's variables stay behind.
      expect(saved.match(/var\(--[\w-]+\)/)).toBeNull();
    }
  });

  test("shows the full record where there is a quick one, too, and the longer of two", () => {
    const { document } = page(
      fakeExperiment({ plan: quick, verdict: null, finding: "quickly" }),
      fakeExperiment({ finding: "fully" }),
    );
    expect(document.querySelector("#e2")!.textContent).toContain("fully");
    expect(document.querySelector("#e2")!.textContent).not.toContain("quickly");
  });

  test("escapes text of records wherever it stands", () => {
    const evil = '<img src=x onerror="alert(1)">&';
    const { text, document } = page(
      fakeExperiment({
        title: evil,
        claim: evil,
        finding: evil,
        changes: [evil],
        formulas: [evil],
        setting: evil,
        exploratory: evil,
        source: evil,
      }),
    );
    expect(document.querySelectorAll("img").length).toBe(0);
    expect(text.includes("<img")).toBe(false);
  });
});

describe("words of the report", () => {
  test("a formula is MathML; what is no TeX stays text", () => {
    expect(formula("\\frac{a}{b}").text).toMatch(/^<math.*<mfrac>/);
    expect(formula("\\frac{<b>").text).toBe("<code>\\frac{&#60;b&#62;</code>");
  });

  test("numbers have three or four digits, and a minus is a minus", () => {
    expect([0, 1.23456, 123.456, -0.5, 1e-16, null].map(shortNumber)).toEqual(["0", "1.23", "123.5", "−0.5", "1.0e−16", "–"]);
    expect(intervalText({ low: null, high: 1 } as never)).toBe("–");
  });

  test("verdicts have a sign that does not need colour", () => {
    const marks = (["PASS", "FAIL", "INCONCLUSIVE", null] as const).map(
      (verdict) => verdictWord(fakeExperiment({ verdict })).mark,
    );
    expect(marks).toEqual(["✓", "✗", "?", "◇"]);
  });
});
