import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allIndices, balancedSubset, blobs, take, trainValidationSplit } from "../../src/data/index.js";

describe("trainValidationSplit", () => {
  test("puts every example into exactly one part, whatever the sizes and the seed", () => {
    const cases = fc
      .integer({ min: 2, max: 300 })
      .chain((count) => fc.tuple(fc.constant(count), fc.integer({ min: 1, max: count - 1 }), fc.nat()));
    fc.assert(
      fc.property(cases, ([count, validation, seed]) => {
        const parts = trainValidationSplit({ count }, { validation, seed });
        expect(parts.validation.length).toBe(validation);
        expect(Array.from([...parts.train, ...parts.validation]).sort((a, b) => a - b)).toEqual(Array.from(allIndices(count)));
      }),
    );
  });

  test("depends on the seed alone, and takes shares", () => {
    const a = trainValidationSplit({ count: 1000 }, { validation: 0.1, seed: 4 });
    expect(a.validation.length).toBe(100);
    expect(trainValidationSplit({ count: 1000 }, { validation: 100, seed: 4 })).toEqual(a);
    expect(trainValidationSplit({ count: 1000 }, { validation: 100, seed: 5 })).not.toEqual(a);
  });

  test("refuses parts that would be empty or fractional", () => {
    for (const validation of [0, 10, 11, -1, 2.5, 0.01, 0.99, Number.NaN]) {
      expect(() => trainValidationSplit({ count: 10 }, { validation })).toThrow(
        `trainValidationSplit: expected a share between 0 and 1 or a number from 1 to 9 that leaves both parts filled, ` +
          `got ${validation} of 10.`,
      );
    }
  });
});

test("take gives the first examples of a set or of a list, as a copy, and refuses more than there are", () => {
  const list = Int32Array.of(9, 8, 7);
  const two = take(list, 2);
  two[0] = 0;
  expect(Array.from(list)).toEqual([9, 8, 7]);
  expect(Array.from(take({ count: 5 }, 3))).toEqual([0, 1, 2]);
  expect(() => take(list, 4)).toThrow("take: expected a number of examples from 1 to 3, got 4.");
  expect(() => take({ count: 5 }, 0)).toThrow("got 0");
});

describe("balancedSubset", () => {
  const set = blobs({ count: 301, classes: 3 });

  test("has as many distinct examples of each class, in order, the same for a seed", () => {
    const chosen = balancedSubset(set, { perClass: 40, seed: 1 });
    expect(new Set(chosen).size).toBe(120);
    expect([0, 1, 2].map((k) => chosen.filter((i) => set.labels[i] === k).length)).toEqual([40, 40, 40]);
    expect(Array.from(chosen)).toEqual(Array.from(chosen).sort((a, b) => a - b));
    expect(balancedSubset(set, { perClass: 40, seed: 1 })).toEqual(chosen);
    expect(balancedSubset(set, { perClass: 40, seed: 2 })).not.toEqual(chosen);
  });

  test("chooses among given indices only", () => {
    const { train, validation } = trainValidationSplit(set, { validation: 60 });
    const chosen = balancedSubset(set, { perClass: 50, indices: train });
    expect(chosen.some((i) => validation.includes(i))).toBe(false);
  });

  test("refuses to give more than a class has, naming it, and sets without classes", () => {
    expect(() => balancedSubset(set, { perClass: 101 })).toThrow(
      'balancedSubset: expected 101 examples of each class, got 100 of class "1".',
    );
    expect(() => balancedSubset({ ...set, classes: [] }, { perClass: 1 })).toThrow("got a set without classes");
    expect(() => balancedSubset(set, { perClass: 0 })).toThrow("expected perClass to be a positive integer, got 0.");
  });
});
