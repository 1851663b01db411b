import { expect, test } from "vitest";
import { DataLoader, type ImageSet } from "../../src/data/index.js";
import { init } from "../../src/engine/current.js";
import { runCompare } from "../../src/experiments/compare.js";
import { type CompareEvent, type CompareOptions, parseRecord, stringifyRecord } from "../../src/experiments/record.js";
import * as nn from "../../src/nn/index.js";
import { SGD } from "../../src/optim/index.js";
import { manualSeed } from "../../src/tensor/random.js";

/** Images of 4 × 4 in three classes: a bright row, and noise from a linear congruential generator. */
function images(count: number, seed: number): ImageSet {
  let state = seed;
  const bytes = Uint8Array.from({ length: count * 16 }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const row = Math.floor((i % 16) / 4);
    return (state >>> 26) + (row === Math.floor(i / 16) % 3 ? 150 : 0);
  });
  const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
  return {
    name: "rows",
    images: bytes,
    labels,
    count,
    shape: [1, 4, 4],
    classes: ["0", "1", "2"],
    source: "a test",
    sample: false,
  };
}

const inputs = { train: images(150, 1), test: images(60, 2), versions: { evenkeel: "0", node: "0" } };
const options: CompareOptions = {
  epochs: 3,
  lr: 0.1,
  batch: 32,
  seed: 7,
  data: "mnist",
  hidden: [8, 6],
  activation: "relu",
  threads: 1,
  deterministic: true,
};

/** What decides the numbers of a record: no times. */
async function numbers(changes: Partial<CompareOptions> = {}) {
  const record = await runCompare(inputs, { ...options, ...changes });
  return record.arms.map(({ losses, snapshots, finalTestAccuracy }) => ({ losses, snapshots, finalTestAccuracy }));
}

/** The same training written out here, without a look at any layer. */
async function lossesWithoutSnapshots(normalized: boolean): Promise<number[]> {
  await init({ threads: 1, deterministic: true });
  manualSeed(options.seed);
  const [a, b, c] = [new nn.Linear(16, 8), new nn.Linear(8, 6), new nn.Linear(6, 3)];
  const model = normalized
    ? new nn.Sequential(a, new nn.BatchNorm1d(8), new nn.ReLU(), b, new nn.BatchNorm1d(6), new nn.ReLU(), c)
    : new nn.Sequential(a, new nn.ReLU(), b, new nn.ReLU(), c);
  const optimizer = new SGD(model.parameters(), { lr: options.lr });
  const loader = new DataLoader(inputs.train, { batchSize: 32, shuffle: true, seed: 7, dropLast: "merge", flatten: true });
  const losses: number[] = [];
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const indices of loader.epoch(epoch)) {
      const { inputs: x, targets } = loader.tensors(indices);
      const loss = nn.crossEntropy(model.call(x), targets);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      losses.push(loss.item());
    }
  }
  return losses;
}

test("snapshots, evaluation and the other arm change no bit: each arm's losses are those of training it alone", async () => {
  const [plain, norm] = await numbers();
  expect(plain!.losses).toEqual(await lossesWithoutSnapshots(false));
  expect(norm!.losses).toEqual(await lossesWithoutSnapshots(true));
});

test("1, 2 and 3 threads give the same bits", async () => {
  const one = await numbers();
  expect(await numbers({ threads: 2 })).toEqual(one);
  expect(await numbers({ threads: 3 })).toEqual(one);
});

test("both arms start from the same weights: their first layers give the same numbers before training", async () => {
  const [plain, norm] = await numbers();
  expect(norm!.snapshots[0]!.before).toEqual(plain!.snapshots[0]!.before);
  const { after } = norm!.snapshots[0]!;
  for (const mean of after!.units.mean) expect(Math.abs(mean!)).toBeLessThan(1e-5);
  for (const std of after!.units.std) expect(Math.abs(std! - 1)).toBeLessThan(0.01);
  expect(plain!.snapshots[0]!.after).toBeUndefined();
});

test("the record is whole: it is written, read back and has every step, epoch and time", async () => {
  const record = await runCompare(inputs, options);
  expect(parseRecord(stringifyRecord(record)).arms.map(({ name }) => name)).toEqual(["plain", "batch-norm"]);
  for (const arm of record.arms) {
    expect([arm.losses.length, arm.epochs.length]).toEqual([options.epochs * record.stepsPerEpoch, options.epochs]);
    expect(arm.trainSeconds).toBeGreaterThan(0);
    expect(arm.snapshots.map(({ step }) => step)).toContain(options.epochs * record.stepsPerEpoch);
  }
});

test("an aborted run returns what was done: as many steps of both arms, with the bits of the whole run", async () => {
  const whole = await numbers();
  const controller = new AbortController();
  const onEvent = (event: CompareEvent) => {
    if (event.type === "step" && event.arm === "plain" && event.step === 7) controller.abort();
  };
  const record = await runCompare(inputs, options, { onEvent, signal: controller.signal });
  expect(record.interrupted).toBe(true);
  record.arms.forEach((arm, i) => {
    expect(arm.losses).toEqual(whole[i]!.losses.slice(0, 7));
    expect(arm.finalTestAccuracy).not.toBeNull();
  });
});
