import { BackendError } from "../core/errors.js";
import type { Backend, MemoryReport } from "./backend.js";
import { createWasmBackend, createWasmBackendSync, type WasmOptions } from "./wasm/backend.js";

export interface InitOptions extends WasmOptions {
  /** "wasm" computes in float32; "reference" in float64, with plain loops (default "wasm"). */
  backend?: "wasm" | "reference";
}

let current: Backend | null = null;

/**
 * Chooses and starts the backend that new tensors are made on. Tensors made before belong to the previous backend, which is
 * disposed of. Without it the first tensor starts the default: one thread, plain SIMD (in a browser `init` must be called).
 *
 * @param options.threads threads that compute, this one included (default 1)
 * @param options.deterministic plain SIMD only: the same bits on every machine (default false)
 * @param options.backend "wasm" or "reference" (default "wasm")
 * @param options.maxMemory most bytes of WebAssembly memory (default and limit 4 GiB; at least 16 MiB, with more than 8
 *   threads 8 MiB and 1 MiB for each)
 * @throws BackendError if an option is wrong or a worker does not start; the previous backend stays in use then
 */
export async function init(options: InitOptions = {}): Promise<void> {
  const { backend = "wasm", ...wasm } = options;
  if (backend !== "wasm" && backend !== "reference") {
    throw new BackendError(`init: expected backend "wasm" or "reference", got ${JSON.stringify(backend)}.`);
  }
  const next = backend === "reference" ? await createReferenceBackend() : await createWasmBackend(wasm);
  current?.dispose();
  current = next;
}

/** Loaded only where it is asked for: a page that computes in WebAssembly has no use for it. */
async function createReferenceBackend(): Promise<Backend> {
  const { ReferenceBackend } = await import("./reference/backend.js");
  return new ReferenceBackend();
}

/** The backend that new tensors are made on. */
export function currentBackend(): Backend {
  current ??= createWasmBackendSync();
  return current;
}

/** Runs `fn` with `backend` as the current one. For tests and experiments that compare backends. */
export function withBackend<T>(backend: Backend, fn: () => T): T {
  const previous = current;
  current = backend;
  try {
    return fn();
  } finally {
    current = previous;
  }
}

/** Bytes and storages in use on the current backend. */
export function memory(): MemoryReport {
  return currentBackend().memory();
}
