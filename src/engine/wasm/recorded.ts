import type { RecordedProgram, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { type RecordedCall, type Recorder, storagesOf } from "../recorder.js";
import { fieldOffset, layouts } from "./layout.js";
import { type Block, planMemory } from "./memory-plan.js";
import { type Machine, WasmProgram, type WasmStorage } from "./program.js";
import { planOf } from "./schedule.js";

/** What a recorded program needs of its backend beside what programs need. */
export interface RecordingMachine extends Machine {
  readonly arena: Arena;
  /** Runs what is pending. */
  flush(): void;
}

/** A storage whose place is found when the program is linked. */
export interface PlacedStorage extends WasmStorage {
  address: number;
}

/** The area that all recorded programs of a backend share: they run one at a time, and nothing in it outlives a run. */
export class Arena {
  address = 0;
  private bytes = 0;
  private users = 0;

  constructor(private readonly machine: Pick<Machine, "take" | "give">) {}

  /** Makes room for one more program. Programs that are linked already move with the area when they run next. */
  enter(bytes: number): void {
    if (bytes > this.bytes) {
      const address = this.machine.take(bytes);
      if (this.bytes > 0) this.machine.give(this.address, this.bytes);
      this.address = address;
      this.bytes = bytes;
    }
    this.users++;
  }

  leave(): void {
    if (--this.users > 0 || this.bytes === 0) return;
    this.machine.give(this.address, this.bytes);
    this.bytes = 0;
  }
}

interface Placed {
  readonly storage: PlacedStorage;
  readonly offset: number;
}

/** A recorded step as records in WebAssembly memory. */
export class WasmRecordedProgram implements RecordedProgram {
  private readonly program: WasmProgram;
  private readonly calls: readonly RecordedCall[];
  /** Memory of the step that lies in the arena. */
  private readonly placed: Placed[] = [];
  /** Offset of the scratch memory of each call; −1 where it needs none. */
  private readonly scratch: number[] = [];
  /** Where the arena was when the records were written; −1 before. */
  private base = -1;
  private disposed = false;
  /** Positions of the inputs that have any values: the first records copy them. */
  private readonly copied: readonly number[];

  constructor(
    private readonly machine: RecordingMachine,
    { calls }: Recorder,
    private readonly inputs: readonly Storage[],
    isTransient: (storage: Storage) => boolean,
  ) {
    this.calls = calls;
    this.copied = [...inputs.keys()].filter((i) => inputs[i]!.length > 0);
    const bytes = this.plan(isTransient);
    this.program = new WasmProgram(machine, 1 << 12);
    machine.arena.enter(bytes);
  }

  get length(): number {
    return this.calls.length;
  }

  run(inputs: readonly Storage[]): void {
    this.prepare(inputs);
    this.program.run();
  }

  profile(inputs: readonly Storage[]): { kernel: string; ms: number }[] {
    this.prepare(inputs);
    return this.program.profile();
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.program.dispose();
    this.machine.arena.leave();
  }

  private prepare(inputs: readonly Storage[]): void {
    this.machine.flush();
    if (this.base !== this.machine.arena.address) this.write();
    for (const [copy, i] of this.copied.entries()) {
      const input = inputs[i]!;
      this.machine.check(input);
      this.program.patch(copy * copyBytes + copySource, input.address);
    }
  }

  /** Finds the place of everything that lives during a run only; returns the bytes of the whole. */
  private plan(isTransient: (storage: Storage) => boolean): number {
    const life = new Map<PlacedStorage, { from: number; to: number }>();
    for (const input of this.inputs) life.set(input as PlacedStorage, { from: -1, to: -1 });
    const scratch: { call: number; block: Block }[] = [];
    for (const [i, { kernel, args }] of this.calls.entries()) {
      for (const storage of storagesOf({ kernel, args })) {
        if (!isTransient(storage)) continue;
        const known = life.get(storage as PlacedStorage);
        if (known) known.to = i;
        else life.set(storage as PlacedStorage, { from: i, to: i });
      }
      const { scratch: bytes } = planOf(kernel, args);
      this.scratch.push(-1);
      if (bytes > 0) scratch.push({ call: i, block: { bytes, from: i, to: i } });
    }
    const storages = [...life];
    const blocks = [...storages.map(([{ bytes }, use]) => ({ bytes, ...use })), ...scratch.map(({ block }) => block)];
    const { offsets, bytes } = planMemory(blocks);
    for (const [i, [storage]] of storages.entries()) this.placed.push({ storage, offset: offsets[i]! });
    for (const [i, { call }] of scratch.entries()) this.scratch[call] = offsets[storages.length + i]!;
    return bytes;
  }

  /** Writes the records for where the arena is now. */
  private write(): void {
    const { program, machine } = this;
    const base = machine.arena.address;
    for (const { storage, offset } of this.placed) storage.address = base + offset;
    program.clear();
    for (const i of this.copied) {
      const input = this.inputs[i]!;
      program.append("copy", { x: input, y: input, n: input.length });
    }
    // Which memory the inputs come from is known at each run only, and the step may write there.
    program.fence();
    for (const [i, { kernel, args }] of this.calls.entries()) {
      program.append(kernel, args as KernelArgs<KernelName, Storage>, this.scratch[i]! < 0 ? 0 : base + this.scratch[i]!);
    }
    this.base = base;
  }
}

/** Where the source of a copy stands in its record, and the bytes of the record. */
const copySource = fieldOffset("copy", "x");
const copyBytes = layouts.copy.bytes;
