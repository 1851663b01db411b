import { afterAll, describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { reduceOps, unaryOps } from "../../src/engine/kernels.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { ops, tensor, tidy } from "../../src/index.js";
import { bitDifference } from "../kernels/compare.js";
import { train } from "./networks.js";

const opened: Backend[] = [];
async function open(options: Parameters<typeof createWasmBackend>[0]): Promise<Backend> {
  const backend = await createWasmBackend(options);
  opened.push(backend);
  return backend;
}
afterAll(() => opened.forEach((b) => void b.dispose()));

const STEPS = 8;
const BATCH = 19;

describe.each([{ deterministic: false }, { deterministic: true }])("with %o", ({ deterministic }) => {
  test("training gives the same bits with 1, 2, 3 and 8 threads, eager and compiled, fused and composed: loss, parameters and running statistics", async () => {
    const want = train(await open({ threads: 1, deterministic }), STEPS, BATCH);
    const none = Object.keys(want).map((name) => [name, null]);
    for (const threads of [1, 2, 3, 8]) {
      const backend = await open({ threads, deterministic });
      for (const fused of [false, true]) {
        for (const isCompiled of [false, true]) {
          const got = train(backend, STEPS, BATCH, fused, isCompiled);
          expect(Object.keys(want).map((name) => [name, bitDifference(got[name]!, want[name]!)])).toEqual(none);
        }
      }
      backend.dispose();
    }
  });
});

/** Sizes below, at and above what one thread computes alone. */
const SIZES = [5, 64, 8192, 8193, 20_000, 50_000];

/** Random calls, small and divided, with and without scratch, on storages that they share; the contents of all at the end. */
function runRandomCalls(backend: Backend, seed: number, calls: number): HostArray[] {
  const random = new Random(seed);
  const storages = Array.from({ length: 5 }, () => backend.alloc("float32", 50_000));
  for (const y of storages) {
    backend.write(
      y,
      Float32Array.from({ length: y.length }, () => random.normal()),
    );
  }
  for (let i = 0; i < calls; i++) {
    const [x, y] = [storages[random.integer(5)]!, storages[random.integer(5)]!];
    const n = SIZES[random.integer(SIZES.length)]!;
    const kind = random.integer(x === y ? 1 : 4);
    const rows = { batch: 1, m: n >> 6, n: 8, k: 5, transA: 0, transB: 0, aBatch: 0, bBatch: 0 } as const;
    if (kind === 0) backend.call("unary", { x, y, n, op: unaryOps.indexOf("tanh"), alpha: 0 });
    else if (kind === 1) backend.call("copy", { x, y, n });
    else if (kind === 2) backend.call("reduce", { x, y, op: reduceOps.indexOf("mean"), outer: 2, count: n >> 1, inner: 1 });
    else backend.call("matmul", { a: x, b: x, bias: null, y, ...rows });
  }
  const contents = storages.map((storage) => backend.read(storage));
  for (const storage of storages) backend.release(storage);
  return contents;
}

test("12 programs of 100 random calls, small and divided, give the same bits with 1, 2, 3 and 8 threads", async () => {
  const [one, ...others] = await Promise.all([1, 2, 3, 8].map((threads) => open({ threads })));
  for (let seed = 0; seed < 12; seed++) {
    const want = runRandomCalls(one!, seed, 100);
    for (const backend of others) {
      const got = runRandomCalls(backend, seed, 100);
      expect([seed, ...want.map((values, i) => bitDifference(got[i]!, values))]).toEqual([seed, ...want.map(() => null)]);
    }
  }
});

test("shares of hundreds of grains, which are computed in pieces, give the same bits with 1, 2 and 3 threads", async () => {
  const random = new Random(2);
  const normals = (...shape: number[]) => ({
    values: Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => random.normal()),
    shape,
  });
  const [long, tall, images] = [normals(3_000_000), normals(2048, 64), normals(640, 4, 16, 16)];
  const [right, kernel] = [normals(64, 256), normals(8, 4, 3, 3)];
  const results: HostArray[][] = [];
  for (const threads of [1, 2, 3]) {
    const backend = await open({ threads });
    const on = (t: typeof long) => tensor(t.values, t.shape);
    results.push(
      withBackend(backend, () =>
        tidy(() => [
          ops.add(ops.tanh(on(long)), on(long)).data(),
          ops.matmul(on(tall), on(right)).data(),
          ops.maxPool2d(ops.conv2d(on(images), on(kernel)), { kernelSize: 2 }).data(),
          ops.batchNorm(tensor(long.values, [200, 15_000]), { training: true }).data(),
        ]),
      ),
    );
  }
  for (const got of results.slice(1))
    expect(got.map((v, i) => bitDifference(v, results[0]![i]!))).toEqual([null, null, null, null]);
});

test("training follows float64 within 1e-4 for 8 steps, and the loss falls", async () => {
  const reference = new ReferenceBackend();
  const got = train(await open({ threads: 2 }), STEPS, BATCH);
  const want = train(reference, STEPS, BATCH);
  for (const [name, values] of Object.entries(want)) {
    const worst = Array.from(values).reduce((max: number, v, i) => Math.max(max, Math.abs(v - got[name]![i]!)), 0);
    expect([name, worst < 1e-4]).toEqual([name, true]);
  }
  expect(want.loss![0]!).toBeLessThan(train(reference, 1, BATCH).loss![0]!);
  reference.dispose();
});

test("more threads than cores finish 2,000 small dependent calls, and again after a pause", async () => {
  const backend = await open({ threads: 3 });
  const run = () =>
    withBackend(backend, () =>
      tidy(() => {
        let y = tensor(new Float32Array(20_000).fill(1));
        for (let i = 0; i < 2000; i++) {
          const next = ops.add(y, 1);
          y.dispose();
          y = next;
        }
        const values = y.data();
        return [values[0], values[19_999]];
      }),
    );
  expect(run()).toEqual([2001, 2001]);
  // Longer than the workers spin: they sleep and are woken.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(run()).toEqual([2001, 2001]);
});

test("two backends with threads work side by side", async () => {
  const [a, b] = [await open({ threads: 2 }), await open({ threads: 2 })];
  const sums = [a, b, a, b].map((backend, i) =>
    withBackend(backend, () => tidy(() => tensor(new Float32Array(50_000).fill(i)).sum().item())),
  );
  expect(sums).toEqual([0, 50_000, 100_000, 150_000]);
});
