/** What a running thread of the WASM backend needs to start; see worker.js. */
export interface WorkerStart {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  control: number;
  thread: number;
  workspace: number;
  /** Offsets in the control block. */
  offsets: { failed: number; ready: number; generation: number };
}

export interface WorkerHandle {
  stop(): void;
}

/** What differs between Node and browsers; `#platform` resolves to one of platform-node.ts and platform-browser.ts. */
export interface Platform {
  /** Bytes of a kernel build. */
  load(build: "kernels" | "kernels-relaxed"): Promise<Uint8Array<ArrayBuffer>>;
  /** The same at once, or null where only asynchronous loading is possible. */
  loadSync(build: "kernels" | "kernels-relaxed"): Uint8Array<ArrayBuffer> | null;
  /** Makes relaxed SIMD available where a switch is needed for it. */
  enableRelaxedSimd(): void;
  /** `onEnd` hears, some time later, that the worker is gone and how: "ended", "failed: …". */
  startWorker(start: WorkerStart, onEnd: (how: string) => void): WorkerHandle;
  cores(): number;
  /** Whether this thread may block in Atomics.wait. */
  canBlock(): boolean;
  /** Whether memory can be shared with workers. */
  canShare(): boolean;
}
