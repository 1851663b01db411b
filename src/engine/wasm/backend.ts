import { platform } from "#platform";
import { BackendError } from "../../core/errors.js";
import type { Backend, DType, HostArray, MemoryReport, RecordedProgram, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { activeRecorder, READING_REFUSED, type Recorder, refuseInStep, WRITING_REFUSED } from "../recorder.js";
import { Heap } from "./heap.js";
import { control } from "./layout.js";
import type { WorkerHandle } from "./platform.js";
import { WasmProgram, type WasmStorage } from "./program.js";
import { Arena, type PlacedStorage, type RecordingMachine, WasmRecordedProgram } from "./recorded.js";

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
const MAX_THREADS = 64;
/** Private memory of a thread inside a kernel. */
const WORKSPACE_BYTES = 1 << 19;
/** The pending program runs by itself when it has this many calls, so that memory for records stays bounded. */
const MAX_PENDING = 1024;
/** Rounds of a waiting thread before it goes to sleep: some 50 µs. */
const SPIN = 50_000;
/** A barrier that is not passed for this long means that a thread is gone. */
const STALL_MS = 60_000;

const bytesPer = { float32: 4, int32: 4, uint8: 1, float64: 8 } as const;

interface Exports {
  setup(control: number, thread: number, workspace: number): void;
  run(): void;
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
  private readonly exports: Exports;
  private readonly controlBlock: number;
  private readonly pending: WasmProgram;
  private readonly workers: WorkerHandle[] = [];
  private storages = 0;
  private failure: string | null = null;

  constructor(
    private readonly memoryObject: WebAssembly.Memory,
    module: WebAssembly.Module,
    readonly relaxed: boolean,
    threads: number,
    maxBytes: number,
  ) {
    this.threads = threads;
    const env = { memory: memoryObject, wait: (address: number, value: number) => this.wait(address, value) };
    this.exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports;
    this.heap = new Heap(memoryObject, this.exports.heapBase(), maxBytes, () => this.renewViews());
    this.renewViews();
    this.controlBlock = this.heap.take(control.bytes);
    this.ints.fill(0, this.controlBlock >>> 2, (this.controlBlock + control.bytes) >>> 2);
    this.setControl(control.threads, threads);
    this.setControl(control.spin, threads > platform.cores() ? 0 : SPIN);
    this.exports.setup(this.controlBlock, 0, this.heap.take(WORKSPACE_BYTES));
    this.pending = new WasmProgram(this);
    for (let thread = 1; thread < threads; thread++) this.startWorker(module, thread);
  }

  // ---- storages ----

  alloc(dtype: DType, length: number): Storage {
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
    this.pending.append(kernel, args);
    if (this.pending.length >= MAX_PENDING) this.flush();
  }

  flush(): void {
    // A recorded step runs as a whole.
    if (activeRecorder() !== null) return;
    if (this.failure !== null) throw new BackendError(this.failure);
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

  execute(start: number, end: number): void {
    this.setControl(control.program, start);
    this.setControl(control.end, end);
    this.exports.run();
  }

  memory(): MemoryReport {
    return { used: this.heap.used, peak: this.heap.peak, reserved: this.heap.reserved, storages: this.storages };
  }

  dispose(): void {
    if (this.failure !== null) return;
    this.failure = "evenkeel: this backend was disposed of; tensors made on it are gone.";
    Atomics.store(this.ints, (this.controlBlock + control.stop) >>> 2, 1);
    Atomics.add(this.ints, (this.controlBlock + control.epoch) >>> 2, 1);
    Atomics.notify(this.ints, (this.controlBlock + control.epoch) >>> 2);
    for (const worker of this.workers) worker.stop();
  }

  // ---- threads ----

  /** Resolves when every worker serves. */
  async ready(): Promise<void> {
    const word = (this.controlBlock + control.ready) >>> 2;
    for (let waited = 0; Atomics.load(this.ints, word) < this.threads - 1; waited++) {
      if (this.failure !== null) throw new BackendError(this.failure);
      if (waited > 20_000)
        throw new BackendError(`init: ${this.threads - 1} workers were asked for and did not start in 20 seconds.`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  private startWorker(module: WebAssembly.Module, thread: number): void {
    const workspace = this.heap.take(WORKSPACE_BYTES);
    const { failed, ready } = control;
    const start = { module, memory: this.memoryObject, control: this.controlBlock, thread, workspace, failed, ready };
    const onError = (error: unknown) => {
      this.failure ??= `evenkeel: worker ${thread} of the WASM backend failed: ${error instanceof Error ? error.message : String(error)}`;
    };
    this.workers.push(platform.startWorker(start, onError));
  }

  /** Called by the kernels when this thread has waited in vain for a while. */
  private wait(address: number, value: number): void {
    if (!platform.canBlock()) return;
    const outcome = Atomics.wait(this.ints, address >>> 2, value, STALL_MS);
    const failed = Atomics.load(this.ints, (this.controlBlock + control.failed) >>> 2);
    if (outcome !== "timed-out" && failed === 0) return;
    this.failure = `evenkeel: ${failed > 0 ? `worker ${failed}` : "a worker"} of the WASM backend stopped; call init() again.`;
    throw new BackendError(this.failure);
  }

  private setControl(offset: number, value: number): void {
    this.ints[(this.controlBlock + offset) >>> 2] = value;
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

function compile(bytes: Uint8Array<ArrayBuffer>, relaxed: boolean, threads: number, maxMemory: number): WasmBackend {
  const { memory, maximum } = createMemory(Math.min(MAX_BYTES, maxMemory));
  return new WasmBackend(memory, new WebAssembly.Module(bytes), relaxed, threads, maximum);
}

/** Loads the kernels and starts the threads. Where memory cannot be shared with workers, one thread is used. */
export async function createWasmBackend(options: WasmOptions = {}): Promise<WasmBackend> {
  const { threads = 1, deterministic = false, maxMemory = MAX_BYTES } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new BackendError(`init: expected threads to be an integer from 1 to ${MAX_THREADS}, got ${threads}.`);
  }
  if (!(maxMemory >= 16 * 2 ** 20))
    throw new BackendError(`init: expected maxMemory of at least 16 MiB, got ${maxMemory} bytes.`);
  let relaxed = false;
  let bytes: Uint8Array<ArrayBuffer> | null = null;
  if (!deterministic) {
    platform.enableRelaxedSimd();
    bytes = await platform.load("kernels-relaxed");
    relaxed = WebAssembly.validate(bytes);
  }
  if (!relaxed || bytes === null) bytes = await platform.load("kernels");
  const backend = compile(bytes, relaxed, platform.canShare() ? threads : 1, maxMemory);
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
  return compile(bytes, false, 1, MAX_BYTES);
}
