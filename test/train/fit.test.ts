import { afterEach, describe, expect, test } from "vitest";
import { data, init, manualSeed, memory, nn, ops, optim } from "../../src/index.js";
import { evaluate } from "../../src/train/evaluate.js";
import { type FitEvent, type FitOptions, fit } from "../../src/train/fit.js";
import { buildNetwork } from "../../src/train/network.js";

/** Two moons, a small normalized network and its optimizer. */
async function moons(options: Partial<Omit<FitOptions, "optimizer">> & { threads?: number; lr?: number } = {}) {
  const { threads = 1, lr = 0.1, ...rest } = options;
  await init({ threads, deterministic: true });
  manualSeed(3);
  const model = new nn.Sequential(
    new nn.Linear(2, 17),
    new nn.BatchNorm1d(17),
    new nn.ReLU(),
    new nn.Dropout(0.1),
    new nn.Linear(17, 2),
  );
  const train = new data.DataLoader(data.twoMoons({ count: 330, seed: 1 }), {
    batchSize: 32,
    shuffle: true,
    seed: 5,
    dropLast: "merge",
  });
  const validation = new data.DataLoader(data.twoMoons({ count: 200, seed: 2 }), { batchSize: 64 });
  const optimizer = new optim.SGD(model.parameters(), { lr, momentum: 0.9 });
  return { model, options: { train, validation, epochs: 3, ...rest, optimizer } };
}

const bits = (model: nn.Module) => [...model.stateDict()].map(([key, t]) => [key, ...t.data()]);

describe("fit", () => {
  let restore: (() => void) | undefined;
  afterEach(() => restore?.());

  test("two moons are learned to 97 % of unseen points in 15 epochs", async () => {
    const { model, options } = await moons({ epochs: 15 });
    const history = await fit(model, options);
    expect(history.outcome).toBe("finished");
    expect(history.losses).toHaveLength(15 * 10);
    expect(history.epochs.at(-1)!.validationAccuracy).toBeGreaterThan(0.97);
    expect(history.losses.at(-1)!).toBeLessThan(history.losses[0]! / 3);
    expect(model.training).toBe(true);
  });

  test("the same seed gives the same bits on 1, 2 and 3 threads, dropout included", async () => {
    const runs = [];
    for (const threads of [1, 2, 3]) {
      const { model, options } = await moons({ threads });
      await fit(model, options);
      runs.push(bits(model));
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  test("events tell of every step and epoch, in order, and an epoch's training loss is the mean of its losses", async () => {
    const events: FitEvent[] = [];
    const { model, options } = await moons({ onEvent: (event) => events.push(event) });
    const history = await fit(model, options);
    expect(events.map((event) => event.type)).toEqual([
      "start",
      ...Array(3)
        .fill([...Array(10).fill("step"), "epoch"])
        .flat(),
      "end",
    ]);
    const first = history.losses.slice(0, 10);
    expect(history.epochs[0]!.trainLoss).toBeCloseTo(first.reduce((sum, x) => sum + x, 0) / 10, 12);
  });

  test("lossEvery reads fewer losses and does not change a bit of the run", async () => {
    const every = await moons();
    const all = await fit(every.model, every.options);
    const expected = bits(every.model);
    const few = await moons({ lossEvery: 4 });
    const history = await fit(few.model, few.options);
    expect(history.steps).toEqual([4, 8, 12, 16, 20, 24, 28]);
    expect(history.losses).toEqual(history.steps.map((step) => all.losses[step - 1]));
    expect(bits(few.model)).toEqual(expected);
  });

  test("early stopping ends after `patience` epochs without a better validation loss and brings the best epoch's state back", async () => {
    const states: unknown[] = [];
    const { model, options } = await moons({ epochs: 40, lr: 2, earlyStopping: { patience: 3 } });
    const history = await fit(model, { ...options, onEvent: (event) => event.type === "epoch" && states.push(bits(model)) });
    expect(history.outcome).toBe("stopped early");
    expect(history.epochs).toHaveLength(history.bestEpoch! + 3);
    const best = Math.min(...history.epochs.map((epoch) => epoch.validationLoss!));
    expect(history.epochs[history.bestEpoch! - 1]!.validationLoss).toBe(best);
    expect(bits(model)).toEqual(states[history.bestEpoch! - 1]);
    expect(evaluate(model, options.validation).loss).toBe(best);
  });

  test("an abort ends training after the step under way", async () => {
    const controller = new AbortController();
    const onEvent = (event: FitEvent) => event.type === "step" && event.step === 13 && controller.abort();
    const { model, options } = await moons({ signal: controller.signal, onEvent });
    const history = await fit(model, options);
    expect(history.outcome).toBe("interrupted");
    expect(history.losses).toHaveLength(13);
    expect(history.epochs).toHaveLength(1);
  });

  test("a loss that is not finite ends training as diverged, or not if that is asked for", async () => {
    const plain = () => new nn.Sequential(new nn.Linear(2, 8), new nn.ReLU(), new nn.Linear(8, 2));
    for (const [stopOnDivergence, outcome, losses] of [
      [true, "diverged", 1],
      [false, "finished", 30],
    ] as const) {
      const { options } = await moons();
      const model = plain();
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
      const loss: NonNullable<FitOptions["loss"]> = (y, t) => nn.crossEntropy(y, t).mul(Number.NaN);
      const history = await fit(model, { ...options, optimizer, loss, stopOnDivergence });
      expect(history.outcome).toBe(outcome);
      expect(history.losses).toHaveLength(losses);
    }
  });

  test("clipping and a schedule are applied at every step", async () => {
    const { model, options } = await moons({ lr: 1, clipNorm: 1e-3 });
    const scheduler = new optim.Scheduler(options.optimizer, optim.stepSchedule(10, 0.5));
    const before = bits(model).filter(([key]) => !String(key).includes("running") && !String(key).includes("num_"));
    const history = await fit(model, { ...options, scheduler });
    expect(history.epochs.map((epoch) => epoch.lr)).toEqual([1, 0.5, 0.25]);
    const after = new Map(bits(model).map(([key, ...values]) => [key, values]));
    // 30 steps of at most lr · 1e-3 / (1 - momentum) each.
    for (const [key, ...values] of before) {
      for (const [i, v] of (values as number[]).entries())
        expect(Math.abs((after.get(key!) as number[])[i]! - v)).toBeLessThan(0.2);
    }
  });

  test("metrics are means over the validation set, whatever its batches", async () => {
    const positive: NonNullable<FitOptions["metrics"]>[string] = (y) => ops.greater(y.slice(1, 1, 2), y.slice(1, 0, 1)).mean();
    const { model, options } = await moons({ metrics: { "share of class 1": positive } });
    const history = await fit(model, options);
    const whole = new data.DataLoader(options.validation.set, { batchSize: 200 });
    const expected = evaluate(model, whole, undefined, { "share of class 1": positive }).metrics["share of class 1"]!;
    expect(history.epochs.at(-1)!.validationMetrics["share of class 1"]).toBeCloseTo(expected, 6);
    expect(Math.abs(expected - 0.5)).toBeLessThan(0.1);
  });

  test("a thousand steps leave memory where it was", async () => {
    const { model, options } = await moons();
    await fit(model, { ...options, epochs: 2 });
    const before = memory();
    await fit(model, { ...options, epochs: 100 });
    expect(memory().storages).toBe(before.storages);
    expect(memory().used).toBe(before.used);
    expect(memory().reserved).toBe(before.reserved);
  });

  test.each([
    [{ epochs: 0 }, "fit: expected epochs to be a positive integer, got 0."],
    [{ lossEvery: 0.5 }, "fit: expected lossEvery to be a positive integer, got 0.5."],
  ])("%o is refused before the first step", async (wrong, message) => {
    const { model, options } = await moons();
    const before = bits(model);
    await expect(fit(model, { ...options, ...wrong })).rejects.toThrow(message);
    expect(bits(model)).toEqual(before);
  });

  test("early stopping without validation is refused", async () => {
    const { model, options } = await moons({ earlyStopping: { patience: 1 } });
    const { validation: _, ...rest } = options;
    await expect(fit(model, rest)).rejects.toThrow("fit: earlyStopping needs a validation loader, got none.");
  });
});

describe("evaluate", () => {
  test("puts every module's own mode back, also when the loss throws", async () => {
    const { model, options } = await moons();
    model.at(1).eval();
    const modes = () => model.modules().map((module) => module.training);
    const before = modes();
    evaluate(model, options.validation);
    expect(modes()).toEqual(before);
    const broken = () => {
      throw new Error("broken");
    };
    expect(() => evaluate(model, options.validation, broken)).toThrow("broken");
    expect(modes()).toEqual(before);
  });

  test("does not depend on how the set is cut into batches, and moves no running statistics", async () => {
    const { model, options } = await moons();
    await fit(model, options);
    const before = bits(model);
    const set = options.validation.set;
    const whole = evaluate(model, new data.DataLoader(set, { batchSize: 200 }));
    const pieces = evaluate(model, new data.DataLoader(set, { batchSize: 7 }));
    expect(pieces.accuracy).toBe(whole.accuracy);
    expect(pieces.loss).toBeCloseTo(whole.loss, 6);
    expect(bits(model)).toEqual(before);
  });
});

describe("buildNetwork", () => {
  test("finds the sizes of a residual network for images", async () => {
    await init();
    const { model, shape } = (() => {
      const built = buildNetwork(
        [
          { type: "conv2d", out: 8, kernel: 3, padding: 1, bias: false },
          { type: "batchNorm" },
          { type: "relu" },
          {
            type: "residual",
            branch: [
              { type: "conv2d", out: 16, kernel: 3, stride: 2, padding: 1 },
              { type: "batchNorm", momentum: null },
            ],
            shortcut: [{ type: "conv2d", out: 16, kernel: 1, stride: 2 }],
          },
          { type: "avgPool2d", kernel: 2, countIncludePad: false },
          { type: "adaptiveAvgPool2d", size: 1 },
          { type: "flatten" },
          { type: "dropout", p: 0.2 },
          { type: "linear", out: 5 },
        ],
        [3, 9, 11],
      );
      return { model: built.module, shape: built.shape };
    })();
    expect(shape).toEqual([5]);
    const { ops, normal } = await import("../../src/index.js");
    expect(ops.argmax(model.call(normal([4, 3, 9, 11]))).shape).toEqual([4]);
    expect([...model.stateDict().keys()]).toContain("3.branch.1.running_var");
  });

  test.each([
    [
      [{ type: "linear", out: 3 }],
      [1, 4, 4],
      "network[0]: linear needs one axis per example, got [1, 4, 4]. Put a flatten before it.",
    ],
    [[{ type: "linear", out: 3, in: 5 }], [4], "network[0]: linear expects in = 4, the size before it, got 5."],
    [[{ type: "conv2d", out: 3, kernel: 5 }], [1, 4, 9], "network[0]: a window of 5 does not fit into 4 values with padding 0."],
    [[{ type: "relu" }, { type: "batchNorm", features: 7 }], [8], "network[1]: batchNorm expects features = 8, got 7."],
    [
      [{ type: "residual", branch: [{ type: "linear", out: 3 }] }],
      [4],
      "network[0]: the branch gives [3] and the shortcut [4] per example: they cannot be added.",
    ],
  ] as const)("%j on %j is refused by name and place", async (specs, shape, message) => {
    await init();
    expect(() => buildNetwork(specs as never, shape)).toThrow(message);
  });
});
