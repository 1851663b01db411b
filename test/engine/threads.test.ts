import { afterAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
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
  test("training gives the same bits with 1, 2, 3 and 8 threads: loss, parameters and running statistics", async () => {
    const want = train(await open({ threads: 1, deterministic }), STEPS, BATCH);
    for (const threads of [2, 3, 8]) {
      const backend = await open({ threads, deterministic });
      const got = train(backend, STEPS, BATCH);
      const differences = Object.keys(want).map((name) => [name, bitDifference(got[name]!, want[name]!)]);
      expect(differences).toEqual(Object.keys(want).map((name) => [name, null]));
      backend.dispose();
    }
  });
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
