import { afterEach, describe, expect, test } from "vitest";
import { BackendError } from "../../src/core/errors.js";
import type { Backend } from "../../src/engine/backend.js";
import { currentBackend, withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { init, memory, ops, type Tensor, tensor, tidy, zeros } from "../../src/index.js";

const MIB = 2 ** 20;
const opened: Backend[] = [];
async function open(options: Parameters<typeof createWasmBackend>[0]): Promise<Backend> {
  const backend = await createWasmBackend(options);
  opened.push(backend);
  return backend;
}
afterEach(() => {
  for (const b of opened.splice(0)) b.dispose();
});

describe("memory", () => {
  test.each([1, 2, 3])("grows past its start with %i threads: values survive and the workers compute on", async (threads) => {
    const backend = await open({ threads });
    withBackend(backend, () => {
      const start = memory().reserved;
      const n = 300_000;
      const kept: Tensor[] = [];
      while (memory().reserved < start + 24 * MIB) {
        const i = kept.length;
        kept.push(ops.add(tensor(Float32Array.from({ length: n }, (_, k) => (k % 7) + i)), 1));
      }
      expect(kept.length).toBeGreaterThan(8);
      kept.forEach((t, i) => {
        const values = t.data();
        expect([values[0], values[6], values[n - 1]]).toEqual([i + 1, i + 7, i + 1 + ((n - 1) % 7)]);
      });
      const sum = kept.reduce((a, b) => ops.add(a, b));
      const first = (kept.length * (kept.length + 1)) / 2;
      expect(sum.data()[0]).toBe(first);
      expect(sum.sum().item()).toBeCloseTo(
        n * first + kept.length * Array.from({ length: n }, (_, k) => k % 7).reduce((a, b) => a + b),
        -3,
      );
    });
  });

  test("grows while calls are pending", async () => {
    const backend = await open({ threads: 2 });
    withBackend(backend, () =>
      tidy(() => {
        const all = [zeros([200_000])];
        const before = memory().reserved;
        for (let i = 0; i < 40; i++) all.push(all[i]!.add(1));
        expect(memory().reserved).toBeGreaterThan(before);
        expect(all.map((t) => t.slice(0, 199_999, 200_000).item())).toEqual(all.map((_, i) => i));
      }),
    );
  });

  test("is reused: 500 rounds of the same work reserve no more than two", async () => {
    const backend = await open({});
    withBackend(backend, () => {
      const round = () =>
        tidy(
          () =>
            void ops
              .softmax(zeros([300, 300]).matmul(zeros([300, 200])))
              .sum()
              .item(),
        );
      round();
      round();
      const before = memory();
      for (let i = 0; i < 500; i++) round();
      expect(memory()).toEqual(before);
    });
  });

  test("reports used and peak", async () => {
    const backend = await open({});
    withBackend(backend, () => {
      const before = memory();
      const t = zeros([1000]);
      expect(memory().used - before.used).toBeGreaterThanOrEqual(4000);
      expect(memory().storages - before.storages).toBe(1);
      const { used } = memory();
      t.dispose();
      expect(memory().used).toBe(before.used);
      expect(memory().peak).toBeGreaterThanOrEqual(used);
    });
  });

  test("that runs out is a BackendError, changes nothing, and the backend stays usable", async () => {
    const backend = await open({ maxMemory: 32 * MIB });
    withBackend(backend, () => {
      const x = tensor([1, 2, 3]);
      const before = memory();
      expect(() => zeros([20 * MIB])).toThrow(BackendError);
      expect(() => zeros([20 * MIB])).toThrow(
        /^evenkeel: out of memory: 83886080 more bytes were needed with \d+ of at most 33554432 in use\. Dispose of tensors with tidy\(\), use a smaller batch, or raise init\(\{ maxMemory \}\)\.$/,
      );
      expect(memory()).toEqual(before);
      expect(x.mul(2).toArray()).toEqual([2, 4, 6]);
      const large = zeros([5 * MIB]);
      expect(large.sum().item()).toBe(0);
      expect(() => tidy(() => large.add(large.add(1)))).toThrow(BackendError);
      expect(large.slice(0, 0, 2).toArray()).toEqual([0, 0]);
      large.dispose();
      expect(zeros([5 * MIB]).size).toBe(5 * MIB);
    });
  });
});

describe("init", () => {
  test("refuses wrong options and keeps the backend in use", async () => {
    await init({});
    const backend = currentBackend();
    const x = tensor([1, 2]);
    const wrong: [Parameters<typeof init>[0], string][] = [
      [{ threads: 0 }, "init: expected threads to be an integer from 1 to 64, got 0."],
      [{ threads: 1.5 }, "init: expected threads to be an integer from 1 to 64, got 1.5."],
      [{ threads: 65 }, "init: expected threads to be an integer from 1 to 64, got 65."],
      [{ threads: "2" as never }, "init: expected threads to be an integer from 1 to 64, got 2."],
      [{ maxMemory: 1000 }, "init: expected maxMemory of at least 16 MiB, got 1000 bytes."],
      [{ maxMemory: NaN }, "init: expected maxMemory of at least 16 MiB, got NaN bytes."],
      [{ backend: "webgpu" as never }, 'init: expected backend "wasm" or "reference", got "webgpu".'],
    ];
    for (const [options, text] of wrong) {
      await expect(init(options)).rejects.toThrow(new BackendError(text));
      await expect(init(options)).rejects.toBeInstanceOf(BackendError);
    }
    expect(currentBackend()).toBe(backend);
    expect(x.add(1).toArray()).toEqual([2, 3]);
  });

  test.each(["wasm", "reference"] as const)("to another backend ends the tensors of %s with a clear error", async (name) => {
    await init({ backend: name });
    const [x, y] = [tensor([1, 2]), tensor([3, 4])];
    await init({});
    expect(() => x.data()).toThrow(/disposed/);
    expect(() => x.add(y).data()).toThrow(/disposed/);
    expect(() => x.add(tensor([1, 2]))).toThrow(new BackendError("add: the inputs lie on different backends."));
    x.dispose();
    y.dispose();
    expect(tensor([1, 2]).add(1).toArray()).toEqual([2, 3]);
  });

  test("chooses the reference backend, whose values are float64", async () => {
    await init({ backend: "reference" });
    expect(currentBackend().name).toBe("reference");
    expect(tensor([0.1]).data()).toEqual(new Float64Array([0.1]));
    await init({});
    expect(tensor([0.1]).data()).toEqual(new Float32Array([0.1]));
  });

  test("starts the threads it is asked for", async () => {
    await init({ threads: 2 });
    expect(currentBackend().threads).toBe(2);
    expect(tensor(new Float32Array(100_000).fill(0.5)).sum().item()).toBe(50_000);
    await init({});
    expect(currentBackend().threads).toBe(1);
  });
});
