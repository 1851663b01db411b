import { DisposedError } from "../core/errors.js";
import type { Storage } from "../engine/backend.js";
import { collected, type SharedStorage } from "./memory.js";
import { type Disposable, enterScope, escapeScopes } from "./scope.js";

/** Holds memory until it is disposed of: by hand, by the scope it was made in, or else by the garbage collector. */
export abstract class Holder implements Disposable {
  private registered = false;

  /** @param memory null once it was disposed of */
  protected constructor(protected memory: SharedStorage | null) {
    if (!enterScope(this)) this.leaveScope();
  }

  /** What it is, for errors. */
  protected abstract describe(): string;

  /** The memory, for kernels. */
  get storage(): Storage {
    return this.alive().storage;
  }

  get isDisposed(): boolean {
    return this.memory === null;
  }

  /** Lets it outlive every `tidy`; returns it. */
  keep(): this {
    escapeScopes(this);
    return this;
  }

  /** Gives the memory back. Harmless when repeated. */
  dispose(): void {
    if (this.memory === null) return;
    if (this.registered) collected.unregister(this);
    this.memory.release();
    this.memory = null;
  }

  leaveScope(): void {
    if (this.registered || this.memory === null) return;
    this.registered = true;
    collected.register(this, this.memory, this);
  }

  protected alive(): SharedStorage {
    if (this.memory === null) throw new DisposedError(`${this.describe()}: used after it was disposed of.`);
    return this.memory;
  }
}
