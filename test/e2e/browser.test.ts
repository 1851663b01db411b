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
