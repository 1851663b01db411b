import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { allIndices, checkSet, DataLoader, type ImageSet, type LoaderOptions } from "../../src/data/index.js";

/** A set of `count` images of one pixel. */
function pixels(count: number): ImageSet {
  return {
    name: "pixels",
    images: new Uint8Array(count),
    labels: new Int32Array(count),
    count,
    shape: [1, 1, 1],
    classes: ["only"],
    source: "a test",
    sample: false,
  };
}

const sizes = (count: number, options: LoaderOptions) =>
  Array.from(new DataLoader(pixels(count), options).epoch(0), (b) => b.length);
const flat = (batches: Iterable<Int32Array>) => Array.from(batches, (b) => Array.from(b)).flat();
const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b);

describe("an epoch", () => {
  const cases = fc.record({
    count: fc.integer({ min: 1, max: 200 }),
    batchSize: fc.integer({ min: 1, max: 70 }),
    seed: fc.maxSafeNat(),
    epoch: fc.nat(),
    shuffle: fc.boolean(),
    dropLast: fc.constantFrom("keep" as const, "merge" as const),
  });

  test("visits every index exactly once with keep and merge, in `length` batches", () => {
    fc.assert(
      fc.property(cases, ({ count, epoch, ...options }) => {
        const loader = new DataLoader(pixels(count), options);
        const batches = [...loader.epoch(epoch)];
        expect(batches.length).toBe(loader.length);
        expect(sorted(flat(batches))).toEqual(Array.from(allIndices(count)));
        expect(batches.slice(0, -1).every((b) => b.length === options.batchSize)).toBe(true);
      }),
    );
  });

  test("with drop visits as many distinct indices as full batches hold", () => {
    fc.assert(
      fc.property(cases, ({ count, epoch, ...options }) => {
        fc.pre(count >= options.batchSize);
        const loader = new DataLoader(pixels(count), { ...options, dropLast: "drop" });
        const visited = flat(loader.epoch(epoch));
        expect(visited.length).toBe(Math.floor(count / options.batchSize) * options.batchSize);
        expect(new Set(visited).size).toBe(visited.length);
        expect(loader.count).toBe(visited.length);
      }),
    );
  });

  test("visits exactly the given indices, and keeps to them when the caller's list changes later", () => {
    const indices = Int32Array.of(90, 3, 55, 20, 7);
    const loader = new DataLoader(pixels(100), { batchSize: 2, shuffle: true, indices });
    indices.fill(0);
    expect(sorted(flat(loader.epoch(3)))).toEqual([3, 7, 20, 55, 90]);
    expect(flat(new DataLoader(pixels(100), { batchSize: 2, indices: Int32Array.of(5, 4, 9) }).epoch(1))).toEqual([5, 4, 9]);
  });

  test("is views into one order: no index batch has memory of its own", () => {
    const batches = [...new DataLoader(pixels(100), { batchSize: 32, shuffle: true }).epoch(0)];
    expect(new Set(batches.map((b) => b.buffer)).size).toBe(1);
  });

  test("cannot be spoilt for later epochs by writing into its batches", () => {
    const loader = new DataLoader(pixels(10), { batchSize: 5 });
    for (const batch of loader.epoch(0)) batch.fill(0);
    expect(flat(loader.epoch(1))).toEqual(Array.from(allIndices(10)));
  });
});

describe("shuffling", () => {
  const loader = (seed: number) => new DataLoader(pixels(1000), { batchSize: 10, shuffle: true, seed });

  test("depends on seed and epoch alone, not on what was asked before", () => {
    const used = loader(7);
    for (const e of [0, 1, 2]) flat(used.epoch(e));
    expect(flat(used.epoch(5))).toEqual(flat(loader(7).epoch(5)));
    expect(flat(loader(7).epoch(5))).not.toEqual(flat(loader(7).epoch(6)));
    expect(flat(loader(7).epoch(5))).not.toEqual(flat(loader(8).epoch(5)));
    expect(flat(loader(7).epoch(8))).not.toEqual(flat(loader(8).epoch(7)));
  });

  test("does not depend on the batch size", () => {
    const other = new DataLoader(pixels(1000), { batchSize: 64, shuffle: true, seed: 7 });
    expect(flat(other.epoch(2))).toEqual(flat(loader(7).epoch(2)));
  });

  test("can be resumed in the middle: batches from k on are those of the whole epoch", () => {
    expect(flat(loader(1).epoch(4, 37))).toEqual(flat(loader(1).epoch(4)).slice(370));
    expect([...loader(1).epoch(4, 100)]).toEqual([]);
  });

  test("moves nearly all examples and mixes both halves: 50 ± 5 % of the first half come from the second", () => {
    const order = loader(3).order(0);
    expect(order.filter((v, i) => v === i).length).toBeLessThan(10);
    const crossed = order.subarray(0, 500).filter((v) => v >= 500).length;
    expect(Math.abs(crossed / 500 - 0.5)).toBeLessThan(0.05);
  });

  test("without it every epoch has the order of the set", () => {
    const plain = new DataLoader(pixels(7), { batchSize: 3 });
    for (const e of [0, 1]) expect(flat(plain.epoch(e))).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

describe("the last batch", () => {
  test("is kept short by default", () => {
    expect(sizes(10, { batchSize: 4 })).toEqual([4, 4, 2]);
    expect(sizes(3, { batchSize: 4 })).toEqual([3]);
  });

  test("is left out with drop", () => {
    expect(sizes(10, { batchSize: 4, dropLast: "drop" })).toEqual([4, 4]);
    expect(sizes(8, { batchSize: 4, dropLast: "drop" })).toEqual([4, 4]);
  });

  test("joins the one before with merge where it is at most half full, so none of one example is left", () => {
    expect(sizes(10, { batchSize: 4, dropLast: "merge" })).toEqual([4, 6]);
    expect(sizes(11, { batchSize: 4, dropLast: "merge" })).toEqual([4, 4, 3]);
    expect(sizes(8, { batchSize: 4, dropLast: "merge" })).toEqual([4, 4]);
    expect(sizes(5, { batchSize: 2, dropLast: "merge" })).toEqual([2, 3]);
    expect(sizes(3, { batchSize: 4, dropLast: "merge" })).toEqual([3]);
  });
});

describe("options", () => {
  const make = (options: LoaderOptions) => () => new DataLoader(pixels(10), options);

  test("that cannot be used are refused", () => {
    expect(make({ batchSize: 0 })).toThrow("DataLoader: expected batchSize to be a positive integer, got 0.");
    expect(make({ batchSize: 2.5 })).toThrow(OptionError);
    expect(make({ batchSize: 2, dropLast: "cut" as "drop" })).toThrow(
      'DataLoader: expected dropLast to be "keep", "drop" or "merge", got "cut".',
    );
    expect(make({ batchSize: 2, scale: Number.NaN })).toThrow(
      "DataLoader: expected finite numbers as scale and shift, got NaN and 0.",
    );
    expect(make({ batchSize: 2, shuffle: true, seed: -1 })).toThrow("DataLoader: expected a seed from 0 to 2^53 - 1, got -1.");
    expect(make({ batchSize: 2, indices: Int32Array.of(1, 10) })).toThrow(
      "DataLoader: expected indices from 0 to 9, got 10 at position 1.",
    );
    expect(() => new DataLoader(pixels(10), { batchSize: 2 }).order(-1)).toThrow(
      "DataLoader: expected an epoch from 0 on, got -1.",
    );
  });

  test("that leave no batch are refused", () => {
    expect(make({ batchSize: 11, dropLast: "drop" })).toThrow(
      'DataLoader: expected at least one batch, got 10 examples for batches of 11 with dropLast "drop".',
    );
    expect(make({ batchSize: 2, indices: new Int32Array(0) })).toThrow("got 0 examples");
  });
});

test("checkSet refuses sets whose parts do not fit", () => {
  expect(checkSet(pixels(4)).count).toBe(4);
  expect(() => checkSet({ ...pixels(4), images: new Uint8Array(5) })).toThrow("pixels: expected 4 × 1 values, got 5.");
  expect(() => checkSet({ ...pixels(4), labels: new Int32Array(3) })).toThrow(
    "pixels: expected 4 labels, one per example, got 3.",
  );
  expect(() => checkSet({ ...pixels(2), labels: Int32Array.of(0, 1) })).toThrow(
    "pixels: expected labels from 0 to 0, got 1 at example 1.",
  );
});
