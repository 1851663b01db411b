import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { full, init, manualSeed, memory, normal, type Tensor, tensor, uniform } from "../../src/index.js";
import { describe as describeValues, histogram, type Summary } from "../../src/instruments/index.js";
import { backends, expectClose } from "./support.js";

const { NaN: nan } = Number;

/** The definition in plain JavaScript: a sort, and sums over it. */
function plainly(values: readonly number[], percentiles: readonly number[]): Omit<Summary, "skewness"> {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const count = sorted.length;
  const mean = sorted.reduce((sum, v) => sum + v / count, 0);
  const variance = sorted.reduce((sum, v) => sum + (v - mean) ** 2 / count, 0);
  const quantile = (p: number) => {
    const at = ((count - 1) * p) / 100;
    const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
    return low + (at - Math.floor(at)) * (high - low);
  };
  return {
    count,
    nonFinite: values.length - count,
    mean: count > 0 ? mean : nan,
    variance: count > 0 ? variance : nan,
    std: count > 0 ? Math.sqrt(variance) : nan,
    min: sorted[0] ?? nan,
    max: sorted.at(-1) ?? nan,
    percentiles: percentiles.map((p) => (count > 0 ? quantile(p) : nan)),
  };
}

const numbersOf = ({ count, nonFinite, mean, std, min, max, percentiles }: Omit<Summary, "skewness" | "variance">) => [
  count,
  nonFinite,
  mean,
  std,
  min,
  max,
  ...percentiles,
];

/** Values of unit `unit` of [N, C, …] in the order of memory. */
const unitOf = (x: Tensor, unit: number): number[] => {
  const [, c, inner] = [x.shape[0]!, x.shape[1]!, x.size / x.shape[0]! / x.shape[1]!];
  return Array.from(x.data()).filter((_, i) => Math.floor(i / inner) % c === unit);
};

afterEach(() => init());

describe.each(backends)("describe on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("gives what can be computed by hand, exactly", () => {
    const { pooled, units, percentiles } = describeValues(tensor([4, 1, 3, 2, 10]), { percentiles: [0, 25, 62.5, 87.5, 100] });
    expect(pooled).toEqual({
      count: 5,
      nonFinite: 0,
      mean: 4,
      variance: 10,
      std: Math.sqrt(10),
      // Deviations 0, −3, −1, −2, 6.
      skewness: 36 / Math.sqrt(10) ** 3,
      min: 1,
      max: 10,
      percentiles: [1, 2, 3.5, 7, 10],
    });
    expect(units).toEqual([]);
    expect(percentiles).toEqual([0, 25, 62.5, 87.5, 100]);
  });

  it("a constant has its value everywhere, variance 0 and no skewness, at any size of the value", () => {
    for (const value of [0, 1, -3.5, 2 ** 100, 2 ** -140]) {
      const { pooled } = describeValues(full([3, 7], value));
      expect(pooled).toEqual({
        count: 21,
        nonFinite: 0,
        mean: value,
        variance: 0,
        std: 0,
        skewness: nan,
        min: value,
        max: value,
        percentiles: [value, value, value],
      });
    }
  });

  it("NaN and both infinities are counted and left out", () => {
    const { pooled } = describeValues(tensor([nan, 1, Infinity, 3, -Infinity, 2, nan]), { percentiles: [50] });
    expect(pooled).toMatchObject({ count: 3, nonFinite: 4, mean: 2, min: 1, max: 3, percentiles: [2], skewness: 0 });
  });

  it("of nothing but NaN all is NaN but the counts", () => {
    const { pooled } = describeValues(full([4], nan), { percentiles: [50] });
    const none = { mean: nan, variance: nan, std: nan, skewness: nan, min: nan, max: nan, percentiles: [nan] };
    expect(pooled).toEqual({ count: 0, nonFinite: 4, ...none });
  });

  it("agrees within 1e-9 with a sort in plain JavaScript, pooled and for each unit, whatever the values", () => {
    const value = fc.oneof(
      { weight: 8, arbitrary: fc.float({ noNaN: true, min: -1000, max: 1000 }) },
      { weight: 1, arbitrary: fc.constantFrom(nan, Infinity, -Infinity, 0, -0, 1) },
    );
    const shapes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }));
    const percents = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { maxLength: 5 });
    const cases = shapes.chain(([n, c, s]) =>
      fc.record({
        shape: fc.constant([n, c, s]),
        values: fc.array(value, { minLength: n * c * s, maxLength: n * c * s }),
        percentiles: percents,
      }),
    );
    fc.assert(
      fc.property(cases, ({ shape, values, percentiles }) => {
        const x = tensor(Float32Array.from(values), shape);
        const { pooled, units } = describeValues(x, { percentiles, units: "channel" });
        expectClose(numbersOf(pooled), numbersOf(plainly(Array.from(x.data()), percentiles)), 1e-9);
        for (const [i, unit] of units.entries()) {
          expectClose(numbersOf(unit), numbersOf(plainly(unitOf(x, i), percentiles)), 1e-9);
        }
        x.dispose();
      }),
    );
  });

  it("percentiles of 20,000 normal values are those of the distribution, within 0.05", () => {
    manualSeed(1);
    const { pooled } = describeValues(normal([200, 100], 3, 2), { percentiles: [15, 50, 85] });
    expectClose(pooled.percentiles, [3 - 2 * 1.03643, 3, 3 + 2 * 1.03643], 0.05);
    expectClose([pooled.mean, pooled.std, pooled.skewness], [3, 2, 0], 0.05);
  });

  it("skewness of an exponential distribution is 2, within 0.15", () => {
    manualSeed(2);
    expectClose(describeValues(uniform([50000], 1e-7, 1).log().neg()).pooled.skewness, 2, 0.15);
  });

  it("takes the units of [N, C, H, W] from axis 1", () => {
    const x = tensor([
      [[[1, 2]], [[10, 20]]],
      [[[3, 4]], [[30, 40]]],
    ]);
    const { pooled, units } = describeValues(x, { units: "channel", percentiles: [100] });
    expect(units.map(({ mean, percentiles }) => [mean, ...percentiles])).toEqual([
      [2.5, 4],
      [25, 40],
    ]);
    expect(pooled.mean).toBe(13.75);
  });

  it("refuses what it cannot describe, in one line, and leaves nothing behind", () => {
    const x = tensor([1, 2]);
    const before = memory();
    expect(() => describeValues(x, { percentiles: [50, 101] })).toThrow("describe: expected percentiles from 0 to 100, got 101.");
    expect(() => describeValues(x, { percentiles: [nan] })).toThrow("describe: expected percentiles from 0 to 100, got NaN.");
    expect(() => describeValues(x, { units: "channel" })).toThrow(
      "describe: expected [N, C, …] to have the units on axis 1, got shape [2].",
    );
    expect(() => describeValues(x, { units: "rows" as "channel" })).toThrow(
      'describe: expected units to be "pooled" or "channel", got "rows".',
    );
    expect(memory()).toEqual(before);
    const empty = full([0, 3], 0);
    expect(() => describeValues(empty)).toThrow("describe: expected at least one value, got shape [0, 3].");
    expect(() => describeValues(tensor(Int32Array.of(1)))).toThrow("describe: expected float32, got int32 of shape [1].");
  });
});

describe("on wasm", () => {
  it("three threads give the bits of one, pooled and for each unit", async () => {
    const results = [];
    for (const threads of [1, 3]) {
      await init({ threads });
      manualSeed(4);
      const x = normal([50, 30, 100]);
      results.push([describeValues(x, { units: "channel", percentiles: [1, 50, 99.5] }), histogram(x, { units: "channel" })]);
    }
    expect(results[1]).toEqual(results[0]);
  });

  it("percentiles of ten million values are those of a typed array's sort, exactly", () => {
    manualSeed(5);
    const x = normal([10_000_000]);
    const { pooled } = describeValues(x, { percentiles: [0, 50, 100] });
    const sorted = x.data().sort();
    const middle = sorted.length / 2;
    expect(pooled.percentiles).toEqual([sorted[0], (sorted[middle - 1]! + sorted[middle]!) / 2, sorted.at(-1)]);
    expect([pooled.count, pooled.min, pooled.max]).toEqual([sorted.length, sorted[0], sorted.at(-1)]);
    x.dispose();
  });
});
