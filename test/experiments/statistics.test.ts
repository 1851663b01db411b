import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  above,
  allOf,
  below,
  everySeed,
  exactly,
  interval,
  pairedDifference,
  ratioAbove,
  slope,
  standardDeviation,
  type Time,
  timeRatio,
  tProbability,
  tQuantile,
  within,
} from "../../src/experiments/statistics.js";

const at = (steps: number): Time => ({ steps, censored: false });
const never = (cap: number): Time => ({ steps: cap, censored: true });
const from = (low: number, high: number) => ({ estimate: (low + high) / 2, low, high, n: 5 });

describe("Student's t", () => {
  // 97.5 % and 95 % points as printed in every table of the distribution.
  test.each([
    [1, 12.706, 6.314],
    [2, 4.303, 2.92],
    [4, 2.776, 2.132],
    [9, 2.262, 1.833],
    [30, 2.042, 1.697],
    [1000, 1.962, 1.646],
  ])("with %i degrees of freedom has the tabled quantiles to 5e-4", (df, two, one) => {
    expect(Math.abs(tQuantile(0.975, df) - two)).toBeLessThan(5e-4);
    expect(Math.abs(tQuantile(0.95, df) - one)).toBeLessThan(5e-4);
  });

  test("with 1 and 2 degrees of freedom has its closed forms to 1e-13", () => {
    for (const t of [-3, -0.5, 0, 0.1, 1, 7]) {
      expect(Math.abs(tProbability(t, 1) - (0.5 + Math.atan(t) / Math.PI))).toBeLessThan(1e-13);
      expect(Math.abs(tProbability(t, 2) - (0.5 + t / (2 * Math.sqrt(2 + t * t))))).toBeLessThan(1e-13);
    }
  });

  test("quantile and probability are inverse to 1e-10", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.51, max: 0.9999, noNaN: true }), fc.integer({ min: 1, max: 200 }), (p, df) => {
        expect(Math.abs(tProbability(tQuantile(p, df), df) - p)).toBeLessThan(1e-10);
      }),
    );
  });
});

describe("intervals", () => {
  test("of 1, 2, 3, 4, 5 is 3 ± 2.776·√2.5/√5", () => {
    const { estimate, low, high, n } = interval([1, 2, 3, 4, 5]);
    expect([estimate, n]).toEqual([3, 5]);
    expect(high - 3).toBeCloseTo((2.7764451 * Math.sqrt(2.5)) / Math.sqrt(5), 6);
    expect(low).toBeCloseTo(6 - high, 12);
  });

  test("of one value says that nothing is known, of none or NaN gives NaN", () => {
    expect(interval([2])).toEqual({ estimate: 2, low: -Infinity, high: Infinity, n: 1 });
    expect(interval([]).estimate).toBeNaN();
    expect(interval([1, Number.NaN, 2]).low).toBeNaN();
  });

  test("of paired differences do not see what both of a pair share", () => {
    const shared = [10, -50, 3, 900, 0];
    const { estimate, low, high } = pairedDifference(
      shared.map((x, i) => x + 1 + 0.01 * i),
      shared,
    );
    expect(estimate).toBeCloseTo(1.02, 10);
    expect(high - low).toBeLessThan(0.05);
    expect(() => pairedDifference([1], [1, 2])).toThrow("lists of one length, got 1 and 2");
  });

  test("cover the true mean of normal samples in 93 to 97 % of 2,000 trials", () => {
    let state = 12345;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state + 0.5) / 2 ** 32;
    };
    const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
    let covered = 0;
    for (let i = 0; i < 2000; i++) {
      const { low, high } = interval(Array.from({ length: 5 }, normal));
      if (low < 0 && high > 0) covered++;
    }
    expect(covered / 2000).toBeGreaterThan(0.93);
    expect(covered / 2000).toBeLessThan(0.97);
  });

  test("a standard deviation is that of n − 1", () => {
    expect(standardDeviation([1, 3])).toBeCloseTo(Math.SQRT2, 12);
    expect(standardDeviation([1])).toBeNaN();
  });
});

describe("ratios of times", () => {
  test("are geometric means", () => {
    const ratio = timeRatio([at(200), at(800)], [at(100), at(100)]);
    expect(ratio.estimate).toBeCloseTo(4, 12);
    expect(ratio.bound).toBe("exact");
  });

  test("pass with censored slow runs only if every pair exceeds the threshold", () => {
    const fast = [at(100), at(100), at(100)];
    const some = timeRatio([never(400), at(300), never(400)], fast);
    expect(some.bound).toBe("lower");
    expect(ratioAbove(some, 2)).toBe("PASS");
    expect(ratioAbove(some, 3.5)).toBe("INCONCLUSIVE");
    expect(ratioAbove(some, 100)).toBe("INCONCLUSIVE");
  });

  test("never pass where the run claimed faster did not arrive", () => {
    const ratio = timeRatio([never(400), never(400)], [at(100), never(400)]);
    expect(ratio.bound).toBe("unknown");
    expect(ratioAbove(ratio, 0.1)).toBe("INCONCLUSIVE");
  });

  test("without censoring are judged by their interval", () => {
    const ratio = timeRatio([at(210), at(200), at(190)], [at(100), at(100), at(100)]);
    expect(ratioAbove(ratio, 1.5)).toBe("PASS");
    expect(ratioAbove(ratio, 2)).toBe("INCONCLUSIVE");
    expect(ratioAbove(ratio, 3)).toBe("FAIL");
  });
});

describe("verdicts", () => {
  test("need the whole interval beyond the threshold; touching it is not beyond", () => {
    expect([above(from(1.1, 2), 1), above(from(1, 2), 1), above(from(0, 1), 1), above(from(0, 0.9), 1)]).toEqual([
      "PASS",
      "INCONCLUSIVE",
      "INCONCLUSIVE",
      "FAIL",
    ]);
    expect([below(from(0, 0.9), 1), below(from(0, 1), 1), below(from(1.1, 2), 1)]).toEqual(["PASS", "INCONCLUSIVE", "FAIL"]);
  });

  test("of a window pass inside, fail when disjoint, and else cannot tell", () => {
    const window = (low: number, high: number) => within(from(low, high), 1, 2);
    expect([window(1, 2), window(0.9, 1.5), window(1.5, 2.1), window(0, 0.9), window(2.1, 3), window(0, 3)]).toEqual([
      "PASS",
      "INCONCLUSIVE",
      "INCONCLUSIVE",
      "FAIL",
      "FAIL",
      "INCONCLUSIVE",
    ]);
  });

  test("of NaN are inconclusive", () => {
    const nothing = interval([Number.NaN, 1]);
    expect([above(nothing, 0), below(nothing, 0), within(nothing, -1, 1)]).toEqual(Array(3).fill("INCONCLUSIVE"));
  });

  test("of one seed are inconclusive", () => {
    expect([above(interval([9]), 0), everySeed([true])]).toEqual(["INCONCLUSIVE", "INCONCLUSIVE"]);
  });

  test("of counts need every seed", () => {
    expect([everySeed([true, true]), everySeed([true, false, true]), everySeed([])]).toEqual(["PASS", "FAIL", "INCONCLUSIVE"]);
    expect([exactly(true), exactly(false)]).toEqual(["PASS", "FAIL"]);
  });

  test("joined fail by one failure and pass only by all", () => {
    expect(allOf("PASS", "PASS")).toBe("PASS");
    expect(allOf("PASS", "INCONCLUSIVE")).toBe("INCONCLUSIVE");
    expect(allOf("INCONCLUSIVE", "FAIL", "PASS")).toBe("FAIL");
    expect(allOf()).toBe("INCONCLUSIVE");
  });

  test("slope of a line is its slope to 1e-12", () => {
    expect(slope([1, 2, 4, 9], [1, 3, 7, 17])).toBeCloseTo(2, 12);
  });
});
