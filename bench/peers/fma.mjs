// The peak of multiply-add: a loop that keeps twelve vectors in registers and touches no memory, on so many threads. Uses
// relaxed SIMD (a fused multiply-add) where evenkeel does, else a product and a sum. Also the code of its own workers.
import { isMainThread, Worker, workerData } from "node:worker_threads";

const SUMS = 12;
/** Floating-point operations in one pass of the loop: a product and a sum in each of four lanes. */
const PASS = SUMS * 4 * 2;

// WebAssembly's binary format, as far as one function needs it.
const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const section = (id, ...bytes) => [id, ...leb(bytes.length), ...bytes];
const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
const get = (i) => [0x20, i];
const set = (i) => [0x21, i];
const simd = (code) => [0xfd, ...leb(code)];
const [SPLAT, LANE, MUL, ADD, MADD] = [0x13, 0x1f, 0xe6, 0xe4, 0x105].map(simd);

/** run(passes, a, b) → the sum of all lanes 0, so that nothing can be left out. Locals: passes, a, b, vectors of a and b, sums. */
function moduleBytes(fused) {
  const [passes, a, b, first] = [0, 3, 4, 5];
  const sums = Array.from({ length: SUMS }, (_, i) => first + i);
  // Fused: sum += a · b. Plain: sum = sum · a + b, of which no part stays the same from pass to pass.
  const turn = (s) => [...(fused ? [get(a), get(b), get(s), MADD] : [get(s), get(a), MUL, get(b), ADD]), set(s)].flat();
  const body = [
    ...[1, ...leb(2 + SUMS), V128],
    ...[...get(1), ...SPLAT, ...set(a), ...get(2), ...SPLAT, ...set(b)],
    ...[0x03, 0x40],
    ...sums.flatMap(turn),
    ...[...get(passes), 0x41, 1, 0x6b, 0x22, passes, 0x0d, 0, 0x0b],
    ...sums.flatMap((s, i) => [...get(s), ...LANE, 0, ...(i > 0 ? [0x92] : [])]),
    0x0b,
  ];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 3, I32, F32, F32, 1, F32),
    ...section(3, 1, 0),
    ...section(7, 1, 3, ...Buffer.from("run"), 0, 0),
    ...section(10, 1, ...leb(body.length), ...body),
  );
}

function compile() {
  const fused = moduleBytes(true);
  return new WebAssembly.Module(WebAssembly.validate(fused) ? fused : moduleBytes(false));
}

function instantiate(module) {
  const { run } = new WebAssembly.Instance(module).exports;
  return (passes) => run(passes, 0.5, 1);
}

const [TURN, DONE] = [0, 1];

/** A worker waits for the next turn, does its part and counts itself done. */
function work({ module, shared, passes }) {
  const words = new Int32Array(shared);
  const run = instantiate(module);
  Atomics.add(words, DONE, 1);
  Atomics.notify(words, DONE);
  for (let turn = 0; ; ) {
    Atomics.wait(words, TURN, turn);
    turn = Atomics.load(words, TURN);
    run(passes);
    Atomics.add(words, DONE, 1);
    Atomics.notify(words, DONE);
  }
}

function waitFor(words, count) {
  for (let done = Atomics.load(words, DONE); done < count; done = Atomics.load(words, DONE)) Atomics.wait(words, DONE, done);
}

/** A work of `flops` floating-point operations, spread over the threads. */
export const fmaOn = (threads) => (wanted) => {
  const passes = Math.round(wanted.flops / PASS / threads);
  const shared = new SharedArrayBuffer(8);
  const words = new Int32Array(shared);
  const module = compile();
  const run = instantiate(module);
  const workers = Array.from({ length: threads - 1 }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { fma: { module, shared, passes } } });
    worker.unref();
    return worker;
  });
  waitFor(words, workers.length);
  return {
    repeat: () => {
      Atomics.store(words, DONE, 0);
      Atomics.add(words, TURN, 1);
      Atomics.notify(words, TURN);
      run(passes);
      waitFor(words, workers.length);
    },
    check: () => ({}),
    drop: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
};

if (!isMainThread && workerData?.fma) work(workerData.fma);
