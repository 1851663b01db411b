// The page's and the worker's side, joined by a channel within this thread: everything but the worker itself.
import { afterEach, describe, expect, test } from "vitest";
import { DataError, DisposedError, OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { data, init, manualSeed, memory, nn, optim, tensor, tidy } from "../../src/index.js";
import { errorData, errorFrom } from "../../src/train/error-data.js";
import {
  connectTrainer,
  fit,
  parseTrainConfig,
  prepare,
  type Recipe,
  serveTraining,
  type Trainer,
  type TrainerConfig,
  type TrainerEvent,
} from "../../src/train/index.js";

const config = {
  data: { type: "spirals", count: 200 },
  network: [
    { type: "linear", out: 24 },
    { type: "batchNorm" },
    { type: "relu" },
    { type: "dropout" },
    { type: "linear", out: 3 },
  ],
  optimizer: { type: "adam", lr: 0.02 },
  epochs: 3,
  batchSize: 16,
  seed: 4,
} satisfies TrainerConfig;
/** Steps of `config`. */
const STEPS = 3 * 11;
/** Trains until it is stopped. */
const endless = { ...config, epochs: 1_000_000 };

let trainer: Trainer | undefined;
afterEach(() => trainer?.dispose());

async function connect(recipes: Record<string, Recipe> = {}): Promise<Trainer> {
  const { port1, port2 } = new MessageChannel();
  serveTraining(recipes, port2);
  trainer = await connectTrainer({ worker: port1, threads: 1, deterministic: true });
  return trainer;
}

/** The same training without a worker. */
async function directly() {
  await init({ deterministic: true });
  const sets = { train: data.spirals({ count: 200, seed: 4 }), test: null };
  const { model, fit: options } = prepare(parseTrainConfig(JSON.stringify(config)), sets);
  const history = await fit(model, options);
  const state = new Map([...model.stateDict()].map(([key, t]) => [key, { shape: t.shape, values: t.data() }]));
  return { model, history, state };
}

const withoutTimes = <T extends { seconds: number }>(epochs: T[]) => epochs.map(({ seconds: _, ...rest }) => rest);

/** Resolves at the first event that `wanted` accepts. */
function heard(wanted: (event: TrainerEvent) => boolean) {
  const events: TrainerEvent[] = [];
  let found: () => void;
  const seen = new Promise<void>((resolve) => {
    found = resolve;
  });
  const onEvent = (event: TrainerEvent) => {
    events.push(event);
    if (wanted(event)) found();
  };
  return { events, onEvent, seen };
}

const stepsOf = (events: TrainerEvent[]) => events.flatMap((event) => (event.type === "steps" ? event.steps : []));
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a training through a worker's protocol", () => {
  test("gives the losses, the weights and the outputs of the same training without a worker, bit for bit", async () => {
    const { done } = (await connect()).train(config);
    const { history, state, test: seen } = await done;
    const points = data.spirals({ count: 7, seed: 9 }).features;
    const outputs = await trainer!.predict(points);
    expect(seen!.accuracy).toBeGreaterThan(0.3);
    const expected = await directly();
    expect(history.losses).toEqual(expected.history.losses);
    expect(withoutTimes(history.epochs)).toEqual(withoutTimes(expected.history.epochs));
    expect(state).toEqual(expected.state);
    expected.model.eval();
    expect(outputs).toEqual({ shape: [7, 3], values: expected.model.call(tensor(points, [7, 2])).data() });
  });

  test("tells of the start, of every step, of every epoch and of the end, in order; steps come together", async () => {
    const { events, onEvent } = heard(() => false);
    const { history } = await (await connect()).train(config, { onEvent, every: 1e9 }).done;
    // The first step at once, the others with their epoch.
    expect(events.map(({ type }) => type)).toEqual(["start", "steps", ...Array(3).fill(["steps", "epoch"]).flat(), "end"]);
    expect(events[0]).toEqual({
      type: "start",
      epochs: 3,
      stepsPerEpoch: 11,
      threads: 1,
      parameters: 2 * 24 + 24 + 48 + 24 * 3 + 3,
    });
    expect(stepsOf(events)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    expect(events.flatMap((event) => (event.type === "steps" ? event.losses : []))).toEqual(history.losses);
  });

  test("steps of a fast run come at most every 50 ms", async () => {
    const { events, onEvent, seen } = heard((event) => event.type === "steps" && event.steps.at(-1)! > 200);
    // An epoch of its own size, so that only the clock decides.
    const long = { ...endless, data: { type: "spirals", count: 200_000 } } as const;
    const run = (await connect()).train(long, { onEvent });
    const start = performance.now();
    await seen;
    const most = (performance.now() - start) / 50 + 2;
    expect(events.filter(({ type }) => type === "steps").length).toBeLessThanOrEqual(most);
    expect(stepsOf(events).length).toBeGreaterThan(200);
    await run.stop();
    expect((await run.done).history.outcome).toBe("interrupted");
  });

  test("a paused training takes no step, predicts, goes on when told, and ends with the same bits", async () => {
    const { events, onEvent, seen } = heard(({ type }) => type === "steps");
    const slow: Recipe = async () => {
      const { model, fit: options } = prepare(parseTrainConfig(JSON.stringify(config)), { train: spirals, test: null });
      return { model, fit: { ...options, onEvent: busy } };
    };
    // 5 ms for every step, so that training takes several turns.
    const busy = ({ type }: { type: string }) => {
      for (const start = performance.now(); type === "step" && performance.now() - start < 5; );
    };
    const spirals = data.spirals({ count: 200, seed: 4 });
    const run = (await connect({ slow })).train({ recipe: "slow" }, { onEvent });
    await seen;
    await run.pause();
    const held = stepsOf(events).length;
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(STEPS);
    const { values } = await trainer!.predict(spirals.features);
    await wait(150);
    expect(stepsOf(events)).toHaveLength(held);
    expect(values).toHaveLength(200 * 3);
    await run.resume();
    const { history, state } = await run.done;
    expect(history.outcome).toBe("finished");
    expect(state).toEqual((await directly()).state);
  });

  test("a stop ends a running and a paused training, and the next one is as if nothing had been", async () => {
    await connect();
    for (const paused of [false, true]) {
      const { onEvent, seen } = heard(({ type }) => type === "steps");
      const run = trainer!.train(endless, { onEvent });
      await seen;
      if (paused) await run.pause();
      await run.stop();
      const { history, state } = await run.done;
      expect(history.outcome).toBe("interrupted");
      expect(state.size).toBe(9);
      // It has ended: nothing to hold.
      await run.pause();
    }
    const { state } = await trainer!.train(config).done;
    expect(state).toEqual((await directly()).state);
  });

  test("twenty trainings and predictions leave the engine's memory where one does", async () => {
    await connect();
    const loaded = await trainer!.load({ train: data.spirals({ count: 200, seed: 4 }) });
    const once = async () => {
      await trainer!.train(config, { data: loaded }).done;
      await trainer!.predict(new Float32Array(20));
      return memory();
    };
    const first = await once();
    for (let i = 0; i < 19; i++) await once();
    expect(memory().used).toBe(first.used);
    expect(memory().storages).toBe(first.storages);
  });

  test("a configuration with another engine starts it anew, also in the middle of a series", async () => {
    await connect();
    const { onEvent, events } = heard(() => false);
    await trainer!.train({ ...config, threads: 2 }, { onEvent }).done;
    await trainer!.train(config, { onEvent }).done;
    expect(events.flatMap((event) => (event.type === "start" ? [event.threads] : []))).toEqual([2, 1]);
  });
});

describe("data of a training in a worker", () => {
  const images = Uint8Array.from({ length: 40 * 12 }, (_, i) => (i * 37) % 251);
  const labels = Int32Array.from({ length: 40 }, (_, i) => i % 10);
  const set = (): data.ImageSet => ({
    name: "stripes",
    images: images.slice(),
    labels: labels.slice(),
    count: 40,
    shape: [1, 4, 3],
    classes: [..."0123456789"],
    source: "here",
    sample: false,
  });
  const { data: _, ...rest } = config;
  const digits = { ...rest, network: [{ type: "flatten" }, { type: "linear", out: 10 }] } satisfies TrainerConfig;
  const url = (bytes: Uint8Array) => `data:application/octet-stream;base64,${Buffer.from(bytes).toString("base64")}`;

  test("arrays and fetched IDX files of the same images give the same weights; moved arrays are empty here afterwards", async () => {
    await connect();
    const copied = set();
    const first = await trainer!.load({ train: copied });
    expect(first).toMatchObject({ train: { name: "stripes", count: 40, shape: [1, 4, 3] }, test: null });
    expect(copied.images).toEqual(images);
    const moved = set();
    const second = await trainer!.load({ train: moved, test: set() }, { transfer: true });
    expect([moved.images.length, moved.labels.length]).toEqual([0, 0]);
    const third = await trainer!.load({
      train: {
        imagesUrl: url(data.encodeIdx(images, [40, 4, 3])),
        labelsUrl: url(data.encodeIdx(Uint8Array.from(labels), [40])),
      },
    });
    expect(third.train).toMatchObject({ name: "images", count: 40, shape: [1, 4, 3], sample: false });
    const results = [];
    for (const loaded of [first, second, third]) results.push(await trainer!.train(digits, { data: loaded }).done);
    expect(results[1]!.state).toEqual(results[0]!.state);
    expect(results[2]!.state).toEqual(results[0]!.state);
    expect(results.map(({ test: seen }) => seen?.accuracy ?? null)).toEqual([null, expect.any(Number), null]);
  });

  test("bytes are scaled by predict as they are in training", async () => {
    await connect();
    const loaded = await trainer!.load({ train: set() });
    await trainer!.train(digits, { data: loaded }).done;
    const floats = Float32Array.from(images, (byte) => byte / 255);
    const [bytes, scaled] = [await trainer!.predict(images), await trainer!.predict(floats)];
    expect(bytes.shape).toEqual([40, 10]);
    for (const [i, y] of bytes.values.entries()) expect(y).toBeCloseTo(scaled.values[i]!, 5);
  });

  test("released data cannot be trained on, data in use cannot be released", async () => {
    await connect();
    const loaded = await trainer!.load({ train: set() });
    const { onEvent, seen } = heard(({ type }) => type === "steps");
    const run = trainer!.train({ ...digits, epochs: 1e6 }, { data: loaded, onEvent });
    await seen;
    await expect(trainer!.release(loaded)).rejects.toThrow("release: the data are being trained on; stop the run first.");
    await run.stop();
    await run.done;
    const before = memory().used;
    await trainer!.release(loaded);
    expect(before - memory().used).toBeGreaterThanOrEqual(images.length + 4 * labels.length);
    const missing = `train: expected data that load returned and release has not taken, got id ${loaded.id}.`;
    await expect(trainer!.train(digits, { data: loaded }).done).rejects.toThrow(missing);
  });

  test("what cannot be fetched or does not fit is refused as DataError", async () => {
    await connect();
    const load = (train: Parameters<Trainer["load"]>[0]["train"]) => trainer!.load({ train });
    const there = url(data.encodeIdx(images, [40, 4, 3]));
    await expect(load({ imagesUrl: there, labelsUrl: "nowhere" })).rejects.toThrow(DataError);
    await expect(load({ imagesUrl: there, labelsUrl: "http://127.0.0.1:9/labels" })).rejects.toThrow(
      /labels: could not be fetched/,
    );
    await expect(load({ imagesUrl: there, labelsUrl: there })).rejects.toThrow(DataError);
    const wrong = load({ ...set(), count: 41 });
    await expect(wrong).rejects.toThrow(DataError);
    await expect(wrong).rejects.toThrow("stripes: expected 41 × 12 values, got 480.");
  });
});

describe("recipes", () => {
  const moons: Recipe = (settings, { sets, send }) => {
    manualSeed(1);
    const model = new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.Tanh(), new nn.Linear(8, 2));
    const train = new data.DataLoader(sets!.train, { batchSize: 20 });
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const onEvent = ({ type }: { type: string }) =>
      type === "epoch" && send(tidy(() => model.parameters()[0]!.data().slice(0, 2)));
    return { model, fit: { train, optimizer, epochs: (settings as { epochs: number }).epochs, onEvent } };
  };

  test("train what code of one's own makes, with settings and data of the page, and send it messages", async () => {
    await connect({ moons });
    const loaded = await trainer!.load({ train: data.twoMoons({ count: 100 }) });
    const { events, onEvent } = heard(() => false);
    const { history, state } = await trainer!.train({ recipe: "moons", settings: { epochs: 4 } }, { data: loaded, onEvent }).done;
    expect(history.epochs).toHaveLength(4);
    const sent = events.flatMap((event) => (event.type === "message" ? [event.value] : []));
    expect(sent).toHaveLength(4);
    expect(sent[3]).toEqual(state.get("0.weight")!.values.slice(0, 2));
  });

  test("what they throw is thrown on the page: evenkeel's errors by class, others by name; then they train again", async () => {
    const thrown = [new ShapeError("too wide"), new RangeError("too high"), "just text"];
    const broken: Recipe = (settings) => {
      throw thrown[settings as number];
    };
    await connect({ broken, moons });
    const errors = [];
    for (const i of [0, 1, 2]) {
      errors.push(await trainer!.train({ recipe: "broken", settings: i }).done.catch((error: unknown) => error));
    }
    expect(errors[0]).toBeInstanceOf(ShapeError);
    expect(errors.map(String)).toEqual(["ShapeError: too wide", "RangeError: too high", "Error: just text"]);
    expect((errors[1] as Error).stack).toContain("client.test");
    const loaded = await trainer!.load({ train: data.twoMoons({ count: 100 }) });
    const { history } = await trainer!.train({ recipe: "moons", settings: { epochs: 1 } }, { data: loaded }).done;
    expect(history.outcome).toBe("finished");
  });
});

describe("mistakes", () => {
  test.each([
    [{ ...config, epochs: 0 }, /^config: at epochs: Too small/],
    [{ ...config, batchSise: 3 }, /^config: at the top level: Unrecognized key: "batchSise"/],
    [{ ...config, data: { type: "mnist" } }, /^config: at data: expected a synthetic set, got "mnist"; for other data give/],
    [{ ...config, data: undefined }, /^config: at data: expected a synthetic set, got none/],
    [{ ...config, network: [{ type: "linear", out: 2 }] }, /^network: expected 3 outputs per example for spirals, got \[2\]/],
    [{ recipe: "toString" }, /^train: expected a recipe of the worker \(mine, yours\), got "toString"\.$/],
    [{ recipe: "mine", settings: () => 1 }, /^train: expected what can be cloned into a worker/],
    [null, /^config: at the top level: Invalid input/],
  ])("%j is refused as OptionError, and a training after it works", async (plan, message) => {
    const nothing: Recipe = () => ({}) as never;
    await connect({ mine: nothing, yours: nothing });
    const { done } = trainer!.train(plan as never);
    await expect(done).rejects.toThrow(OptionError);
    await expect(done).rejects.toThrow(message);
    expect((await trainer!.train({ ...config, epochs: 1 }).done).history.outcome).toBe("finished");
  });

  test("a second training at once is refused and does not disturb the first", async () => {
    await connect();
    const first = trainer!.train(config);
    await expect(trainer!.train(config).done).rejects.toThrow(TrainingError);
    expect((await first.done).state).toEqual((await directly()).state);
  });

  test("predict before a training and with a part of an example is refused", async () => {
    await connect();
    await expect(trainer!.predict(new Float32Array(2))).rejects.toThrow(
      "predict: expected a training that has begun, got none: call train first.",
    );
    await trainer!.train({ ...config, epochs: 1 }).done;
    await expect(trainer!.predict(new Float32Array(3))).rejects.toThrow(
      "predict: expected whole examples [2] of 2 values, got 3 values.",
    );
    await expect(trainer!.predict(new Float32Array(0))).rejects.toThrow(ShapeError);
  });

  test("an engine that cannot start is refused when connecting", async () => {
    const { port1, port2 } = new MessageChannel();
    serveTraining({}, port2);
    await expect(connectTrainer({ worker: port1, threads: 0 })).rejects.toThrow(
      "init: expected threads to be an integer from 1 to 64, got 0.",
    );
  });

  test("without a worker, Node says what to give", async () => {
    await expect(connectTrainer()).rejects.toThrow(/^connectTrainer: expected a worker, .* serveTraining\(\{\}, parentPort\)\.$/);
  });

  test("after dispose what was under way and what comes later rejects as DisposedError, and the training ends", async () => {
    let ended: (outcome: string) => void;
    const outcome = new Promise<string>((resolve) => {
      ended = resolve;
    });
    const watched: Recipe = () => {
      const { model, fit: options } = prepare(parseTrainConfig(JSON.stringify(endless)), {
        train: data.spirals({ count: 200 }),
        test: null,
      });
      return { model, fit: { ...options, onEvent: (event) => event.type === "end" && ended(event.outcome) } };
    };
    const { onEvent, seen } = heard(({ type }) => type === "steps");
    const run = (await connect({ watched })).train({ recipe: "watched" }, { onEvent });
    await seen;
    const refused = expect(run.done).rejects.toThrow(DisposedError);
    trainer!.dispose();
    await refused;
    expect(await outcome).toBe("interrupted");
    await expect(trainer!.predict(new Float32Array(2))).rejects.toThrow("trainer: used after it was disposed of.");
    await run.pause();
  });

  test("every class of error keeps its class, name and message", async () => {
    const errors = await import("../../src/core/errors.js");
    for (const [name, Class] of Object.entries(errors)) {
      const back = errorFrom(structuredClone(errorData(new Class("what, why"))));
      expect(back).toBeInstanceOf(Class);
      expect([back.name, back.message]).toEqual([name, "what, why"]);
    }
  });
});
