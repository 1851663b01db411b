import { type KernelName, kernels, type ParameterKind } from "../kernels.js";
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

export interface RecordLayout {
  readonly fields: readonly Field[];
  /** Size of header and arguments, a multiple of 8. */
  readonly bytes: number;
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
  return { fields, bytes: HEADER_BYTES + ((offset + 7) & ~7), opcodes };
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

/** How each kernel's call is written into memory. */
export const layouts = layOutAll();
