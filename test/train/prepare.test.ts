import { expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { spirals, tableFromCsv } from "../../src/data/index.js";
import { fit, parseTrainConfig, prepare } from "../../src/train/index.js";

const config = (changes: object = {}) =>
  parseTrainConfig(
    JSON.stringify({
      data: { type: "spirals", count: 120 },
      network: [{ type: "linear", out: 24 }, { type: "batchNorm" }, { type: "relu" }, { type: "linear", out: 3 }],
      optimizer: { type: "adam", lr: 0.02 },
      schedule: { type: "cosine", warmUp: 4 },
      epochs: 3,
      batchSize: 16,
      seed: 4,
      ...changes,
    }),
  );
const sets = { train: spirals({ count: 120, seed: 4 }), test: spirals({ count: 60, seed: 5 }) };

test("one configuration gives one run: the same losses, bit for bit", async () => {
  const run = async (seed: number) => {
    const { model, fit: options } = prepare(config({ seed }), sets);
    return (await fit(model, options)).losses;
  };
  const first = await run(4);
  expect(await run(4)).toEqual(first);
  expect(await run(8)).not.toEqual(first);
});

test("the warm-up holds from the first step", () => {
  const { fit: options } = prepare(config(), sets);
  expect(options.optimizer.lr).toBeCloseTo(0.02 / 4, 12);
});

test.each(["sgd", "adam", "adamw", "rmsprop"])("%s of a configuration trains with a finite loss", async (type) => {
  const { model, fit: options } = prepare(config({ optimizer: { type, lr: 0.01 }, clipNorm: 1 }), sets);
  const { outcome, losses } = await fit(model, options);
  expect(outcome).toBe("finished");
  expect(losses.every(Number.isFinite)).toBe(true);
});

test("numbers are learned by squared error: the loss of y = 2a - b falls to a tenth", async () => {
  const rows = Array.from({ length: 80 }, (_, i) => [(i % 9) / 9, (i % 7) / 7]);
  const text = rows.map(([a, b]) => `${a},${b},${2 * a! - b!}`).join("\n");
  const train = tableFromCsv(text, { target: "number" });
  const linear = config({
    network: [{ type: "linear", out: 1 }],
    optimizer: { type: "sgd", lr: 0.3 },
    epochs: 10,
    schedule: undefined,
  });
  const { model, fit: options } = prepare(linear, { train, test: null });
  const { epochs } = await fit(model, options);
  expect(epochs.at(-1)!.trainLoss).toBeLessThan(epochs[0]!.trainLoss / 10);
  expect(epochs.at(-1)!.validationAccuracy).toBeNull();
});

test("a network whose output does not fit the classes, and a warm-up longer than training, are refused by name", () => {
  const narrow = config({ network: [{ type: "linear", out: 2 }] });
  expect(() => prepare(narrow, sets)).toThrow(OptionError);
  expect(() => prepare(narrow, sets)).toThrow("network: expected 3 outputs per example for spirals, got [2]");
  expect(() => prepare(config({ schedule: { type: "constant", warmUp: 1000 } }), sets)).toThrow("schedule.warmUp");
});
