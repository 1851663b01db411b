import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { Platform } from "./platform.js";

const builds = {
  kernels: new URL("./kernels.wasm", import.meta.url),
  "kernels-relaxed": new URL("./kernels-relaxed.wasm", import.meta.url),
};

export const platform: Platform = {
  load: async (build) => new Uint8Array(readFileSync(builds[build])),
  loadSync: (build) => new Uint8Array(readFileSync(builds[build])),
  // Node 20 and 22 have relaxed SIMD behind a flag of V8; later versions accept the flag or no longer need it.
  enableRelaxedSimd: () => setFlagsFromString("--experimental-wasm-relaxed-simd"),
  startWorker(start, onEnd) {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: start });
    worker.on("error", (error) => onEnd(`failed: ${error instanceof Error ? error.message : String(error)}`));
    worker.on("exit", () => onEnd("ended"));
    // A process with nothing left to do ends although workers wait for the next program.
    worker.unref();
    return { stop: () => void worker.terminate() };
  },
  cores: () => availableParallelism(),
  canBlock: () => true,
  canShare: () => true,
};
