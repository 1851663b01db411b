import { BackendError, RecordingError } from "../core/errors.js";
import type { Backend, Storage } from "./backend.js";
import { isScalarKind, type KernelArgs, type KernelName, kernels } from "./kernels.js";

/** A kernel call as it was made. */
export interface RecordedCall<K extends KernelName = KernelName> {
  readonly kernel: K;
  readonly args: KernelArgs<K, Storage>;
}

/** What a recorded step found a property to be; a replay is right only while it still is. */
export interface Guard {
  readonly owner: object;
  readonly property: string;
  readonly value: unknown;
}

/** Somebody who would have heard of a step, had its JavaScript run. */
export interface RunObserver {
  /** Called after each run of the recorded step. */
  stepRan(): void;
}

/**
 * Takes down the kernel calls of one step in place of running them. While a recorder is active, every backend sends it the
 * calls and the memory that would have been taken and given back; nothing is computed, so a step that fails has done nothing.
 */
export class Recorder {
  readonly calls: RecordedCall[] = [];
  /** Memory taken during the step that is not given back yet. It has no place until the program is linked. */
  readonly alive = new Set<Storage>();
  readonly guards: Guard[] = [];
  /** Told of every run of the step. */
  readonly observers = new Set<RunObserver>();
  /** Memory from before the step that the step gave back; given back in fact when the step has run. */
  readonly given: Storage[] = [];
  private readonly watched = new Set<object>();
  private readonly made = new Set<Storage>();

  constructor(readonly backend: Backend) {}

  call<K extends KernelName>(backend: Backend, kernel: K, args: KernelArgs<K, Storage>): void {
    this.check(backend);
    this.calls.push({ kernel, args } as unknown as RecordedCall);
  }

  take<S extends Storage>(storage: S): S {
    this.check(storage.backend);
    this.alive.add(storage);
    this.made.add(storage);
    return storage;
  }

  release(storage: Storage): void {
    if (!this.alive.delete(storage)) this.given.push(storage);
  }

  /** Memory from before the step that its calls use. */
  outside(): Set<Storage> {
    return new Set(this.calls.flatMap((call) => storagesOf(call).filter((storage) => !this.owns(storage))));
  }

  /** Whether the memory was taken during the step. */
  owns(storage: Storage): boolean {
    return this.made.has(storage);
  }

  /**
   * Notes the values of `properties` (default: every property that is no object and no function): if one of them changes, the
   * step is recorded anew.
   */
  watch(owner: object, properties?: readonly string[]): void {
    if (this.watched.has(owner)) return;
    this.watched.add(owner);
    const values = owner as Record<string, unknown>;
    for (const property of properties ?? Object.keys(owner)) {
      const value = values[property];
      const isPlain = value === null || (typeof value !== "object" && typeof value !== "function");
      if (properties || isPlain) this.guards.push({ owner, property, value });
    }
  }

  private check(backend: Backend): void {
    if (backend !== this.backend) {
      throw new BackendError("compile: expected all tensors of a recorded step on one backend, got some of another.");
    }
  }
}

/** The memory that a call uses. */
export function storagesOf({ kernel, args }: RecordedCall): Storage[] {
  const values = args as Readonly<Record<string, unknown>>;
  const memory = Object.entries(kernels[kernel]).filter(([, kind]) => !isScalarKind(kind));
  return memory.flatMap(([name]) => (values[name] as Storage | readonly Storage[] | null) ?? []);
}

/** The first property that is not what it was, or null. */
export function brokenGuard(guards: readonly Guard[]): Guard | null {
  for (const guard of guards) {
    if (!Object.is((guard.owner as Record<string, unknown>)[guard.property], guard.value)) return guard;
  }
  return null;
}

export const READING_REFUSED =
  "a recorded step cannot read a value, since it runs as a whole: return the tensor and read it outside.";
export const WRITING_REFUSED =
  "values from JavaScript enter a recorded step only through its arguments: make the tensor outside and pass it.";

let active: Recorder | null = null;

/** The recorder of the step that is being recorded, or null. */
export function activeRecorder(): Recorder | null {
  return active;
}

/** Runs `fn` while `recorder` takes down what it calls. */
export function recordWith<T>(recorder: Recorder, fn: () => T): T {
  const previous = active;
  active = recorder;
  try {
    return fn();
  } finally {
    active = previous;
  }
}

/** Notes, if a step is being recorded, that it depends on properties of `owner`; see `Recorder.watch`. */
export function watch(owner: object, properties?: readonly string[]): void {
  active?.watch(owner, properties);
}

/**
 * Refuses to be part of a recorded step.
 * @param what begins the message: the op or the layer
 * @param why what a recording cannot hold, and what to do
 */
export function refuseInStep(what: string, why: string): void {
  if (active !== null) throw new RecordingError(`${what}: ${why}`);
}
