import type { KernelArgs, KernelName } from "./kernels.js";
import type { Recorder } from "./recorder.js";

/**
 * Types of stored elements. Tensors are float32 or int32; uint8 holds images in data sets, float64 holds cells (scalars
 * that kernels read, such as a learning rate). The reference backend keeps "float32" in 64 bits.
 */
export type DType = "float32" | "int32" | "uint8" | "float64";

/** What can be written into a storage or read from it. */
export type HostArray = Float32Array | Float64Array | Int32Array | Uint8Array;

/** A piece of a backend's memory. Only its backend looks inside. */
export interface Storage {
  readonly backend: Backend;
  readonly dtype: DType;
  readonly length: number;
  /** Whether it was given back. */
  readonly released: boolean;
}

/** An ordered list of kernel calls that can run any number of times. */
export interface Program {
  readonly length: number;
  /** Adds a call at the end. The arguments are read now; the memory they name is read when the program runs. */
  append<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void;
  run(): void;
  clear(): void;
}

/** A recorded step that can run any number of times, each time with other inputs. */
export interface RecordedProgram {
  /** Number of kernel calls. */
  readonly length: number;
  /** Runs what is pending, then the step. `inputs` take the places of those that it was linked with, in order. */
  run(inputs: readonly Storage[]): void;
  /** The same, call by call: the milliseconds of each kernel call, in order. */
  profile(inputs: readonly Storage[]): { kernel: string; ms: number }[];
  /** Gives back the memory of the program. Memory that the step keeps is not touched. */
  dispose(): void;
}

export interface MemoryReport {
  /** Bytes in storages that are alive. */
  used: number;
  /** The most bytes that were ever alive at once. */
  peak: number;
  /** Bytes the backend holds, alive or not. */
  reserved: number;
  /** Number of storages that are alive. */
  storages: number;
}

/**
 * Where kernels run. There is one stream: `call` appends to the pending program, and whatever needs a value (`read`,
 * `write`) first runs what is pending. Memory that is released may serve later calls at once, since calls run in order.
 */
export interface Backend {
  readonly name: "wasm" | "reference";
  readonly threads: number;
  /** Takes memory with undefined contents. */
  alloc(dtype: DType, length: number): Storage;
  release(storage: Storage): void;
  write(storage: Storage, data: ArrayLike<number>): void;
  /** A copy of the contents: Float32Array or Float64Array by backend, Int32Array for int32. */
  read(storage: Storage): HostArray;
  call<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void;
  /** Runs what is pending. */
  flush(): void;
  /**
   * Makes a program of what `recorder` took down. Memory in `kept` gets a place of its own and is released like any other;
   * what else was taken during the step shares one area with all recorded programs, in which nothing outlives a run.
   *
   * @param inputs memory taken during the step into which each run first copies its inputs
   */
  link(recorder: Recorder, kept: ReadonlySet<Storage>, inputs: readonly Storage[]): RecordedProgram;
  memory(): MemoryReport;
  dispose(): void;
}
