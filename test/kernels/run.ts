import type { Backend, HostArray, Storage } from "../../src/engine/backend.js";
import {
  isListKind,
  isScalarKind,
  isWrittenKind,
  type KernelArgs,
  type KernelName,
  kernels,
  type ParameterKind,
} from "../../src/engine/kernels.js";
import type { BufferSpec, KernelCase } from "./cases/case.js";
import { cases } from "./cases.js";

/** A case of any kernel, its types forgotten. */
export interface AnyCase {
  readonly title: string;
  readonly buffers: Readonly<Record<string, BufferSpec | readonly BufferSpec[] | null>>;
  readonly scalars: Readonly<Record<string, unknown>>;
  readonly tolerance?: number;
}

export function casesOf(kernel: KernelName): readonly AnyCase[] {
  return (cases[kernel] ?? []) as readonly KernelCase<KernelName>[] as unknown as readonly AnyCase[];
}

const parameters = (kernel: KernelName) => Object.entries(kernels[kernel]) as [string, ParameterKind][];

/** Runs a case on a backend. Outputs start full of `garbage`; returned are all tensors that the kernel writes. */
export function runCase(
  backend: Backend,
  kernel: KernelName,
  { buffers, scalars }: AnyCase,
  garbage = NaN,
): Map<string, HostArray> {
  const storages: Storage[] = [];
  const make = (spec: BufferSpec): Storage => {
    const storage = backend.alloc(spec.dtype, spec.length);
    backend.write(storage, spec.data ?? new Float64Array(spec.length).fill(garbage));
    storages.push(storage);
    return storage;
  };
  const args: Record<string, unknown> = { ...scalars };
  for (const [name, spec] of Object.entries(buffers)) {
    args[name] = spec && ("dtype" in spec ? make(spec) : spec.map(make));
  }
  backend.call(kernel, args as KernelArgs<typeof kernel, Storage>);
  const outputs = new Map<string, HostArray>();
  for (const [name, kind] of parameters(kernel)) {
    const value = args[name] as Storage | Storage[] | null;
    if (isScalarKind(kind) || !isWrittenKind(kind) || value === null) continue;
    if (Array.isArray(value)) for (const [i, storage] of value.entries()) outputs.set(`${name}[${i}]`, backend.read(storage));
    else outputs.set(name, backend.read(value));
  }
  for (const storage of storages) backend.release(storage);
  return outputs;
}

/** Arguments of a case that do not fit the kernel's signature, as text; empty if it is well formed. */
export function misfits(kernel: KernelName, { buffers, scalars }: AnyCase): string[] {
  return parameters(kernel).flatMap(([name, kind]) => {
    if (isScalarKind(kind)) return name in scalars ? [] : [`${name} is missing`];
    const value = buffers[name];
    if (value === undefined) return [`${name} is missing`];
    if (value === null) return kind.endsWith("?") ? [] : [`${name} is null`];
    if ("dtype" in value === isListKind(kind)) return [`${name} (${kind}) ${isListKind(kind) ? "is no list" : "is a list"}`];
    const needsData = !kind.startsWith("out");
    const fits = ("dtype" in value ? [value] : value).every((spec) => needsData === (spec.data !== undefined));
    return fits ? [] : [`${name} (${kind}) ${needsData ? "lacks" : "has"} data`];
  });
}
