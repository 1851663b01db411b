// Verdicts and measured values in words.
import type { ExperimentRecord, MetricRecord } from "../experiments/experiment-record.js";

/** A verdict as a word, a sign that does not need colour, and the name of its style. */
export function verdictWord({ verdict, plan }: ExperimentRecord): { word: string; mark: string; kind: string } {
  if (plan.mode === "quick") return { word: "quick", mark: "◇", kind: "quick" };
  switch (verdict) {
    case "PASS":
      return { word: "PASS", mark: "✓", kind: "pass" };
    case "FAIL":
      return { word: "FAIL", mark: "✗", kind: "fail" };
    case "INCONCLUSIVE":
      return { word: "INCONCLUSIVE", mark: "?", kind: "open" };
    case null:
      return { word: "reported", mark: "◇", kind: "quick" };
  }
}

/** Three digits, and e-notation where that is shorter. */
export function shortNumber(value: number | null): string {
  if (value === null) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e5 ? value.toExponential(1) : String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
  return text.replace(/^-/, "−").replace("e-", "e−");
}

export function valueText({ estimate, unit }: Pick<MetricRecord, "estimate" | "unit">): string {
  return unit === "" ? shortNumber(estimate) : `${shortNumber(estimate)} ${unit}`;
}

/** "[low, high]"; a dash where there is no interval. */
export function intervalText({ low, high }: MetricRecord): string {
  return low === null || high === null ? "–" : `[${shortNumber(low)}, ${shortNumber(high)}]`;
}
