import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { CompareRecord, Distribution } from "../../src/experiments/record.js";
import { articleRows } from "../../src/report/article.js";
import { renderCompareReport } from "../../src/report/compare-report.js";
import { escapeHtml, html } from "../../src/report/html.js";
import { formatLoss, formatRate, formatSeconds } from "../../src/report/numbers.js";
import { commandParts, summarize, unitDrift } from "../../src/report/summary.js";
import { fakeRecord } from "./fake-record.js";

const full = fakeRecord();
const page = renderCompareReport(full);
const text = (source: string) => (parseHTML(source).document.querySelector("main")?.textContent ?? "").replace(/\s+/g, " ");

describe("the report of a full run", () => {
  test("shows the numbers of the record: losses, accuracies, times and speeds of both arms", () => {
    const last118 = (arm: CompareRecord["arms"][number] | undefined) =>
      ((arm?.losses ?? []).slice(-118).reduce<number>((sum, loss) => sum + (loss ?? Number.NaN), 0) / 118).toFixed(3);
    const [plain, norm] = full.arms;
    const shown = text(page);
    expect(shown).toContain(
      `Training loss after 20 epochs: ${last118(norm)} with batch normalization, ${last118(plain)} without`,
    );
    for (const arm of [plain, norm]) expect(shown).toContain(`${(100 * (arm?.finalTestAccuracy ?? 0)).toFixed(2)}%`);
    for (const number of ["16.5 s", "21.5 s", "73,100", "56,200", "0.1.0", "v20.20.2"]) expect(shown).toContain(number);
  });

  test("says what it cannot show: n = 1, no tuned learning rate, one instant, pooled units", () => {
    const shown = text(page);
    for (const phrase of [
      "One run each (n = 1, seed 100)",
      "The learning rate was not tuned",
      "most of the gap as the learning rate’s",
      "One histogram alone, as in the article, shows no shift",
      "pooled units hide the drift",
      "1.30 times as long",
    ]) {
      expect(shown).toContain(phrase);
    }
    expect(shown).not.toMatch(/Small sample|Interrupted|diverged/);
  });

  test("states data, epochs, batch, rate, seed and n in the caption of each of its four figures", () => {
    const captions = [...parseHTML(page).document.querySelectorAll("figcaption")].map((node) => node.textContent ?? "");
    expect(captions.length).toBe(4);
    for (const caption of captions) expect(caption).toContain("MNIST, 20 epochs, batch 512, SGD at 0.01, seed 100, n = 1.");
  });

  test("gives the command that repeats it", () => {
    expect(text(page)).toContain(
      "npx evenkeel compare --data mnist --epochs 20 --lr 0.01 --batch 512 --hidden 64,128 --activation relu --seed 100 --threads 2",
    );
  });

  test("loads nothing and runs nothing: no address, no script, no handler", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|javascript:|@import|\son\w+="/i);
    expect(page.match(/(?:src|href)="(?!#)/g)).toBeNull();
    expect(page.match(/url\((?!#)/g)).toBeNull();
    expect(page.replaceAll("http://www.w3.org/2000/svg", "").replaceAll("http://www.w3.org/1999/xlink", "")).not.toMatch(
      /https?:|\/\//,
    );
  });

  test("has no id twice, and is the same text when rendered again", () => {
    const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(renderCompareReport(full)).toBe(page);
  });
});

describe("the report of an unusual run", () => {
  test("names the small sample in a notice, in the top line and in every caption", () => {
    const sample = renderCompareReport(fakeRecord({ sample: true }));
    const { document } = parseHTML(sample);
    expect(document.querySelector(".notice")?.textContent).toContain("Small sample, not the full data set");
    expect(document.querySelector(".kicker")?.textContent).toContain("small sample");
    for (const node of document.querySelectorAll("figcaption")) expect(node.textContent).toContain("(small sample)");
    expect(text(sample)).not.toContain("Beside the article’s numbers");
  });

  test("says where it was interrupted", () => {
    const shown = text(renderCompareReport(fakeRecord({ stopAt: 37 })));
    expect(shown).toContain("stopped after 37 of 2,360 steps");
    expect(shown).toContain("The test set was not evaluated.");
  });

  test("says which network diverged and at which step", () => {
    const shown = text(renderCompareReport(fakeRecord({ divergeAt: 812 })));
    expect(shown).toContain("The plain network diverged");
    expect(shown).toContain("first NaN or infinite at step 812");
    expect(shown).toContain("not finite without");
  });

  test("can be made before the first step and after one epoch", () => {
    expect(text(renderCompareReport(fakeRecord({ stopAt: 0 })))).toContain("Interrupted before the first training step");
    expect(text(renderCompareReport(fakeRecord({ epochs: 1 })))).toContain("Training loss after 1 epoch:");
  });

  test("escapes every text that a record can carry", () => {
    const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`;
    const record = fakeRecord({ epochs: 1 });
    const hostile: CompareRecord = {
      ...record,
      config: { ...record.config, dataDir: evil },
      data: { ...record.data, source: evil },
      probe: { ...record.probe, description: evil },
      versions: { ...record.versions, evenkeel: evil, node: evil, backend: evil },
    };
    const source = renderCompareReport(hostile);
    expect(source).not.toMatch(/<script|<img/);
    expect(text(source)).toContain(evil);
  });
});

describe("the parts of a report", () => {
  test("html escapes values, joins lists and drops null and false", () => {
    expect(html`<p>${"<a>&\"'"}${[html`<b>x</b>`, 1]}${null}${false}</p>`.text).toBe(
      "<p>&#60;a&#62;&#38;&#34;&#39;<b>x</b>1</p>",
    );
    expect(escapeHtml("a")).toBe("a");
  });

  test("the final loss is missing if its window has a value that was not finite", () => {
    expect(summarize(fakeRecord({ divergeAt: 2300 })).plain).toMatchObject({ finalLoss: null, divergedAt: 2300 });
  });

  test("unit drift is path over width, so two units that swap places drift though the pool stands still", () => {
    const at = (...medians: number[]) =>
      ({ units: { p50: medians, p15: medians.map((x) => x - 1), p85: medians.map((x) => x + 1) } }) as Distribution;
    expect(unitDrift([at(-3, 3), at(3, -3)])).toBe(3);
    expect(unitDrift([at(1, 2), at(1, 2)])).toBe(0);
    expect(unitDrift([at(1)])).toBeNull();
  });

  test("the article's losses stand beside the means of batches 41 to 80, only under its settings", () => {
    const rows = articleRows(full);
    expect(rows.map((row) => row.epoch)).toEqual([1, 5, 10, 20]);
    const window = full.arms[0]?.losses.slice(40, 80) as number[];
    expect(rows[0]?.here.plain).toBeCloseTo(window.reduce((a, b) => a + b, 0) / 40, 12);
    expect(articleRows({ ...full, config: { ...full.config, lr: 0.1 } })).toEqual([]);
    expect(articleRows(fakeRecord({ stopAt: 79 }))).toEqual([]);
  });

  test("the command quotes a folder for a shell and names a run that is not deterministic", () => {
    const parts = commandParts({ ...full.config, dataDir: "it's here", deterministic: false });
    expect(parts.slice(-2)).toEqual([`--data-dir 'it'\\''s here'`, "--no-deterministic"]);
  });

  test("numbers read well: small and large losses, times, speeds, and a dash for what is missing", () => {
    expect([0.1234, 0.00123, 12345, null].map(formatLoss)).toEqual(["0.123", "0.00123", "1.23e+4", "–"]);
    expect([9.96, 75, 3725].map(formatSeconds)).toEqual(["10.0 s", "1 min 15 s", "1 h 2 min"]);
    expect([56204.9, null].map(formatRate)).toEqual(["56,200", "–"]);
  });
});
