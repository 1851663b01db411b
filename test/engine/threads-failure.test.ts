import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { BackendError } from "../../src/core/errors.js";
import type { Storage } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend, type WasmBackend } from "../../src/engine/wasm/backend.js";
import type { WorkerStart } from "../../src/engine/wasm/platform.js";
import { init, ops, tensor, tidy } from "../../src/index.js";

const url = new URL("../../src/engine/wasm/worker.js", import.meta.url);
/** Longest that thread 0 may wait for a worker without a sign of life; the tests allow ten times as much. */
const STALL_MS = 600;
const BOUND_MS = 10 * STALL_MS;
const AGAIN = "Its tensors are lost; call init() again.";
const silent = (worker: number | string) =>
  new RegExp(
    `^evenkeel: worker ${worker} of the WASM backend showed no sign of life for [\\d.]+ s\\. ${AGAIN.replace("()", "\\(\\)")}$`,
  );

/** A worker that runs `before` and then, unless that ends it, serves like any other. */
function makeWorker(workerData: WorkerStart, before: string): Worker {
  const source = `const { workerData } = require("node:worker_threads"); ${before}; import(${JSON.stringify(url.href)});`;
  return new Worker(source, { eval: true, workerData });
}

/** Does `action` on the wait numbered `after` of a worker: with spin 0 it waits at nearly every barrier. */
const onWait = (after: number, action: string) =>
  `const wait = Atomics.wait; let waits = 0; Atomics.wait = (...a) => { if (++waits === ${after}) { ${action} } return wait(...a); }`;
const sleepForever = "for (;;) wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";

const end = (worker: Worker) => new Promise((resolve) => worker.on("exit", resolve));

interface Opened {
  backend: WasmBackend;
  workers: Worker[];
  /** Resolves when every worker has ended. */
  ended: Promise<unknown>;
}

const opened: WasmBackend[] = [];
afterEach(() => {
  for (const backend of opened.splice(0)) backend.dispose();
});

/** A backend whose workers first run `before[thread]`. */
async function open(threads: number, before: Record<number, string> = {}, startMs = 20_000): Promise<Opened> {
  const workers: Worker[] = [];
  const startWorker = (start: WorkerStart, onEnd: (how: string) => void) => {
    const worker = makeWorker(start, before[start.thread] ?? "");
    worker.on("error", (error) => onEnd(`failed: ${(error as Error).message}`)).on("exit", () => onEnd("ended"));
    workers.push(worker);
    return { stop: () => void worker.terminate() };
  };
  const backend = await createWasmBackend({ threads }, { stallMs: STALL_MS, startMs, spin: 0, startWorker });
  opened.push(backend);
  return { backend, workers, ended: Promise.all(workers.map(end)) };
}

/** Some hundred dependent calls in which every thread has a share. */
function work(backend: WasmBackend, calls = 300): number {
  return withBackend(backend, () =>
    tidy(() => {
      let y = tensor(new Float32Array(40_000).fill(1));
      for (let i = 0; i < calls; i++) y = tidy(() => ops.add(y, 1));
      return y.data()[39_999]!;
    }),
  );
}

/** What `fn` throws, and that it did not take long. */
function thrown(fn: () => unknown): Error {
  const begin = performance.now();
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    expect(performance.now() - begin).toBeLessThan(BOUND_MS);
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

/** Every use of a failed backend throws the same error at once; giving up tensors does not. */
function expectRefusal(backend: WasmBackend, storage: Storage, message: string): void {
  for (const use of [
    () => backend.alloc("float32", 4),
    () => backend.read(storage),
    () => backend.write(storage, new Float32Array(storage.length)),
    () => backend.call("fill", { y: storage, n: storage.length, value: 1 }),
    () => backend.flush(),
  ]) {
    expect(use).toThrow(new BackendError(message));
  }
  backend.release(storage);
  backend.dispose();
}

describe("a worker that is gone", () => {
  test.each([1, 2])("ended while idle: worker %i of 2 is named at the next call, and init() works again", async (thread) => {
    const { backend, workers, ended } = await open(3);
    const storage = backend.alloc("float32", 4);
    expect(work(backend)).toBe(301);
    await workers[thread - 1]!.terminate();
    await ended;
    const message = `evenkeel: worker ${thread} of the WASM backend ended. ${AGAIN}`;
    expectRefusal(backend, storage, message);
    await init({ threads: 2 });
    expect(tensor(new Float32Array(50_000).fill(2)).sum().item()).toBe(100_000);
    await init({});
  });

  test(`ended right before a program: an error within ${BOUND_MS} ms, and the other worker is ended`, async () => {
    const { backend, workers, ended } = await open(3);
    const storage = backend.alloc("float32", 4);
    void workers[1]!.terminate();
    const { message } = thrown(() => work(backend));
    expect(message).toMatch(silent(2));
    expectRefusal(backend, storage, message);
    await ended;
  });

  test.each([2, 3, 8])(`of %i threads ended in the middle of a program: an error within ${BOUND_MS} ms`, async (threads) => {
    const { backend, ended } = await open(threads, { [threads - 1]: onWait(40, "process.exit(1);") });
    const { message } = thrown(() => work(backend, 900));
    expect(message).toMatch(silent(threads - 1));
    await ended;
    expect(() => work(backend)).toThrow(new BackendError(message));
  });

  test(`that hangs in the middle of a program: an error within ${BOUND_MS} ms, and it is ended`, async () => {
    const { backend, ended } = await open(3, { 1: onWait(40, sleepForever) });
    expect(thrown(() => work(backend, 900)).message).toMatch(silent(1));
    await ended;
  });

  test("leaves another backend unharmed", async () => {
    const failing = await open(2, { 1: onWait(10, "process.exit(1);") });
    const other = await createWasmBackend({ threads: 2 });
    opened.push(other);
    thrown(() => work(failing.backend));
    expect(work(other)).toBe(301);
    await failing.ended;
    expect(work(other)).toBe(301);
  });
});

describe("a kernel that traps", () => {
  /** Copies from a range of which the last `outside` elements lie behind the end of the memory. */
  function copyBeyond(backend: WasmBackend, n: number, outside: number): void {
    const y = backend.alloc("float32", n);
    const address = backend.memory().reserved - 4 * (n - outside);
    backend.call("copy", { x: { ...y, backend, address, bytes: 4 * n } as Storage, y, n });
    backend.flush();
  }
  const n = 8 * 8192;

  test.each([2, 3, 8])("on the last of %i threads: an error at once that names it, and all workers end", async (threads) => {
    const { backend, ended } = await open(threads);
    const { message } = thrown(() => copyBeyond(backend, n, 4));
    expect(message).toBe(`evenkeel: worker ${threads - 1} of the WASM backend failed in a kernel. ${AGAIN}`);
    await ended;
    expect(() => work(backend)).toThrow(new BackendError(message));
  });

  test("on the calling thread: an error with the cause, and all workers end", async () => {
    const { backend, ended } = await open(3);
    const error = thrown(() => copyBeyond(backend, 100, 4));
    expect(error.message).toBe("evenkeel: a kernel failed: memory access out of bounds.");
    expect(work(backend)).toBe(301);
    expect(thrown(() => copyBeyond(backend, n, n)).message).toMatch(/^evenkeel: (a kernel failed: memory|worker \d of the WASM)/);
    await ended;
  });
});

describe("init", () => {
  const startMs = 500;
  test.each([
    ["that does not serve", sleepForever.replace("wait(", "Atomics.wait("), "init: 1 of 2 workers started in 0.5 s."],
    ["that ends at once", "process.exit(0)", `evenkeel: worker 2 of the WASM backend ended. ${AGAIN}`],
    ["that throws", 'throw new Error("no luck")', `evenkeel: worker 2 of the WASM backend failed: no luck. ${AGAIN}`],
  ])(`with a worker %s is refused within ${BOUND_MS} ms`, async (_, before, message) => {
    const begin = performance.now();
    await expect(open(3, { 2: before }, startMs)).rejects.toThrow(new BackendError(message));
    expect(performance.now() - begin).toBeLessThan(BOUND_MS);
  });

  test("with a worker that cannot be made is refused, and the workers made before are ended", async () => {
    const made: Worker[] = [];
    const startWorker = (start: WorkerStart) => {
      if (start.thread === 2) throw new Error("too many workers");
      made.push(makeWorker(start, ""));
      return { stop: () => void made[0]!.terminate() };
    };
    const message = "init: worker 2 could not be started: too many workers";
    await expect(createWasmBackend({ threads: 3 }, { startWorker })).rejects.toThrow(new BackendError(message));
    await end(made[0]!);
  });
});
