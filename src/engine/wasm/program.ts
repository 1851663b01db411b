import type { Program, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { HEADER_BYTES, layouts, opcodeNames, type RecordLayout, tableBytes } from "./layout.js";
import { planOf } from "./schedule.js";

type Values = Readonly<Record<string, unknown>>;

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
  private fenced = false;
  /** The memory of the call that is being appended, and whether it is written. */
  private readonly used: WasmStorage[] = [];
  private readonly isWritten: boolean[] = [];
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

  /** @param place of the scratch memory; by default it is taken, and given back at once, since calls run in order */
  append<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>, place?: number): void {
    const layout = layouts[kernel];
    const plan = planOf(kernel, args);
    const values = args as Values;
    const bytes = recordBytes(layout, values);
    // All that can fail comes first, so that a call is appended whole or not at all.
    this.collect(layout, values);
    this.makeRoom(bytes * plan.work.length);
    const scratch = place ?? (plan.scratch > 0 ? this.machine.take(plan.scratch) : 0);
    for (let phase = 0; phase < plan.work.length; phase++) {
      const work = plan.work[phase]!;
      if (work.units <= 0) continue;
      const isSmall = work.units <= work.grain;
      if (!isSmall) this.isDivided = true;
      // Phases share what they write, so each waits for the one before as any other call would.
      const barrier = this.touch(scratch, plan.scratch, isSmall) || this.fenced;
      this.fenced = false;
      this.writeHeader(layout.opcodes[phase]!, barrier, bytes, work.units, work.grain);
      this.writeArguments(layout, values, scratch);
      this.end += bytes;
      this.length++;
    }
    if (place === undefined && scratch > 0) this.machine.give(scratch, plan.scratch);
  }

  /** Lets the next call wait for all before it. */
  fence(): void {
    this.fenced = true;
  }

  /** Writes a word of a record that is there already, `offset` bytes from the start of the program. */
  patch(offset: number, word: number): void {
    this.machine.ints[(this.start + offset) >>> 2] = word;
  }

  /** Runs call by call; says how long each took. */
  profile(): { kernel: string; ms: number }[] {
    const times: { kernel: string; ms: number }[] = [];
    for (let at = this.start, next = at; at < this.start + this.end; at = next) {
      const word = at >>> 2;
      next = at + this.machine.ints[word + 2]!;
      const kernel = opcodeNames[this.machine.ints[word]!]!;
      const isSmall = this.machine.ints[word + 3]! <= this.machine.ints[word + 4]!;
      const began = performance.now();
      this.machine.execute(at, next, isSmall);
      times.push({ kernel, ms: performance.now() - began });
    }
    return times;
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

  /** Lists the memory that a call uses. */
  private collect(layout: RecordLayout, values: Values): void {
    this.used.length = 0;
    this.isWritten.length = 0;
    const add = (storage: Storage, isWritten: boolean): void => {
      this.machine.check(storage);
      this.used.push(storage);
      this.isWritten.push(isWritten);
    };
    for (const { name, isList, isWritten } of layout.memory) {
      const value = values[name];
      if (value === null) continue;
      if (isList) for (const storage of value as readonly Storage[]) add(storage, isWritten);
      else add(value as Storage, isWritten);
    }
  }

  /** Notes the memory that the call uses; true if it must wait for the calls before it. */
  private touch(scratch: number, scratchBytes: number, isSmall: boolean): boolean {
    const { hazards, used, isWritten } = this;
    let wait = scratchBytes > 0 && hazards.conflicts(scratch, scratch + scratchBytes, true, isSmall);
    for (let i = 0; i < used.length && !wait; i++) {
      const { address, bytes } = used[i]!;
      wait = hazards.conflicts(address, address + bytes, isWritten[i]!, isSmall);
    }
    if (wait) hazards.clear();
    if (scratchBytes > 0) hazards.add(scratch, scratch + scratchBytes, true, isSmall);
    for (let i = 0; i < used.length; i++) {
      const { address, bytes } = used[i]!;
      hazards.add(address, address + bytes, isWritten[i]!, isSmall);
    }
    return wait;
  }

  private writeHeader(opcode: number, barrier: boolean, bytes: number, units: number, grain: number): void {
    const { ints } = this.machine;
    const word = (this.start + this.end) >>> 2;
    ints[word] = opcode;
    ints[word + 1] = barrier ? 1 : 0;
    ints[word + 2] = bytes;
    ints[word + 3] = units;
    ints[word + 4] = grain;
  }

  private writeArguments(layout: RecordLayout, values: Values, scratch: number): void {
    const { ints, doubles } = this.machine;
    const base = this.start + this.end;
    // Records move when the program grows, so tables are found by their offset from the arguments.
    let table = layout.bytes - HEADER_BYTES;
    ints[(base + HEADER_BYTES) >>> 2] = scratch;
    for (const { name, kind, offset } of layout.fields) {
      const at = base + offset;
      const value = values[name];
      if (kind === "float") doubles[at >>> 3] = value as number;
      else if (kind === "int") ints[at >>> 2] = value as number;
      else if (kind === "dims") ints.set(value as readonly number[], at >>> 2);
      else if (value === null) ints[at >>> 2] = 0;
      else if (Array.isArray(value)) {
        ints[at >>> 2] = table + 4;
        writeTable(ints, (base + HEADER_BYTES + table) >>> 2, value);
        table += tableBytes(value);
      } else ints[at >>> 2] = (value as WasmStorage).address;
    }
  }

  private makeRoom(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.capacity) return;
    let capacity = this.capacity * 2;
    while (capacity < needed) capacity *= 2;
    const start = this.machine.take(capacity);
    this.machine.ints.copyWithin(start >>> 2, this.start >>> 2, (this.start + this.end) >>> 2);
    this.machine.give(this.start, this.capacity);
    this.start = start;
    this.capacity = capacity;
  }
}

/** Size of a call's record with the tables of its lists, a multiple of 8. */
function recordBytes({ bytes, lists }: RecordLayout, values: Values): number {
  let total = bytes;
  for (const name of lists) total += tableBytes(values[name] as readonly unknown[] | null);
  return (total + 7) & ~7;
}

/** Writes the length of `list` and its entries: numbers, or addresses of storages. */
function writeTable(ints: Int32Array, word: number, list: readonly (number | WasmStorage)[]): void {
  ints[word] = list.length;
  for (let i = 0; i < list.length; i++) {
    const item = list[i]!;
    ints[word + 1 + i] = typeof item === "number" ? item : item.address;
  }
}
