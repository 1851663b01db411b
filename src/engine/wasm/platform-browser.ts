import { BackendError } from "../../core/errors.js";
import type { Platform } from "./platform.js";

const builds = {
  kernels: new URL("./kernels.wasm", import.meta.url),
  "kernels-relaxed": new URL("./kernels-relaxed.wasm", import.meta.url),
};

export const platform: Platform = {
  async load(build) {
    const response = await fetch(builds[build]);
    if (!response.ok) throw new BackendError(`init: could not load ${builds[build].href}: HTTP status ${response.status}.`);
    return new Uint8Array(await response.arrayBuffer());
  },
  loadSync: () => null,
  enableRelaxedSimd: () => {},
  startWorker(start, onEnd) {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("error", (event) => onEnd(`failed: ${event.message || "its script could not be loaded"}`));
    worker.addEventListener("messageerror", () => onEnd("failed: the compiled kernels did not reach it"));
    worker.postMessage(start);
    return { stop: () => worker.terminate() };
  },
  cores: () => navigator.hardwareConcurrency ?? 1,
  canBlock: () => typeof document === "undefined",
  canShare: () => globalThis.crossOriginIsolated === true,
};
