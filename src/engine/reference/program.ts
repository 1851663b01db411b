import { BackendError, DisposedError } from "../../core/errors.js";
import type { Backend, Program, RecordedProgram, Storage } from "../backend.js";
import { isListKind, type KernelArgs, type KernelName, kernels, type ParameterKind } from "../kernels.js";
import type { Args, NumericArray } from "./arrays.js";
import { referenceKernels } from "./kernels.js";
import { ReferenceStorage } from "./storage.js";

/** The memory behind argument `name`, or null where the kernel takes none. */
function arrayOf(
  owner: Backend,
  kernel: KernelName,
  name: string,
  kind: ParameterKind,
  storage: Storage | null | undefined,
): NumericArray | null {
  if (storage == null) {
    if (kind.endsWith("?")) return null;
    throw new BackendError(`${kernel}: argument ${name} (${kind}) is missing.`);
  }
  if (!(storage instanceof ReferenceStorage) || storage.backend !== owner) {
    throw new BackendError(
      `${kernel}: argument ${name} must be memory of the same backend, got another's (${storage.backend.name}).`,
    );
  }
  if (storage.released) throw new DisposedError(`${kernel}: argument ${name} was used after it was released.`);
  return storage.array;
}

/** A call with its memory looked up. */
function bind<K extends KernelName>(owner: Backend, kernel: K, args: KernelArgs<K, Storage>): () => void {
  const bound: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(kernels[kernel]) as [string, ParameterKind][]) {
    const value = (args as Record<string, unknown>)[name];
    if (kind === "int" || kind === "float") bound[name] = value;
    else if (kind === "dims" || kind === "ints") bound[name] = [...(value as number[])];
    else if (isListKind(kind) && value != null) {
      bound[name] = (value as Storage[]).map((storage, i) => arrayOf(owner, kernel, `${name}[${i}]`, kind, storage));
    } else bound[name] = arrayOf(owner, kernel, name, kind, value as Storage | null | undefined);
  }
  const run = referenceKernels[kernel];
  return () => run(bound as Args<K>);
}

/** A list of bound calls. */
export class ReferenceProgram implements Program, RecordedProgram {
  readonly #owner: Backend;
  readonly #before: () => void;
  readonly #calls: (() => void)[] = [];
  readonly #names: KernelName[] = [];

  /**
   * @param owner the backend whose memory the calls name
   * @param before runs first whenever the program runs: what is pending on the backend
   * @param inputs memory into which a run first copies its inputs
   */
  constructor(
    owner: Backend,
    before: () => void = () => {},
    private readonly inputs: readonly ReferenceStorage[] = [],
  ) {
    this.#owner = owner;
    this.#before = before;
  }

  get length(): number {
    return this.#calls.length;
  }

  append<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void {
    this.#calls.push(bind(this.#owner, kernel, args));
    this.#names.push(kernel);
  }

  run(inputs: readonly Storage[] = []): void {
    this.#begin(inputs);
    for (const call of this.#calls) call();
  }

  profile(inputs: readonly Storage[] = []): { kernel: string; ms: number }[] {
    this.#begin(inputs);
    return this.#calls.map((call, i) => {
      const began = performance.now();
      call();
      return { kernel: this.#names[i]!, ms: performance.now() - began };
    });
  }

  clear(): void {
    this.#calls.length = 0;
    this.#names.length = 0;
  }

  dispose(): void {
    this.clear();
  }

  #begin(inputs: readonly Storage[]): void {
    this.#before();
    for (const [i, input] of this.inputs.entries()) input.array.set((inputs[i] as ReferenceStorage).array);
  }
}
