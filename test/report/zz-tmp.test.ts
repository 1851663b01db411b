import { writeFileSync } from "node:fs";
import { test } from "vitest";
import { renderCompareReport } from "../../src/report/compare-report.js";
import { fakeRecord } from "./fake-record.js";
test("render", () => {
  const t = performance.now();
  for (const [n, o] of Object.entries({ full: {}, diverged: { divergeAt: 812 }, interrupted: { stopAt: 37 }, one: { epochs: 1 }, sample: { sample: true }, none: { stopAt: 0 } })) {
    const h = renderCompareReport(fakeRecord(o)); writeFileSync(`/tmp/ek/${n}.html`, h); console.log(n, h.length, performance.now() - t);
  }
});
