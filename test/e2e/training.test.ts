// Training in a worker of the built package: in a real browser, and in Node.
import { readFileSync } from "node:fs";
import { Worker as NodeWorker } from "node:worker_threads";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackendError, DisposedError, OptionError } from "../../src/core/errors.js";
import type * as evenkeel from "../../src/index.js";
import { data, init } from "../../src/index.js";
import type * as training from "../../src/train/index.js";
import { connectTrainer, fit, parseTrainConfig, prepare } from "../../src/train/index.js";
import { launch, open } from "./pages.js";
import { serve } from "./server.js";

const repositoryFile = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url));
const sample = "assets/mnist-sample";
/** The examples of the page on browsers: the page's script, a worker, and the script that starts it. */
const [firstExample, ownWorker, secondExample] = [
  ...repositoryFile("docs/browser.md")
    .toString()
    .matchAll(/^```js\n([\s\S]*?)^```$/gm),
].map((match) => match[1]!);

const config = {
  network: [
    { type: "conv2d", out: 6, kernel: 5, bias: false },
    { type: "batchNorm" },
    { type: "relu" },
    { type: "maxPool2d", kernel: 2 },
    { type: "flatten" },
    { type: "dropout", p: 0.2 },
    { type: "linear", out: 10 },
  ],
  optimizer: { type: "sgd", lr: 0.05, momentum: 0.9 },
  epochs: 8,
  seed: 5,
} satisfies training.TrainerConfig;

const classifier = (out: number): training.LayerSpec[] => [{ type: "linear", out }];

let browser: Browser;
let isolated: Awaited<ReturnType<typeof serve>>;
let plain: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  const names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
  const files = {
    ...Object.fromEntries(names.map((name) => [`/mnist/${name}-ubyte.gz`, { file: `${sample}/${name}-ubyte.gz` }])),
    "/first.js": { script: firstExample! },
    "/worker.js": { script: ownWorker! },
    "/second.js": { script: secondExample! },
  };
  browser = await launch();
  [isolated, plain] = await Promise.all([serve(true, files), serve(false, files)]);
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([isolated?.close(), plain?.close()]);
});

type Library = typeof training & Pick<typeof evenkeel, "OptionError">;

/** Runs `fn` on a page, with what evenkeel exports. */
async function onPage<A, R>(page: Page, fn: (library: Library, argument: A) => R, argument: A): Promise<Awaited<R>> {
  const library = `{ ...(await import("evenkeel")), ...(await import("evenkeel/train")) }`;
  return (await page.evaluate(`(async () => (${fn})(${library}, ${JSON.stringify(argument)}))()`)) as never;
}

/** What the page's script says when it runs. */
async function said(page: Page, path: string): Promise<string[]> {
  const lines: string[] = [];
  page.on("console", (message) => lines.push(message.text()));
  await page.evaluate(`import("${path}")`);
  return lines;
}

/** Trains on the sample of MNIST and measures the longest time in which the page drew no frame. Runs in the page. */
async function trainOnSample({ connectTrainer }: Library, plan: training.TrainerConfig) {
  const trainer = await connectTrainer({ threads: 2, deterministic: true });
  const set = (part: string) => ({
    imagesUrl: `mnist/${part}-images-idx3-ubyte.gz`,
    labelsUrl: `mnist/${part}-labels-idx1-ubyte.gz`,
  });
  const loaded = await trainer.load({ train: set("train"), test: set("t10k") });
  let [longest, frames, last, going] = [0, 0, performance.now(), true];
  const beat = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    frames++;
    if (going) requestAnimationFrame(beat);
  };
  requestAnimationFrame(beat);
  const types: string[] = [];
  let threads = 0;
  const onEvent = (event: training.TrainerEvent) => {
    types.push(event.type);
    if (event.type === "start") threads = event.threads;
  };
  const start = performance.now();
  const { history, test: seen, state } = await trainer.train(plan, { data: loaded, onEvent }).done;
  const ms = performance.now() - start;
  going = false;
  const { values } = await trainer.predict(new Uint8Array(784));
  trainer.dispose();
  const numbers = [...state].map(([key, array]) => [key, [...array.shape], [...array.values]]);
  return {
    count: loaded.train.count,
    threads,
    types,
    ms,
    longest,
    frames,
    losses: history.losses,
    seen,
    numbers,
    outputs: [...values],
  };
}

/** The same training in Node, on one thread. */
async function expectedOnSample() {
  await init({ deterministic: true });
  const read = (part: string) => {
    const [images, labels] = [`${part}-images-idx3-ubyte.gz`, `${part}-labels-idx1-ubyte.gz`].map((name) =>
      repositoryFile(`${sample}/${name}`),
    );
    return data.imagesFromIdx({ name: part, images: images!, labels: labels!, classes: [..."0123456789"], source: "" });
  };
  const sets = { train: await read("train"), test: await read("t10k") };
  const { model, fit: options } = prepare(parseTrainConfig(JSON.stringify({ ...config, data: { type: "mnist" } })), sets);
  const { losses } = await fit(model, options);
  return { losses, numbers: [...model.stateDict()].map(([key, t]) => [key, [...t.shape], [...t.data()]]) };
}

describe("a training in a browser's worker", () => {
  test("on 2 threads gives Node's losses and weights bit for bit, while the page draws a frame at least every 200 ms", async () => {
    const { page, problems } = await open(browser, isolated.url);
    const result = await onPage(page, trainOnSample, config);
    expect(problems).toEqual([]);
    expect(result).toMatchObject({ count: 5000, threads: 2 });
    const expected = await expectedOnSample();
    expect(result.losses).toEqual(expected.losses);
    expect(result.numbers).toEqual(expected.numbers);
    expect(result.seen!.accuracy).toBeGreaterThan(0.9);
    expect(result.outputs).toHaveLength(10);
    expect(result.longest).toBeLessThan(200);
    expect(result.frames).toBeGreaterThan(result.ms / 200);
    // One a step would be 560.
    const messages = result.types.filter((type) => type === "steps").length;
    expect(messages).toBeLessThanOrEqual(result.ms / 50 + 8 + 1);
    expect(result.types.filter((type) => type !== "steps")).toEqual(["start", ...Array(8).fill("epoch"), "end"]);
    // dispose has ended the worker and its threads; Chromium gives them 2 s.
    await expect.poll(() => page.workers().length, { timeout: 20_000 }).toBe(0);
    await page.close();
  });

  test("a page that is not cross-origin isolated trains on one thread, says so, and gets the same bits", async () => {
    const { page, problems } = await open(browser, plain.url);
    const once = { ...config, epochs: 1 };
    const result = await onPage(page, trainOnSample, once);
    expect(problems).toEqual([]);
    expect(result.threads).toBe(1);
    await page.close();
    const { page: other } = await open(browser, isolated.url);
    expect((await onPage(other, trainOnSample, once)).numbers).toEqual(result.numbers);
    await other.close();
  });

  test("a wrong configuration is an OptionError, pause holds, stop ends, and trainings follow one another in one worker", async () => {
    const { page, problems } = await open(browser, isolated.url);
    const results = await onPage(
      page,
      async ({ connectTrainer, OptionError }, { endless, wrong, once }) => {
        const trainer = await connectTrainer({ threads: 2 });
        const refused = await trainer.train(wrong as never).done.catch((error: Error) => error);
        let steps = 0;
        const onEvent = (event: training.TrainerEvent) => {
          if (event.type === "steps") steps += event.steps.length;
        };
        const steady = () => new Promise<void>((resolve) => setTimeout(resolve, 200));
        const run = trainer.train(endless, { onEvent });
        while (steps === 0) await steady();
        const asked = performance.now();
        await run.pause();
        const pauseMs = performance.now() - asked;
        const held = steps;
        await steady();
        const after = steps;
        await run.resume();
        while (steps === after) await steady();
        await run.stop();
        const { history } = await run.done;
        const next = await trainer.train(once).done;
        const late = trainer.train(endless).done.catch((error: Error) => error.name);
        trainer.dispose();
        return {
          refused: [refused.constructor === OptionError, String(refused)],
          pauseMs,
          stepsWhilePaused: after - held,
          outcomes: [history.outcome, next.history.outcome, await late],
        };
      },
      {
        endless: { ...config, data: { type: "moons", count: 4000 }, network: classifier(2), epochs: 1e6 } as const,
        wrong: { ...config, epochs: 0 },
        once: { ...config, data: { type: "moons" }, network: classifier(2), epochs: 1 } as const,
      },
    );
    expect(problems).toEqual([]);
    expect(results.refused).toEqual([true, expect.stringMatching(/^OptionError: config: at epochs: Too small/)]);
    expect(results.stepsWhilePaused).toBe(0);
    expect(results.pauseMs).toBeLessThan(1000);
    expect(results.outcomes).toEqual(["interrupted", "finished", "DisposedError"]);
    await page.close();
  });

  test("a worker whose script is not there rejects as BackendError", async () => {
    const { page } = await open(browser, isolated.url);
    const message = await onPage(
      page,
      ({ connectTrainer }, url) => connectTrainer({ worker: new Worker(url, { type: "module" }) }).catch(String),
      "/nowhere.js",
    );
    expect(message).toBe("BackendError: the training worker failed; does its script load?");
    await page.close();
  });

  test("the examples of the documentation run, with a worker of one's own as well", async () => {
    const { page, problems } = await open(browser, isolated.url);
    const first = await said(page, "/first.js");
    expect(first[0]).toBe("50954 parameters on 2 threads");
    expect(first.filter((line) => /^epoch [12]: validation 0\.\d+$/.test(line))).toHaveLength(2);
    expect(first.at(-2)).toMatch(/^test accuracy 9\d\.\d %, 8 tensors$/);
    expect(first.at(-1)).toBe("shape of the outputs: 1,10");
    const second = await said(page, "/second.js");
    expect(second.slice(0, -1)).toEqual(Array(10).fill("32 running means"));
    expect(second.at(-1)).toMatch(/^finished: validation accuracy 0\.\d\d$/);
    expect(problems).toEqual([]);
    await page.close();
  });
});

describe("a training in a worker of Node", () => {
  /** A thread that runs the script. */
  const thread = (script: string) => new NodeWorker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  const library = JSON.stringify(new URL("../../dist/train.js", import.meta.url).href);
  const serving = `import { parentPort } from "node:worker_threads"; import { serveTraining } from ${library};`;
  const plan = { ...config, data: { type: "spirals" }, network: classifier(3), epochs: 2 } as const;

  test("works as in a browser, on 2 threads, and dispose ends the thread", async () => {
    const worker = thread(`${serving} serveTraining({}, parentPort);`);
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    const trainer = await connectTrainer({ worker, threads: 2 });
    expect(trainer.threads).toBe(2);
    expect((await trainer.train(plan).done).history.outcome).toBe("finished");
    await expect(trainer.train({ ...plan, epochs: 0 }).done).rejects.toThrow(OptionError);
    const rest = expect(trainer.train({ ...plan, epochs: 1e6 }).done).rejects.toThrow(DisposedError);
    trainer.dispose();
    await rest;
    await ended;
  });

  test("one that throws or exits in the middle rejects as BackendError, at once and from then on", async () => {
    const trainer = await connectTrainer({
      worker: thread(`${serving} serveTraining({ exit: () => process.exit(3) }, parentPort);`),
    });
    await expect(trainer.train({ recipe: "exit" }).done).rejects.toThrow(BackendError);
    await expect(trainer.train(plan).done).rejects.toThrow("the training worker failed: it exited with code 3.");
    const broken = connectTrainer({ worker: () => thread(`throw new Error("not today")`) });
    await expect(broken).rejects.toThrow("the training worker failed: not today.");
  });
});
