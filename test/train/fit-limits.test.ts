import { beforeEach, describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { blobs, DataLoader } from "../../src/data/index.js";
import * as nn from "../../src/nn/index.js";
import { SGD } from "../../src/optim/index.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type FitOptions, fit } from "../../src/train/index.js";

const set = blobs({ count: 120, classes: 3, seed: 3 });
const loader = () => new DataLoader(set, { batchSize: 32, shuffle: true, seed: 1 });
const network = () => new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Linear(8, 3));
const options = (model: nn.Module, changes: Partial<FitOptions> = {}): FitOptions => ({
  train: loader(),
  optimizer: new SGD(model.parameters(), { lr: 0.1 }),
  epochs: 2,
  ...changes,
});
const stateOf = (model: nn.Module) => [...model.stateDict()].map(([key, t]) => [key, ...t.data()]);

beforeEach(() => manualSeed(5));

describe("fit, where something is odd", () => {
  test("a loss that throws in the first step leaves weights, running statistics and counters as they were", async () => {
    const model = network();
    const before = stateOf(model);
    const loss = (): Tensor => {
      throw new Error("no loss today");
    };
    await expect(fit(model, options(model, { loss }))).rejects.toThrow("no loss today");
    expect(stateOf(model)).toEqual(before);
  });

  test("an epoch of fewer steps than lossEvery still has a finite training loss", async () => {
    const model = network();
    const { epochs } = await fit(model, options(model, { lossEvery: 1000 }));
    expect(epochs.map(({ trainLoss }) => Number.isFinite(trainLoss))).toEqual([true, true]);
  });

  test("a timer can end a run of many epochs: the event loop turns while it trains", async () => {
    const model = network();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 60);
    const { outcome } = await fit(model, options(model, { epochs: 1_000_000, signal: controller.signal }));
    expect(outcome).toBe("interrupted");
  });
});

describe("batches as tensors", () => {
  test.each([[-1], [120]])("index %i outside of the set is refused instead of reading other memory", (index) => {
    expect(() => loader().tensors(Int32Array.of(0, index))).toThrow(OptionError);
  });
});
