import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadMnist } from "../../src/data/node.js";
import { type CompareInputs, runCompare } from "../../src/experiments/compare.js";
import { describeUnits } from "../../src/experiments/distribution.js";
import { type CompareEvent, type CompareOptions, parseRecord, stringifyRecord } from "../../src/experiments/record.js";
import { tensor } from "../../src/tensor/create.js";

const dataDir = fileURLToPath(new URL("../../assets/mnist-sample", import.meta.url));
const train = await loadMnist({ split: "train", dataDir });
const inputs: CompareInputs = {
  train,
  test: await loadMnist({ split: "test", dataDir }),
  versions: { evenkeel: "0.0.0", node: process.versions.node },
};
const options: CompareOptions = {
  epochs: 2,
  lr: 0.05,
  batch: 128,
  seed: 11,
  data: "mnist",
  hidden: [24, 16],
  activation: "relu",
  threads: 1,
  deterministic: true,
};

describe("compare on the sample of MNIST", () => {
  test("gives a record that its own schema reads back, with every step, epoch and look", async () => {
    const events: CompareEvent[] = [];
    const record = await runCompare(inputs, options, { onEvent: (event) => events.push(event) });
    expect(parseRecord(stringifyRecord(record)).arms).toHaveLength(2);
    const steps = record.stepsPerEpoch * 2;
    for (const arm of record.arms) {
      expect(arm.losses).toHaveLength(steps);
      expect(arm.epochs.map((epoch) => epoch.epoch)).toEqual([1, 2]);
      expect(arm.snapshots.map((look) => look.step)).toEqual([0, 1, 3, 10, 30, record.stepsPerEpoch, steps]);
    }
    expect(events.filter((event) => event.type === "step")).toHaveLength(2 * steps);
    expect(record.interrupted).toBe(false);
  });

  test("both arms start alike: the first layer's output before normalization is the same, number for number", async () => {
    const [plain, norm] = (await runCompare(inputs, { ...options, epochs: 1 })).arms;
    expect(norm!.snapshots[0]!.before).toEqual(plain!.snapshots[0]!.before);
    expect(plain!.snapshots[0]!.after).toBeUndefined();
    // Right after normalization every unit has mean 0 and standard deviation 1, as far as ε allows.
    const after = norm!.snapshots[0]!.after!;
    for (const mean of after.units.mean) expect(Math.abs(mean!)).toBeLessThan(1e-5);
    for (const std of after.units.std) expect(Math.abs(std! - 1)).toBeLessThan(5e-3);
  });

  test("batch normalization learns faster at the article's learning rate", async () => {
    const [plain, norm] = (await runCompare(inputs, { ...options, lr: 0.01 })).arms;
    expect(norm!.losses.at(-1)!).toBeLessThan(plain!.losses.at(-1)! * 0.8);
    expect(norm!.finalTestAccuracy!).toBeGreaterThan(plain!.finalTestAccuracy!);
  });

  test("the same seed gives the same losses on 1, 2 and 3 threads; another seed gives others", async () => {
    const losses = async (changed: Partial<CompareOptions>) =>
      (await runCompare(inputs, { ...options, epochs: 1, ...changed })).arms.map((arm) => arm.losses);
    const one = await losses({});
    expect(await losses({ threads: 2 })).toEqual(one);
    expect(await losses({ threads: 3 })).toEqual(one);
    expect(await losses({ seed: 12 })).not.toEqual(one);
  });

  test("looking at the layer does not change the run: fewer epochs, hence other looks, give the same losses", async () => {
    const two = await runCompare(inputs, options);
    const one = await runCompare(inputs, { ...options, epochs: 1 });
    for (const [i, arm] of one.arms.entries()) expect(two.arms[i]!.losses.slice(0, one.stepsPerEpoch)).toEqual(arm.losses);
  });

  test("an abort gives the record of what was done, with a test accuracy", async () => {
    const controller = new AbortController();
    const onEvent = (event: CompareEvent) => event.type === "step" && event.step === 7 && controller.abort();
    const record = await runCompare(inputs, options, { onEvent, signal: controller.signal });
    expect(record.interrupted).toBe(true);
    for (const arm of record.arms) {
      expect(arm.losses).toHaveLength(7);
      expect(arm.finalTestAccuracy).not.toBeNull();
      expect(arm.snapshots.at(-1)!.step).toBe(7);
    }
    expect(() => stringifyRecord(record)).not.toThrow();
  });

  test("a run that diverges is recorded with null losses", async () => {
    const record = await runCompare(inputs, { ...options, lr: 1e9, epochs: 1 });
    expect(record.arms[0]!.losses).toContain(null);
    expect(() => stringifyRecord(record)).not.toThrow();
  });

  test.each(["sigmoid", "tanh", "gelu", "silu", "leaky-relu"] as const)("%s is trained too", async (activation) => {
    const few = {
      ...inputs,
      train: { ...train, count: 256, images: train.images.slice(0, 256 * 784), labels: train.labels.slice(0, 256) },
    };
    const record = await runCompare(few, { ...options, epochs: 1, activation });
    for (const arm of record.arms) expect(arm.losses.every((loss) => loss !== null && loss > 0 && loss < 5)).toBe(true);
  });
});

describe("describeUnits", () => {
  test("percentiles, mean and deviation of known numbers", () => {
    // Two units: 0 to 9, and the same plus 100.
    const values = Array.from({ length: 20 }, (_, i) => Math.floor(i / 2) + (i % 2) * 100);
    const { units, histogram, mean } = describeUnits(tensor(values, [10, 2]));
    expect(units.mean).toEqual([4.5, 104.5]);
    expect(units.std.map((s) => s!.toFixed(6))).toEqual([Math.sqrt(8.25).toFixed(6), Math.sqrt(8.25).toFixed(6)]);
    expect(units.p50).toEqual([4.5, 104.5]);
    expect(units.p15[0]).toBeCloseTo(1.35, 12);
    expect(mean).toBe(54.5);
    expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(20);
  });

  test("values that are not finite are counted apart", () => {
    const { histogram, mean, units } = describeUnits(tensor([1, Number.NaN, 3, Infinity], [2, 2]));
    expect(histogram.nonFinite).toBe(2);
    expect(mean).toBe(2);
    expect(units.mean).toEqual([2, null]);
  });

  test("values that are all the same have a histogram too", () => {
    const { histogram } = describeUnits(tensor([5, 5, 5, 5], [4, 1]));
    expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(4);
    expect(histogram.edges[0]).toBeLessThan(5);
  });
});
