import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { init, manualSeed, normal, tensor } from "../../src/index.js";
import {
  describe as describeValues,
  type Histogram,
  histogram,
  klDivergence,
  shift,
  wasserstein1,
} from "../../src/instruments/index.js";
import { backends, expectClose } from "./support.js";

/** A histogram with bins of width 1 from `start`. */
const bars = (counts: number[], start = 0): Histogram => ({
  edges: Array.from({ length: counts.length + 1 }, (_, i) => start + i),
  counts,
  below: 0,
  above: 0,
  nonFinite: 0,
});

describe.each(backends)("shift on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`moving and stretching units gives the shifts that were made, within ${tolerance}`, () => {
    manualSeed(7);
    const x = normal([40, 3]);
    const before = describeValues(x, { units: "channel" });
    // By 2, −2 and 0 of each unit's own σ, and every unit to twice its spread around its mean.
    const [means, stds] = [before.units.map(({ mean }) => mean), before.units.map(({ std }) => std)];
    const moved = x.sub(tensor(means)).mul(2).add(tensor(means));
    const by = [2, -2, 0].map((k, i) => k * stds[i]!);
    const { units, rms, pooled } = shift(before, describeValues(moved.add(tensor(by)), { units: "channel" }));
    expectClose(
      units.map(({ mean }) => mean),
      [2, -2, 0],
      tolerance,
    );
    expectClose(
      units.map(({ logStd }) => logStd),
      [1, 1, 1].map(() => Math.log(2)),
      tolerance,
    );
    expectClose(rms, Math.sqrt(8 / 3), tolerance);
    const own = (k: number) => (2 * (before.units[0]!.percentiles[k]! - means[0]!) + means[0]! + by[0]!) as number;
    expectClose(
      units[0]!.percentiles,
      before.units[0]!.percentiles.map((p, k) => (own(k) - p) / stds[0]!),
      tolerance,
    );
    expect(Math.abs(pooled.mean)).toBeLessThan(0.5);
  });

  it("nothing moves between a description and itself", () => {
    const it = describeValues(normal([20, 2]), { units: "channel" });
    const still = { mean: 0, logStd: 0, percentiles: [0, 0, 0] };
    expect(shift(it, it)).toEqual({ pooled: still, units: [still, still], rms: 0 });
  });

  it("a unit that was constant has no σ to move by: infinite where it moves, left out of rms", () => {
    const before = describeValues(
      tensor([
        [1, 0],
        [1, 2],
      ]),
      { units: "channel" },
    );
    const after = describeValues(
      tensor([
        [2, 3],
        [2, 5],
      ]),
      { units: "channel" },
    );
    const { units, rms } = shift(before, after);
    expect([units[0]!.mean, units[1]!.mean, rms]).toEqual([Infinity, 3, 3]);
  });
});

describe("shift", () => {
  it("refuses descriptions that do not belong together", () => {
    const x = normal([4, 3]);
    expect(() => shift(describeValues(x), describeValues(x, { units: "channel" }))).toThrow(
      "shift: expected descriptions of the same units, got 0 units before and 3 after.",
    );
    expect(() => shift(describeValues(x), describeValues(x, { percentiles: [50] }))).toThrow(
      "shift: expected the same percentiles, got [15,50,85] before and [50] after.",
    );
  });
});

describe("wasserstein1", () => {
  const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 12 });
  const copies = (xs: number[], k: number) => xs.flatMap((v) => new Array<number>(k).fill(v));

  it("of samples it is what must be moved, exactly", () => {
    expect(wasserstein1([0, 1, 3], [5, 6, 8])).toBe(5);
    expect(wasserstein1([3, 0], [0, 3])).toBe(0);
    // Half of the value at 0 goes to 1, the other half to −2.
    expect(wasserstein1([0], [1, -2])).toBe(1.5);
    expect(wasserstein1([0, 1], [0, 0, 3])).toBeCloseTo(1 / 6 + 2 / 3, 15);
    expect(wasserstein1(tensor([1, 2]), tensor([4, 3]))).toBe(2);
  });

  it("of samples of different sizes it is that of copies in the same number, within 1e-12, and symmetric", () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const same = wasserstein1(copies(a, b.length), copies(b, a.length));
        expectClose([wasserstein1(a, b), wasserstein1(b, a)], [same, same], 1e-12);
      }),
    );
  });

  it("of two normal distributions with the same σ it is the distance of their means, within 0.03", async () => {
    await init();
    manualSeed(8);
    expectClose(wasserstein1(normal([20000]), normal([20000], 1.5)), 1.5, 0.03);
  });

  it("of histograms it takes values as spread in their bins: hand-computed, also where cumulative lines cross", () => {
    expect(wasserstein1(bars([1, 0, 0]), bars([0, 0, 1]))).toBe(2);
    expect(wasserstein1(bars([3, 1]), bars([3, 1], 0.5))).toBeCloseTo(0.5, 15);
    // Even on [0, 2] against all of it in [0.5, 1.5]: half of it moves by 1/4 on either side.
    const narrow: Histogram = { ...bars([9]), edges: [0.5, 1.5] };
    expect(wasserstein1(bars([2, 2]), narrow)).toBeCloseTo(0.25, 15);
    expect(wasserstein1(narrow, narrow)).toBe(0);
  });

  it("of histograms of 20,000 values it is that of the values, within a bin's width", async () => {
    await init();
    manualSeed(9);
    const [a, b] = [normal([20000]), normal([20000], 0.5, 2)];
    const range = [-12, 12] as const;
    const binned = wasserstein1(histogram(a, { bins: 240, range }).pooled, histogram(b, { bins: 240, range }).pooled);
    expect(Math.abs(binned - wasserstein1(a, b))).toBeLessThan(0.1);
  });

  it("refuses what is no distribution", () => {
    expect(() => wasserstein1([], [1])).toThrow("wasserstein1: expected a sample of finite values, got none at all.");
    expect(() => wasserstein1([1], [Number.NaN])).toThrow("wasserstein1: expected a sample of finite values, got NaN.");
    expect(() => wasserstein1({ ...bars([1]), above: 2 }, bars([1]))).toThrow(
      "wasserstein1: expected histograms with all values in their range, got 2 of them outside.",
    );
    expect(() => wasserstein1(bars([0]), bars([1]))).toThrow("got none.");
    expect(() => wasserstein1(bars([1]) as unknown as number[], [1])).toThrow("got one of each");
  });
});

describe("klDivergence", () => {
  it("is Σ p·ln(p/q), by hand, within 1e-15", () => {
    expectClose(klDivergence(bars([1, 3]), bars([2, 2])), 0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 1e-15);
    expect(klDivergence(bars([1, 3]), bars([5, 15]))).toBe(0);
  });

  it("is Infinity where q has nothing and p has something, finite with smoothing, and 0·ln 0 is 0", () => {
    expect(klDivergence(bars([1, 1]), bars([2, 0]))).toBe(Infinity);
    expectClose(klDivergence(bars([2, 0]), bars([1, 1])), Math.log(2), 1e-15);
    // Four bins, of which two lie outside: (1.5, 1.5, 0.5, 0.5) / 4 against (2.5, 0.5, 0.5, 0.5) / 4.
    const smoothed = (1.5 * Math.log(1.5 / 2.5) + 1.5 * Math.log(3)) / 4;
    expectClose(klDivergence(bars([1, 1]), bars([2, 0]), { smoothing: 0.5 }), smoothed, 1e-15);
  });

  it("counts what lies outside the range as bins", () => {
    expect(klDivergence({ ...bars([1]), above: 1 }, bars([1]))).toBe(Infinity);
    expectClose(klDivergence(bars([1]), { ...bars([1]), below: 3 }), Math.log(4), 1e-15);
  });

  it("of two normal distributions is half the square of their distance in σ, within 0.02", async () => {
    await init();
    manualSeed(10);
    const of = (mean: number) => histogram(normal([200000], mean), { bins: 60, range: [-5, 6] }).pooled;
    expectClose(klDivergence(of(1), of(0), { smoothing: 0.5 }), 0.5, 0.02);
  });

  it("refuses other edges, no values and negative smoothing", () => {
    expect(() => klDivergence(bars([1]), bars([1], 1))).toThrow("klDivergence: expected histograms with the same edges");
    expect(() => klDivergence(bars([1]), bars([1, 1]))).toThrow("klDivergence: expected histograms with the same edges");
    expect(() => klDivergence(bars([0]), bars([1]))).toThrow("klDivergence: expected histograms of at least one finite value");
    expect(() => klDivergence(bars([1]), bars([1]), { smoothing: -1 })).toThrow(
      "klDivergence: expected smoothing to be a finite number of at least 0, got -1.",
    );
  });
});
