// The built package in a real browser: it loads, its threads run, and its bits are Node's.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as evenkeel from "../../src/index.js";
import { launch, open } from "./pages.js";
import { serve } from "./server.js";

let browser: Browser;
let isolated: Awaited<ReturnType<typeof serve>>;
let plain: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  browser = await launch();
  [isolated, plain] = await Promise.all([serve(true), serve(false)]);
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([isolated?.close(), plain?.close()]);
});

/** Three training steps of a small normalized network by hand; the parameters as numbers. Runs in Node and in the page. */
async function train(library: typeof evenkeel, options: evenkeel.InitOptions): Promise<number[][]> {
  const { init, manualSeed, normal, ops, ones, tensor, tidy, zeros } = library;
  await init(options);
  manualSeed(7);
  const x = normal([8, 2, 9, 7]);
  const labels = tensor(Int32Array.from([0, 1, 2, 0, 1, 2, 0, 1]));
  const parameters = [normal([5, 2, 3, 3], 0, 0.3), ones([5]), zeros([5]), normal([3, 60], 0, 0.1)];
  for (const p of parameters) p.requiresGrad = true;
  const [kernel, gamma, beta, weight] = parameters as [evenkeel.Tensor, evenkeel.Tensor, evenkeel.Tensor, evenkeel.Tensor];
  for (let step = 0; step < 3; step++) {
    tidy(() => {
      const y = ops.batchNorm(ops.conv2d(x, kernel, null, { padding: 1 }), { weight: gamma, bias: beta, training: true });
      const pooled = ops.maxPool2d(ops.gelu(y), { kernelSize: 2 });
      ops.crossEntropy(ops.linear(pooled.flatten(), weight), labels).backward();
      for (const p of parameters) {
        const g = p.grad as evenkeel.Tensor;
        const next = p.detach().sub(g.mul(0.1));
        p.backend.call("copy", { x: next.storage, y: p.storage, n: p.size });
        p.grad = null;
      }
    });
  }
  const values: number[][] = [];
  for (const p of parameters) values.push([...(await p.read())]);
  return values;
}

async function trainInPage(url: string, options: evenkeel.InitOptions) {
  const { page, problems } = await open(browser, url);
  try {
    const source = `(async () => (${train})(await import("evenkeel"), ${JSON.stringify(options)}))()`;
    const values = (await page.evaluate(source)) as number[][];
    return { values, problems, isolated: await page.evaluate(() => globalThis.crossOriginIsolated) };
  } finally {
    await page.close();
  }
}

/** What a module posts from a module worker of a page. */
async function runInWorker<T>(url: string, module: string): Promise<T> {
  const { page, problems } = await open(browser, url);
  try {
    const result = await page.evaluate(
      (source) =>
        new Promise((resolve, reject) => {
          const blob = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const worker = new Worker(blob, { type: "module" });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message || "the worker's script was refused"));
        }),
      module,
    );
    expect(problems.filter((text) => !text.includes("404"))).toEqual([]);
    return result as T;
  } finally {
    await page.close();
  }
}

/** What `train` gives in a module worker, and the threads it had. */
const trainInWorker = (url: string, options: evenkeel.InitOptions) =>
  runInWorker<{ values: number[][]; threads: number }>(
    url,
    `import * as library from "${url}bundled/index.js";
     const values = await (${train})(library, ${JSON.stringify(options)});
     postMessage({ values, threads: library.zeros([1]).backend.threads });`,
  );

/** What init() throws where the workers' script is missing. */
const initIncomplete = (url: string) =>
  `import("${url}incomplete/index.js").then((e) => e.init({ threads: 2 })).then(() => "started", (error) => error.message)`;

/** What the next use throws, in the page or worker that evaluates it, after a worker was ended, which the platform does not tell. */
async function loseWorker({
  init,
  ones,
}: typeof evenkeel): Promise<{ message: string; again: string; seconds: number; sum: number }> {
  const Original = globalThis.Worker;
  const made: Worker[] = [];
  globalThis.Worker = class extends Original {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      made.push(this);
    }
  };
  const messageOf = (use: () => unknown) => {
    try {
      return String(use());
    } catch (error) {
      return (error as Error).message;
    }
  };
  await init({ threads: 2 });
  made[0]!.terminate();
  // A browser may let it serve for some seconds more.
  let [message, seconds] = ["", 0];
  for (let i = 0; i < 20 && !message.startsWith("evenkeel"); i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const begin = performance.now();
    message = messageOf(() => ones([100_000]).sum().item());
    seconds = (performance.now() - begin) / 1000;
  }
  const again = messageOf(() => ones([1]));
  await init({ threads: 2 });
  return { message, again, seconds, sum: ones([100_000]).sum().item() };
}

describe("the built package in a browser", () => {
  test("three deterministic training steps give Node's bits, on one thread and on two", async () => {
    const expected = await train(evenkeel, { threads: 1, deterministic: true });
    for (const threads of [1, 2]) {
      const { values, problems, isolated: shared } = await trainInPage(isolated.url, { threads, deterministic: true });
      expect(problems).toEqual([]);
      expect(shared).toBe(true);
      expect(values).toEqual(expected);
    }
  });

  test("a page that is not cross-origin isolated trains on one thread, with the same bits", async () => {
    const { values, problems, isolated: shared } = await trainInPage(plain.url, { threads: 2, deterministic: true });
    expect(problems).toEqual([]);
    expect(shared).toBe(false);
    expect(values).toEqual(await train(evenkeel, { threads: 1, deterministic: true }));
  });

  test("in a module worker, deterministic training gives Node's bits on 1, 2 and 3 threads", async () => {
    const expected = await train(evenkeel, { threads: 1, deterministic: true });
    for (const threads of [1, 2, 3]) {
      expect(await trainInWorker(isolated.url, { threads, deterministic: true })).toEqual({ values: expected, threads });
    }
  });

  test("in a module worker of a page that is not isolated it trains on one thread and says so", async () => {
    const expected = await train(evenkeel, { threads: 1, deterministic: true });
    expect(await trainInWorker(plain.url, { threads: 3, deterministic: true })).toEqual({ values: expected, threads: 1 });
  });

  test("a missing script of the workers makes init() fail, not hang, in a page and in a module worker", async () => {
    const expected = /^evenkeel: worker 1 of the WASM backend failed: .+ call init\(\) again\.$/;
    const { page } = await open(browser, isolated.url);
    expect(await page.evaluate(initIncomplete(isolated.url))).toMatch(expected);
    await page.close();
    expect(await runInWorker(isolated.url, `${initIncomplete(isolated.url)}.then(postMessage);`)).toMatch(expected);
  });

  test("a worker that is gone makes the next use fail within 20 s, in a page and in a module worker; init() works again", async () => {
    const source = `import("${isolated.url}bundled/index.js").then(${loseWorker})`;
    const { page } = await open(browser, isolated.url);
    const inPage = page.evaluate(source) as ReturnType<typeof loseWorker>;
    const inWorker = runInWorker<Awaited<typeof inPage>>(isolated.url, `${source}.then(postMessage);`);
    for (const { message, again, seconds, sum } of await Promise.all([inPage, inWorker])) {
      expect(message).toMatch(
        /^evenkeel: worker 1 of the WASM backend showed no sign of life for 1\d s\. .+ call init\(\) again\.$/,
      );
      expect(again).toBe(message);
      expect(seconds).toBeLessThan(20);
      expect(sum).toBe(100_000);
    }
    await page.close();
  });

  test("the default build trains to within 1e-4 of the deterministic one", async () => {
    const expected = (await train(evenkeel, { deterministic: true })).flat();
    const { values } = await trainInPage(isolated.url, { threads: 2 });
    const largest = Math.max(...expected.map(Math.abs));
    for (const [i, v] of values.flat().entries()) expect(Math.abs(v - expected[i]!)).toBeLessThan(1e-4 * largest);
  });

  test("using it before init() says so", async () => {
    const { page } = await open(browser, isolated.url);
    const message = await page.evaluate(
      `import("evenkeel").then((e) => { try { e.zeros([2]); return "nothing thrown"; } catch (error) { return error.message; } })`,
    );
    expect(message).toBe("evenkeel: call `await init()` before the first tensor is made.");
    await page.close();
  });
});
