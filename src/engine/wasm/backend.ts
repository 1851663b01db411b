import { platform } from "#platform";
import { BackendError } from "../../core/errors.js";
import type { Backend, DType, HostArray, MemoryReport, RecordedProgram, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { activeRecorder, READING_REFUSED, type Recorder, refuseInStep, WRITING_REFUSED } from "../recorder.js";
import { Heap } from "./heap.js";
import { control, MAX_THREADS } from "./layout.js";
import { WasmProgram, type WasmStorage } from "./program.js";
import { Arena, type PlacedStorage, type RecordingMachine, WasmRecordedProgram } from "./recorded.js";
import { type ThreadSettings, Threads } from "./threads.js";

export interface WasmOptions {
  /** Threads that compute, this one included (default 1). */
  threads?: number;
  /** Plain SIMD only: the same bits on every machine (default false). */
  deterministic?: boolean;
  /** Most bytes of memory (default and limit: 4 GiB). */
  maxMemory?: number;
}

const PAGE = 65536;
const MAX_BYTES = 65536 * PAGE;
/** Private memory of a thread inside a kernel. */
const WORKSPACE_BYTES = 1 << 19;
/** The pending program runs by itself when it has this many calls, so that memory for records stays bounded. */
const MAX_PENDING = 1024;

const bytesPer = { float32: 4, int32: 4, uint8: 1, float64: 8 } as const;

interface Exports {
  setup(control: number, thread: number, workspace: number): void;
  run(): void;
  runAlone(): void;
  heapBase(): number;
}

class Buffer implements PlacedStorage {
  address = 0;
  readonly bytes: number;
  released = false;

  constructor(
    readonly backend: WasmBackend,
    readonly dtype: DType,
    readonly length: number,
  ) {
    this.bytes = length * bytesPer[dtype];
  }
}

/** float32 kernels in WebAssembly, on one or several threads. */
export class WasmBackend implements Backend, RecordingMachine {
  readonly name = "wasm";
  readonly threads: number;
  ints!: Int32Array;
  doubles!: Float64Array;
  readonly arena = new Arena(this);
  private readonly heap: Heap;
  private readonly crew: Threads;
  private readonly pending: WasmProgram;
  private storages = 0;

  constructor(
    private readonly memoryObject: WebAssembly.Memory,
    module: WebAssembly.Module,
    readonly relaxed: boolean,
    threads: number,
    maxBytes: number,
    settings?: Partial<ThreadSettings>,
  ) {
    this.threads = threads;
    const env = { memory: memoryObject, wait: (address: number, value: number) => this.crew.wait(address, value) };
    const exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports;
    this.heap = new Heap(memoryObject, exports.heapBase(), maxBytes, () => this.renewViews());
    this.renewViews();
    const block = this.heap.take(control.bytes);
    const [workspace, ...workspaces] = Array.from({ length: threads }, () => this.heap.take(WORKSPACE_BYTES));
    this.crew = new Threads(memoryObject, block, exports, threads, settings);
    exports.setup(block, 0, workspace!);
    this.pending = new WasmProgram(this);
    this.crew.start(module, workspaces);
  }

  // ---- storages ----

  alloc(dtype: DType, length: number): Storage {
    this.crew.check();
    const storage = new Buffer(this, dtype, length);
    const recorder = activeRecorder();
    return recorder === null ? this.place(storage) : recorder.take(storage);
  }

  private place(storage: Buffer): Buffer {
    storage.address = this.take(storage.bytes);
    this.storages++;
    return storage;
  }

  release(storage: Storage): void {
    this.checkOwner(storage);
    const recorder = activeRecorder();
    if (recorder !== null) {
      recorder.release(storage);
      return;
    }
    storage.released = true;
    // Memory of a step that failed never had a place.
    if (storage.address === 0) return;
    this.storages--;
    this.give(storage.address, storage.bytes);
  }

  write(storage: Storage, data: ArrayLike<number>): void {
    refuseInStep("compile", WRITING_REFUSED);
    this.check(storage);
    this.flush();
    this.view(storage).set(data);
  }

  read(storage: Storage): HostArray {
    refuseInStep("compile", READING_REFUSED);
    this.check(storage);
    this.flush();
    return this.view(storage).slice();
  }

  private view(s: WasmStorage): HostArray {
    const buffer = this.memoryObject.buffer;
    if (s.dtype === "float32") return new Float32Array(buffer, s.address, s.length);
    if (s.dtype === "int32") return new Int32Array(buffer, s.address, s.length);
    if (s.dtype === "uint8") return new Uint8Array(buffer, s.address, s.length);
    return new Float64Array(buffer, s.address, s.length);
  }

  // ---- the stream ----

  call<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void {
    const recorder = activeRecorder();
    if (recorder !== null) {
      recorder.call(this, kernel, args);
      return;
    }
    this.crew.check();
    this.pending.append(kernel, args);
    if (this.pending.length >= MAX_PENDING) this.flush();
  }

  flush(): void {
    // A recorded step runs as a whole.
    if (activeRecorder() !== null) return;
    this.crew.check();
    if (this.pending.length === 0) return;
    try {
      this.pending.run();
    } finally {
      this.pending.clear();
    }
  }

  link(recorder: Recorder, kept: ReadonlySet<Storage>, inputs: readonly Storage[]): RecordedProgram {
    for (const storage of kept) this.place(storage as Buffer);
    return new WasmRecordedProgram(this, recorder, inputs, (storage) => recorder.owns(storage) && !kept.has(storage));
  }

  // ---- Machine ----

  take(bytes: number): number {
    return this.heap.take(bytes);
  }

  give(address: number, bytes: number): void {
    this.heap.give(address, bytes);
  }

  check(storage: Storage): asserts storage is Buffer {
    this.checkOwner(storage);
    if (storage.address === 0) throw new BackendError("evenkeel: a tensor made in a recorded step that failed has no values.");
  }

  private checkOwner(storage: Storage): asserts storage is Buffer {
    if (storage.backend !== this) {
      throw new BackendError("evenkeel: a tensor of another backend, or of one before init(), cannot be used on this one.");
    }
  }

  execute(start: number, end: number, alone: boolean): void {
    this.crew.execute(start, end, alone);
  }

  memory(): MemoryReport {
    return { used: this.heap.used, peak: this.heap.peak, reserved: this.heap.reserved, storages: this.storages };
  }

  dispose(): void {
    this.crew.stop("evenkeel: this backend was disposed of; tensors made on it are gone.");
  }

  /** Resolves when every worker serves. */
  ready(): Promise<void> {
    return this.crew.ready();
  }

  private renewViews(): void {
    this.ints = new Int32Array(this.memoryObject.buffer);
    this.doubles = new Float64Array(this.memoryObject.buffer);
  }
}

/** A shared memory that may grow to `maxBytes`, or to less where the platform refuses that much. */
function createMemory(maxBytes: number): { memory: WebAssembly.Memory; maximum: number } {
  for (let maximum = Math.floor(maxBytes / PAGE); ; maximum >>>= 1) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 64, maximum, shared: true }), maximum: maximum * PAGE };
    } catch (error) {
      if (maximum < 1024) throw new BackendError("init: the platform refused a shared WebAssembly memory.", { cause: error });
    }
  }
}

interface Build {
  bytes: Uint8Array<ArrayBuffer>;
  relaxed: boolean;
}

function start(build: Build, threads: number, maxMemory: number, settings?: Partial<ThreadSettings>): WasmBackend {
  const { memory, maximum } = createMemory(Math.min(MAX_BYTES, maxMemory));
  return new WasmBackend(memory, new WebAssembly.Module(build.bytes), build.relaxed, threads, maximum, settings);
}

/** The build with relaxed SIMD where the platform has it and the last bits may differ between machines. */
async function load(deterministic: boolean): Promise<Build> {
  if (!deterministic) {
    platform.enableRelaxedSimd();
    const bytes = await platform.load("kernels-relaxed");
    if (WebAssembly.validate(bytes)) return { bytes, relaxed: true };
  }
  return { bytes: await platform.load("kernels"), relaxed: false };
}

/** Loads the kernels and starts the threads. Where memory cannot be shared with workers, one thread is used. */
export async function createWasmBackend(options: WasmOptions = {}, settings?: Partial<ThreadSettings>): Promise<WasmBackend> {
  const { threads = 1, deterministic = false, maxMemory = MAX_BYTES } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new BackendError(`init: expected threads to be an integer from 1 to ${MAX_THREADS}, got ${threads}.`);
  }
  // Every thread has memory of its own, and something must be left for tensors.
  const least = Math.max(16, 8 + threads);
  if (typeof maxMemory !== "number" || !(maxMemory >= least * 2 ** 20)) {
    const what = typeof maxMemory === "number" ? `${maxMemory} bytes` : JSON.stringify(maxMemory);
    throw new BackendError(`init: expected maxMemory of at least ${least} MiB, got ${what}.`);
  }
  const backend = start(await load(deterministic), platform.canShare() ? threads : 1, maxMemory, settings);
  try {
    await backend.ready();
  } catch (error) {
    backend.dispose();
    throw error;
  }
  return backend;
}

/** One thread, plain SIMD, at once; where kernels can only be loaded asynchronously, an error asks for init(). */
export function createWasmBackendSync(): WasmBackend {
  const bytes = platform.loadSync("kernels");
  if (bytes === null) throw new BackendError("evenkeel: call `await init()` before the first tensor is made.");
  return start({ bytes, relaxed: false }, 1, MAX_BYTES);
}
