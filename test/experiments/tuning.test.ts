import { describe, expect, test } from "vitest";
import { dotsRow, exploratory } from "../../src/experiments/summary.js";
import { bestRate, bestRates } from "../../src/experiments/tuning.js";

describe("the best learning rate", () => {
  test("is that of the lowest loss, the smaller of equals, and never one that diverged", () => {
    expect(bestRate([0.1, 1, 10], (rate) => (rate === 1 ? 0.2 : 0.3))).toBe(1);
    expect(bestRate([0.1, 1, 10], () => 0.3)).toBe(0.1);
    expect(bestRate([0.1, 1, 10], (rate) => (rate === 10 ? 5 : null))).toBe(10);
  });

  test("of all arms is unknown while one run of one arm is", () => {
    const loss = (arm: "a" | "b", rate: number) => (arm === "a" ? rate : -rate);
    expect(bestRates(["a", "b"], [0.1, 1], loss)).toEqual({ a: 0.1, b: 1 });
    expect(bestRates(["a", "b"], [0.1, 1], (arm, rate) => (arm === "b" && rate === 1 ? undefined : 0))).toBeUndefined();
  });
});

describe("what is shown of one value of each seed", () => {
  test("is its mean and interval, and decides nothing", () => {
    const metric = exploratory("a", "points", [1, 2, 3]);
    expect(metric).toMatchObject({ estimate: 2, n: 3, role: "exploratory", values: [1, 2, 3] });
    expect(metric.verdict).toBeUndefined();
  });

  test("a row has null where a value or an end of the interval is not finite", () => {
    expect(dotsRow("a", "plain", [1, Number.NaN])).toMatchObject({ estimate: null, low: null, high: null, values: [1, null] });
    expect(dotsRow("a", "plain", [1], "g")).toMatchObject({ estimate: 1, low: null, high: null, group: "g" });
  });
});
