import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { blobs, spirals, type TableSet, twoMoons } from "../../src/data/index.js";

const make = { twoMoons, spirals, blobs };
const point = (set: TableSet, i: number) => [set.features[2 * i]!, set.features[2 * i + 1]!] as const;

describe.each(Object.entries(make))("%s", (_, generate) => {
  test("is the same for a seed and differs between seeds", () => {
    const a = generate({ count: 200, seed: 5 });
    expect(generate({ count: 200, seed: 5 }).features).toEqual(a.features);
    expect(generate({ count: 200, seed: 6 }).features).not.toEqual(a.features);
  });

  test("has finite features and classes that differ by at most one point", () => {
    const set = generate({ count: 100 });
    expect(set.features.length).toBe(200);
    expect(set.features.every(Number.isFinite)).toBe(true);
    const counts = new Array<number>(set.classes.length).fill(0);
    for (const label of set.labels) counts[label]!++;
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  test("refuses counts, noise and seeds that cannot be used", () => {
    expect(() => generate({ count: 0 })).toThrow(/expected count to be a positive integer, got 0\./);
    expect(() => generate({ count: 5, noise: -1 })).toThrow(/expected noise to be a non-negative number, got -1\./);
    expect(() => generate({ count: 5, seed: 1.5 })).toThrow(OptionError);
  });
});

test("two moons without noise lie within 1e-6 of two half circles of radius 1", () => {
  const set = twoMoons({ count: 500, noise: 0, seed: 1 });
  for (let i = 0; i < set.count; i++) {
    const [x, y] = point(set, i);
    const upper = set.labels[i] === 0;
    expect(Math.hypot(upper ? x : x - 1, upper ? y : y - 0.5)).toBeCloseTo(1, 6);
    expect(upper ? y >= 0 : y <= 0.5).toBe(true);
  }
});

test("spirals without noise have the angle turns·radius plus their arm's, within 1e-5 of Math.atan2", () => {
  const set = spirals({ count: 600, classes: 4, turns: 1.3, noise: 0, seed: 2 });
  for (let i = 0; i < set.count; i++) {
    const [x, y] = point(set, i);
    const radius = Math.hypot(x, y);
    if (radius < 0.05) continue;
    const turns = 1.3 * radius + set.labels[i]! / 4 - Math.atan2(y, x) / (2 * Math.PI);
    expect(Math.abs(turns - Math.round(turns))).toBeLessThan(1e-5);
  }
});

test("blobs spread around their class's center with the given standard deviation, within 5 %", () => {
  const set = blobs({ count: 20_000, classes: 2, width: 3, noise: 0.5, seed: 3 });
  expect(set.shape).toEqual([3]);
  for (const label of [0, 1]) {
    const values = Array.from({ length: set.count }, (_, i) => i)
      .filter((i) => set.labels[i] === label)
      .map((i) => set.features[3 * i]!);
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(10.1);
    expect(Math.abs(Math.sqrt(variance) / 0.5 - 1)).toBeLessThan(0.05);
  }
});
