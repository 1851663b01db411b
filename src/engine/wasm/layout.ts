import { isListKind, isScalarKind, isWrittenKind, type KernelName, kernels, type ParameterKind } from "../kernels.js";
import { phases } from "./phases.js";

/** Most threads of a backend. */
export const MAX_THREADS = 64;

/** Byte offsets of the control block that all threads share; the same numbers stand in kernels/runtime.ts. */
export const control = {
  threads: 0,
  spin: 4,
  epoch: 8,
  stop: 12,
  program: 16,
  end: 20,
  failed: 24,
  ready: 28,
  arrived: 64,
  sleepers: 68,
  generation: 128,
  /** A cache line for each thread: the calls and pieces of calls that it began, then the barriers that it came to. */
  pulse: 192,
  pulseBytes: 64,
  bytes: 192 + 64 * MAX_THREADS,
} as const;

/** Bytes before the arguments of a call: kernel, barrier, size, units, grain, padding. */
export const HEADER_BYTES = 24;

/** One argument as it lies in a record. */
export interface Field {
  readonly name: string;
  readonly kind: ParameterKind;
  readonly offset: number;
}

/** An argument that is memory, or a list of pieces of memory. */
export interface MemoryField {
  readonly name: string;
  readonly isList: boolean;
  readonly isWritten: boolean;
}

export interface RecordLayout {
  readonly fields: readonly Field[];
  readonly memory: readonly MemoryField[];
  /** Size of header and arguments, a multiple of 8. Tables of lists follow. */
  readonly bytes: number;
  /** Names of the arguments that are lists of any length. */
  readonly lists: readonly string[];
  /** Opcode of each phase. */
  readonly opcodes: readonly number[];
}

/** Offsets as AssemblyScript lays out a class with these fields in this order: `scratch` first, each at its own alignment. */
function layOut(parameters: Readonly<Record<string, ParameterKind>>, opcodes: readonly number[]): RecordLayout {
  let offset = 4;
  const fields: Field[] = [];
  for (const [name, kind] of Object.entries(parameters)) {
    if (kind === "float") offset = (offset + 7) & ~7;
    fields.push({ name, kind, offset: HEADER_BYTES + offset });
    offset += kind === "float" ? 8 : kind === "dims" ? 24 : 4;
  }
  const memory = fields
    .filter(({ kind }) => !isScalarKind(kind))
    .map(({ name, kind }) => ({ name, isList: isListKind(kind), isWritten: isWrittenKind(kind) }));
  const lists = fields.filter(({ kind }) => kind === "ints" || isListKind(kind)).map(({ name }) => name);
  return { fields, memory, lists, bytes: HEADER_BYTES + ((offset + 7) & ~7), opcodes };
}

function layOutAll(): { readonly [K in KernelName]: RecordLayout } {
  let opcode = 0;
  const out: Partial<Record<KernelName, RecordLayout>> = {};
  for (const name of Object.keys(kernels) as KernelName[]) {
    const opcodes = (phases[name] ?? [name]).map(() => opcode++);
    out[name] = layOut(kernels[name], opcodes);
  }
  return out as Record<KernelName, RecordLayout>;
}

/** Bytes of a list as a table behind the arguments: its length, then its entries; nothing where the kernel gets no list. */
export const tableBytes = (list: readonly unknown[] | null): number => (list === null ? 0 : 4 + 4 * list.length);

/** How each kernel's call is written into memory. */
export const layouts = layOutAll();

/** The bytes from the start of a record to an argument. */
export function fieldOffset<K extends KernelName>(kernel: K, parameter: keyof (typeof kernels)[K]): number {
  return layouts[kernel].fields.find(({ name }) => name === parameter)!.offset;
}

/** What each opcode is called. */
export const opcodeNames: readonly string[] = (Object.keys(kernels) as KernelName[]).flatMap((name) => phases[name] ?? [name]);
