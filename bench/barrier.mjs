// The measurements behind the waiting of kernels/runtime.ts: what a barrier costs, what it costs to wake workers that sleep,
// and what workers that spin cost the JavaScript of the main thread.
// `node bench/barrier.mjs`; --spin a,b,… (rounds before sleep), --threads a,b,…, --rounds N, --json,
// --backend FILE (a bundle of src/engine/wasm/backend.ts that was made before, build/barrier/backend.js, to compare states).
import { cpSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { at } from "../scripts/paths.mjs";
import { machine } from "./machine.mjs";
import { median } from "./peers/serve.mjs";

const { values: options } = parseArgs({
  options: {
    spin: { type: "string", default: "0,5000,20000,50000,200000" },
    threads: { type: "string", default: "1,2,3,8" },
    rounds: { type: "string", default: "15" },
    backend: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const numbers = (text) => text.split(",").map(Number);
const rounds = Number(options.rounds);
const CALLS = 1000;
/** Longer than any worker spins. */
const PAUSE_MS = 20;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** The backend alone, as one file beside the kernels and the worker. */
async function bundle() {
  const { build } = await import("tsdown");
  const common = { config: false, platform: "node", format: "esm", fixedExtension: false, dts: false, logLevel: "warn" };
  const outDir = at("build/barrier");
  const alias = { "#platform": at("src/engine/wasm/platform-node.ts") };
  await build({ ...common, entry: { backend: at("src/engine/wasm/backend.ts") }, outDir, alias });
  for (const file of ["kernels.wasm", "kernels-relaxed.wasm", "worker.js"])
    cpSync(at("src/engine/wasm", file), `${outDir}/${file}`);
  return `${outDir}/backend.js`;
}

/** Microseconds of `fn`, the median of the rounds, each after a pause in milliseconds if there is one. */
async function timed(prepare, fn, pauseMs = 0) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    prepare();
    if (pauseMs > 0) await sleep(pauseMs);
    const begin = performance.now();
    fn();
    times.push(1000 * (performance.now() - begin));
  }
  return median(times);
}

/** Appends calls that each need the one before; with `divided` every thread has a share, tiny as it is. */
function append(backend, x, calls, divided) {
  for (let i = 0; i < calls; i++) backend.call("unary", { x, y: x, n: x.length, op: 8, alpha: 1 });
  if (!divided) return;
  const { ints, pending } = backend;
  pending.isDivided = true;
  for (let word = pending.start >>> 2; word < (pending.start + pending.end) >>> 2; word += ints[word + 2] >>> 2) {
    ints[word + 1] = 1;
    ints[word + 4] = x.length >>> 3;
  }
}

/** A millisecond or so of the main thread's JavaScript, with some garbage. */
function script() {
  let list = [];
  for (let i = 0; i < 20_000; i++) list = i % 64 === 0 ? [] : [...list.slice(-4), { i }];
  return list.length;
}

async function measure(createWasmBackend, threads, spin) {
  const backend = await createWasmBackend({ threads }, spin === undefined ? {} : { spin });
  const x = backend.alloc("float32", 64);
  backend.write(x, new Float32Array(64));
  const run = () => backend.flush();
  const chain = (divided) => () => append(backend, x, CALLS - 1, divided);
  const one = () => append(backend, x, 1, true);
  const afterRun = () => {
    one();
    backend.flush();
  };
  for (let i = 0; i < 30; i++) {
    chain(i % 2 === 0)();
    run();
    script();
  }
  const row = {
    threads,
    spin: spin ?? "default",
    "divided call, ns": (1000 * (await timed(chain(true), run))) / CALLS,
    "small call, ns": (1000 * (await timed(chain(false), run))) / CALLS,
    "program of 1 call, µs": await timed(one, run),
    "the same after a pause, µs": await timed(one, run, PAUSE_MS),
    "JavaScript after a program, µs": await timed(afterRun, script),
    "JavaScript after a pause, µs": await timed(afterRun, script, PAUSE_MS),
  };
  backend.dispose();
  return row;
}

const { createWasmBackend } = await import(options.backend ? resolve(options.backend) : await bundle());
const rows = [];
for (const threads of numbers(options.threads)) {
  for (const spin of threads === 1 ? [undefined] : [undefined, ...numbers(options.spin)]) {
    rows.push(await measure(createWasmBackend, threads, spin));
  }
}
if (options.json) console.log(JSON.stringify({ machine: machine(), rows }));
else {
  console.log(machine());
  console.table(
    rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === "number" ? Math.round(10 * v) / 10 : v])),
    ),
  );
}
