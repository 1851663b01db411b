import { afterEach, describe, expect, test } from "vitest";
import { BackendError } from "../../src/core/errors.js";
import { Random } from "../../src/core/random.js";
import type { Backend, Storage } from "../../src/engine/backend.js";
import { currentBackend, withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { Heap } from "../../src/engine/wasm/heap.js";
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

  test.each([1, 2, 3])("grows while calls are pending, with %i threads", async (threads) => {
    const backend = await open({ threads });
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

  test("grows while the workers sleep, which then reach the new part", async () => {
    const backend = await open({ threads: 3 });
    const n = 3 * MIB;
    const kept: Storage[] = [];
    for (let value = 1; value < 5; value++) {
      const { reserved } = backend.memory();
      kept.push(backend.alloc("float32", n), backend.alloc("float32", n));
      expect(backend.memory().reserved).toBeGreaterThan(reserved);
      backend.call("fill", { y: kept.at(-1)!, n, value });
      backend.call("copy", { x: kept.at(-1)!, y: kept.at(-2)!, n });
      expect(new Set(backend.read(kept.at(-2)!))).toEqual(new Set([value]));
      // Longer than the workers spin.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(kept.map((storage) => backend.read(storage)[n - 1])).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
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

  const outOfMemory =
    /^evenkeel: out of memory: \d+ more bytes were needed with \d+ of at most 33554432 in use(?:, and no free piece is as large)?\. Dispose of tensors with tidy\(\), use a smaller batch, or raise init\(\{ maxMemory \}\)\.$/;

  test.each([1, 3])(
    "that runs out with %i threads is a BackendError, changes nothing, and the backend stays usable",
    async (threads) => {
      const backend = await open({ threads, maxMemory: 32 * MIB });
      withBackend(backend, () => {
        const x = tensor([1, 2, 3]);
        const before = memory();
        expect(() => zeros([20 * MIB])).toThrow(BackendError);
        expect(() => zeros([20 * MIB])).toThrow(/^evenkeel: out of memory: 83886080 more bytes/);
        expect(() => zeros([20 * MIB])).toThrow(outOfMemory);
        expect(memory()).toEqual(before);
        expect(x.mul(2).toArray()).toEqual([2, 4, 6]);
        const large = zeros([5 * MIB]);
        expect(large.sum().item()).toBe(0);
        expect(() => tidy(() => large.add(large.add(1)))).toThrow(BackendError);
        expect(large.slice(0, 0, 2).toArray()).toEqual([0, 0]);
        large.dispose();
        expect(zeros([5 * MIB]).size).toBe(5 * MIB);
      });
    },
  );

  test.each([1, 3])(
    "filled to the brim with %i threads keeps every value; what is disposed of can be used again",
    async (threads) => {
      const backend = await open({ threads, maxMemory: 32 * MIB });
      withBackend(backend, () => {
        const kept: Tensor[] = [];
        const fill = () => {
          for (;;) kept.push(tensor(new Float32Array(100_000).fill(kept.length)).add(1));
        };
        const expectValues = () =>
          kept.forEach((t, i) => {
            const values = t.data();
            expect([i, values[0], values[50_000], values[99_999]]).toEqual([i, i + 1, i + 1, i + 1]);
          });
        expect(() => tidy(fill)).toThrow(outOfMemory);
        // tidy disposed of what it had made.
        kept.length = 0;
        expect(fill).toThrow(outOfMemory);
        expect(kept.length).toBeGreaterThan(30);
        expectValues();
        for (let round = 0; round < 3; round++) {
          kept.pop()!.dispose();
          kept.push(kept.at(-1)!.add(1));
          expect(() => tidy(fill)).toThrow(outOfMemory);
          kept.length = Math.min(kept.length, 31);
          expectValues();
        }
      });
    },
  );

  test.each([1, 3])(
    "that lacks a kernel's scratch with %i threads: the call is not made, those before it are",
    async (threads) => {
      const backend = await open({ threads, maxMemory: 32 * MIB });
      const x = backend.alloc("float32", MIB);
      const y = backend.alloc("float32", 4);
      const fillers = [];
      const n = MIB / 4;
      backend.call("fill", { y: x, n: MIB, value: 1 });
      try {
        for (;;) fillers.push(backend.alloc("uint8", MIB / 2));
      } catch (error) {
        expect((error as Error).message).toMatch(outOfMemory);
      }
      const before = backend.memory();
      const common = { batch: 1, transA: 0, transB: 0, aBatch: 0, bBatch: 0 } as const;
      const product = () => backend.call("matmul", { a: x, b: x, bias: null, y, m: 1, n: 4, k: n, ...common });
      expect(product).toThrow(outOfMemory);
      expect(backend.memory()).toEqual(before);
      expect(backend.read(x)[MIB - 1]).toBe(1);
      for (const storage of fillers) backend.release(storage);
      product();
      expect([...backend.read(y)]).toEqual([n, n, n, n]);
    },
  );

  test("holds any mixture of sizes after another: pieces are joined, none overlap, and the end is given back", () => {
    const limited = { buffer: new ArrayBuffer(MIB), grow: () => {} } as unknown as WebAssembly.Memory;
    const heap = new Heap(limited, 1000, MIB, () => {});
    const random = new Random(3);
    for (let round = 0; round < 30; round++) {
      const taken: { address: number; bytes: number }[] = [];
      const largest = 2 ** (6 + random.integer(8));
      try {
        for (;;) {
          const bytes = 1 + random.integer(largest);
          taken.push({ address: heap.take(bytes), bytes });
          if (random.integer(4) === 0) {
            const [gone] = taken.splice(random.integer(taken.length), 1);
            heap.give(gone!.address, gone!.bytes);
          }
        }
      } catch (error) {
        expect(error).toBeInstanceOf(BackendError);
      }
      const inOrder = taken.toSorted((p, q) => p.address - q.address);
      for (const [i, { address, bytes }] of inOrder.entries()) {
        expect([address % 64, address >= 1000]).toEqual([0, true]);
        expect(address + bytes).toBeLessThanOrEqual(inOrder[i + 1]?.address ?? MIB);
      }
      expect([round, heap.used > 0.75 * MIB]).toEqual([round, true]);
      for (const piece of taken) heap.give(piece.address, piece.bytes);
      expect(heap.used).toBe(0);
      const all = heap.take(900_000);
      heap.give(all, 900_000);
    }
  });

  test("that the platform refuses is a BackendError with what it gave", () => {
    const refusing = {
      buffer: new ArrayBuffer(MIB),
      grow: () => {
        throw new RangeError("no");
      },
    } as unknown as WebAssembly.Memory;
    const heap = new Heap(refusing, 0, 64 * MIB, () => {});
    expect(heap.take(1000)).toBe(0);
    expect(() => heap.take(2 * MIB)).toThrow(
      new BackendError(
        "evenkeel: out of memory: 2097152 more bytes were needed with 1024 of at most 67108864 in use, and the platform gives no more than 1048576. Dispose of tensors with tidy() or use a smaller batch.",
      ),
    );
    expect([heap.used, heap.take(1000)]).toEqual([1024, 1024]);
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
      [{ maxMemory: -(2 ** 30) }, "init: expected maxMemory of at least 16 MiB, got -1073741824 bytes."],
      [{ maxMemory: "67108864" as never }, 'init: expected maxMemory of at least 16 MiB, got "67108864".'],
      [{ maxMemory: 16 * MIB, threads: 64 }, "init: expected maxMemory of at least 72 MiB, got 16777216 bytes."],
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
