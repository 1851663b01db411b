import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { full, init, manualSeed, tensor, uniform } from "../../src/index.js";
import { histogram } from "../../src/instruments/index.js";
import { backends } from "./support.js";

describe.each(backends)("histogram on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("a bin has its lower edge, the last one both, and what lies outside or is not finite is counted apart", () => {
    const x = tensor([-1, 0, 0.5, 1, 1.5, 2, 3, 3.5, 99, Number.NaN, Infinity, -Infinity]);
    expect(histogram(x, { bins: 3, range: [0, 3] })).toEqual({
      pooled: { edges: [0, 1, 2, 3], counts: [2, 2, 2], below: 1, above: 2, nonFinite: 3 },
      units: [],
    });
  });

  it("without a range the edges are the extremes, and nothing lies outside", () => {
    expect(histogram(tensor([2, 4, 3, 10]), { bins: 4 }).pooled).toEqual({
      edges: [2, 4, 6, 8, 10],
      counts: [2, 1, 0, 1],
      below: 0,
      above: 0,
      nonFinite: 0,
    });
  });

  it("a constant has bins around it, at any size of the value, and NaN alone has none filled", () => {
    const constant = histogram(full([6], 7), { bins: 2 }).pooled;
    expect([constant.edges, constant.counts]).toEqual([
      [6.5, 7, 7.5],
      [0, 6],
    ]);
    const huge = histogram(full([6], 2 ** 120), { bins: 2 }).pooled;
    expect(huge.counts).toEqual([0, 6]);
    expect(huge.edges[0]).toBeLessThan(huge.edges[1]!);
    const none = histogram(full([5], Number.NaN), { bins: 2 }).pooled;
    expect([none.edges, none.counts, none.nonFinite]).toEqual([[0, 0.5, 1], [0, 0], 5]);
  });

  it("units are counted each, and pooled counts are their sums", () => {
    const x = tensor([
      [0, 5],
      [1, -5],
      [0.25, 0.75],
    ]);
    const { pooled, units } = histogram(x, { bins: 2, range: [0, 1], units: "channel" });
    expect(units.map(({ counts, below, above }) => [...counts, below, above])).toEqual([
      [2, 1, 0, 0],
      [0, 1, 1, 1],
    ]);
    expect([...pooled.counts, pooled.below, pooled.above]).toEqual([2, 2, 1, 1]);
    expect(histogram(x, { bins: 2, range: [0, 1] }).pooled).toEqual(pooled);
  });

  it("every value lies between the edges of its bin, whatever the range, and none is lost", () => {
    const cases = fc.record({
      values: fc.array(fc.float({ min: -4, max: 4 }), { minLength: 1, maxLength: 60 }),
      bins: fc.integer({ min: 1, max: 40 }),
      low: fc.double({ min: -5, max: 4, noNaN: true }),
      width: fc.double({ min: 1e-6, max: 9, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ values, bins, low, width }) => {
        const x = tensor(Float32Array.from(values));
        const { edges, counts, below, above, nonFinite } = histogram(x, { bins, range: [low, low + width] }).pooled;
        const inBin = (i: number) => (v: number) => v >= edges[i]! && (i === bins - 1 ? v <= edges[bins]! : v < edges[i + 1]!);
        const own = Array.from(x.data());
        expect(counts).toEqual(counts.map((_, i) => own.filter(inBin(i)).length));
        expect([below, above]).toEqual([own.filter((v) => v < low).length, own.filter((v) => v > low + width).length]);
        expect(nonFinite).toBe(own.filter(Number.isNaN).length);
        x.dispose();
      }),
    );
  });

  it("refuses bins and ranges that are none", () => {
    const x = tensor([1, 2]);
    expect(() => histogram(x, { bins: 0 })).toThrow("histogram: expected bins to be an integer from 1 to 1048576, got 0.");
    expect(() => histogram(x, { range: [1, 1] })).toThrow(
      "histogram: expected a range from low to high, finite, with low < high, got [1, 1].",
    );
    expect(() => histogram(x, { range: [0, Infinity] })).toThrow("got [0, Infinity].");
    expect(() => histogram(x, { units: "channel" })).toThrow("histogram: expected [N, C, …] to have the units on axis 1");
    expect(() => histogram(full([0], 0))).toThrow("histogram: expected at least one value, got shape [0].");
  });
});

it("ten million uniform values fill ten bins evenly, within 1 %", async () => {
  await init();
  manualSeed(6);
  const x = uniform([10_000_000]);
  const { counts, below, above } = histogram(x, { bins: 10, range: [0, 1] }).pooled;
  expect(counts.reduce((sum, count) => sum + count, 0) + below + above).toBe(10_000_000);
  for (const count of counts) expect(Math.abs(count - 1e6)).toBeLessThan(1e4);
  x.dispose();
});
