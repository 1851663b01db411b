import type { Program, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { HEADER_BYTES, layouts, type RecordLayout } from "./layout.js";
import { planOf } from "./schedule.js";

/** A storage of the WASM backend: a piece of its memory. */
export interface WasmStorage extends Storage {
  readonly address: number;
  readonly bytes: number;
}

/** What a program needs of its backend. */
export interface Machine {
  /** The whole memory as integers and as doubles; renewed when the memory grows. */
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
  /** Takes and gives back memory in stream order. */
  take(bytes: number): number;
  give(address: number, bytes: number): void;
  check(storage: Storage): asserts storage is WasmStorage;
  /** Runs the records from `start` to `end`; `alone` if thread 0 has all the work. */
  execute(start: number, end: number, alone: boolean): void;
}

/** Ranges of memory that calls since the last barrier read or wrote. */
class Ranges {
  private readonly from: number[] = [];
  private readonly to: number[] = [];
  private readonly writes: boolean[] = [];

  get length(): number {
    return this.from.length;
  }

  conflicts(from: number, to: number, write: boolean): boolean {
    for (let i = 0; i < this.from.length; i++) {
      if ((write || this.writes[i]) && from < this.to[i]! && this.from[i]! < to) return true;
    }
    return false;
  }

  add(from: number, to: number, write: boolean): void {
    this.from.push(from);
    this.to.push(to);
    this.writes.push(write);
  }

  clear(): void {
    this.from.length = 0;
    this.to.length = 0;
    this.writes.length = 0;
  }
}

/** Ranges of small calls to compare with, beyond which a barrier is cheaper. */
const MOST_COMPARED = 256;

/**
 * What calls since the last barrier touched. A small call is one that thread 0 computes alone: it need not wait for another
 * small one, which the same thread computed before. Ranges of both kinds stay until a barrier.
 */
class Hazards {
  private readonly small = new Ranges();
  private readonly divided = new Ranges();

  conflicts(from: number, to: number, write: boolean, isSmall: boolean): boolean {
    if (this.divided.conflicts(from, to, write)) return true;
    return !isSmall && (this.small.length > MOST_COMPARED || this.small.conflicts(from, to, write));
  }

  add(from: number, to: number, write: boolean, isSmall: boolean): void {
    (isSmall ? this.small : this.divided).add(from, to, write);
  }

  clear(): void {
    this.small.clear();
    this.divided.clear();
  }
}

/** Calls as records in WebAssembly memory, which the threads walk (kernels/runtime.ts). */
export class WasmProgram implements Program {
  private start: number;
  private capacity: number;
  private end = 0;
  private readonly hazards = new Hazards();
  /** Whether a call has work for more than one thread. */
  private isDivided = false;
  length = 0;

  constructor(
    private readonly machine: Machine,
    bytes = 1 << 16,
  ) {
    this.capacity = bytes;
    this.start = machine.take(bytes);
  }

  append<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void {
    const layout = layouts[kernel];
    const plan = planOf(kernel, args);
    const values = args as Readonly<Record<string, unknown>>;
    // All that can fail comes first, so that a call is appended whole or not at all.
    this.checkStorages(layout, values);
    this.makeRoom(layout.bytes * plan.work.length);
    const scratch = plan.scratch > 0 ? this.machine.take(plan.scratch) : 0;
    for (let phase = 0; phase < plan.work.length; phase++) {
      const work = plan.work[phase]!;
      if (work.units <= 0) continue;
      const isSmall = work.units <= work.grain;
      if (!isSmall) this.isDivided = true;
      // Phases share what they write, so each waits for the one before as any other call would.
      const barrier = this.touch(layout, values, scratch, plan.scratch, isSmall);
      this.writeRecord(layout, values, layout.opcodes[phase]!, barrier, work.units, work.grain, scratch);
    }
    if (scratch > 0) this.machine.give(scratch, plan.scratch);
  }

  run(): void {
    if (this.length > 0) this.machine.execute(this.start, this.start + this.end, !this.isDivided);
  }

  clear(): void {
    this.end = 0;
    this.length = 0;
    this.isDivided = false;
    this.hazards.clear();
  }

  dispose(): void {
    this.clear();
    this.machine.give(this.start, this.capacity);
  }

  private checkStorages(layout: RecordLayout, values: Readonly<Record<string, unknown>>): void {
    for (const { name, kind } of layout.fields) {
      if (kind === "int" || kind === "float" || kind === "dims") continue;
      const storage = values[name] as Storage | null;
      if (storage !== null) this.machine.check(storage);
    }
  }

  /** Notes the memory that the call uses; true if it must wait for the calls before it. */
  private touch(
    layout: RecordLayout,
    values: Readonly<Record<string, unknown>>,
    scratch: number,
    scratchBytes: number,
    isSmall: boolean,
  ): boolean {
    let wait = scratchBytes > 0 && this.hazards.conflicts(scratch, scratch + scratchBytes, true, isSmall);
    for (const { name, kind } of layout.fields) {
      if (kind === "int" || kind === "float" || kind === "dims") continue;
      const storage = values[name] as WasmStorage | null;
      if (storage === null) continue;
      const write = kind[0] === "o" || kind.startsWith("inout");
      if (!wait) wait = this.hazards.conflicts(storage.address, storage.address + storage.bytes, write, isSmall);
    }
    if (wait) this.hazards.clear();
    if (scratchBytes > 0) this.hazards.add(scratch, scratch + scratchBytes, true, isSmall);
    for (const { name, kind } of layout.fields) {
      if (kind === "int" || kind === "float" || kind === "dims") continue;
      const storage = values[name] as WasmStorage | null;
      if (storage === null) continue;
      const write = kind[0] === "o" || kind.startsWith("inout");
      this.hazards.add(storage.address, storage.address + storage.bytes, write, isSmall);
    }
    return wait;
  }

  private writeRecord(
    layout: RecordLayout,
    values: Readonly<Record<string, unknown>>,
    opcode: number,
    barrier: boolean,
    units: number,
    grain: number,
    scratch: number,
  ): void {
    const { ints, doubles } = this.machine;
    const base = this.start + this.end;
    const word = base >>> 2;
    ints[word] = opcode;
    ints[word + 1] = barrier ? 1 : 0;
    ints[word + 2] = layout.bytes;
    ints[word + 3] = units;
    ints[word + 4] = grain;
    ints[(base + HEADER_BYTES) >>> 2] = scratch;
    for (const { name, kind, offset } of layout.fields) {
      const at = base + offset;
      const value = values[name];
      if (kind === "float") doubles[at >>> 3] = value as number;
      else if (kind === "int") ints[at >>> 2] = value as number;
      else if (kind === "dims") ints.set(value as readonly number[], at >>> 2);
      else ints[at >>> 2] = value === null ? 0 : (value as WasmStorage).address;
    }
    this.end += layout.bytes;
    this.length++;
  }

  private makeRoom(bytes: number): void {
    if (this.end + bytes <= this.capacity) return;
    const capacity = Math.max(this.capacity * 2, this.end + bytes);
    const start = this.machine.take(capacity);
    this.machine.ints.copyWithin(start >>> 2, this.start >>> 2, (this.start + this.end) >>> 2);
    this.machine.give(this.start, this.capacity);
    this.start = start;
    this.capacity = capacity;
  }
}
