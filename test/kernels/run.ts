import type { Backend, HostArray, Storage } from "../../src/engine/backend.js";
import { type KernelArgs, type KernelName, kernels, type ParameterKind } from "../../src/engine/kernels.js";
import type { BufferSpec, KernelCase } from "./cases/case.js";
import { cases } from "./cases.js";

/** A case of any kernel, its types forgotten. */
export interface AnyCase {
  readonly title: string;
  readonly buffers: Readonly<Record<string, BufferSpec | null>>;
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
  const storages = new Map<string, Storage>();
  for (const [name, spec] of Object.entries(buffers)) {
    if (!spec) continue;
    const storage = backend.alloc(spec.dtype, spec.length);
    backend.write(storage, spec.data ?? new Float64Array(spec.length).fill(garbage));
    storages.set(name, storage);
  }
  const args: Record<string, unknown> = { ...scalars };
  for (const name of Object.keys(buffers)) args[name] = storages.get(name) ?? null;
  backend.call(kernel, args as KernelArgs<typeof kernel, Storage>);
  const outputs = new Map<string, HostArray>();
  for (const [name, kind] of parameters(kernel)) {
    const storage = storages.get(name);
    if (storage && /out/.test(kind)) outputs.set(name, backend.read(storage));
  }
  for (const storage of storages.values()) backend.release(storage);
  return outputs;
}

/** Arguments of a case that do not fit the kernel's signature, as text; empty if it is well formed. */
export function misfits(kernel: KernelName, { buffers, scalars }: AnyCase): string[] {
  return parameters(kernel).flatMap(([name, kind]) => {
    const isScalar = kind === "int" || kind === "float" || kind === "dims";
    if (isScalar) return name in scalars ? [] : [`${name} is missing`];
    const spec = buffers[name];
    if (spec === undefined) return [`${name} is missing`];
    if (spec === null) return kind.endsWith("?") ? [] : [`${name} is null`];
    const needsData = !kind.startsWith("out");
    return needsData === (spec.data !== undefined) ? [] : [`${name} (${kind}) ${needsData ? "lacks" : "has"} data`];
  });
}
