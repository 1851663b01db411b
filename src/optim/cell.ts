import { DisposedError } from "../core/errors.js";
import type { Backend, Storage } from "../engine/backend.js";
import { collected, SharedStorage } from "../tensor/memory.js";
import { enterScope, escapeScopes } from "../tensor/scope.js";

/** One float64 in a backend's memory that kernels read: a learning rate, a number of steps, a sum of squares. */
export class Cell {
  private memory: SharedStorage | null;
  private registered = false;

  constructor(
    readonly backend: Backend,
    value: number,
  ) {
    this.memory = new SharedStorage(backend.alloc("float64", 1));
    if (!enterScope(this)) this.leaveScope();
    this.fill(value);
  }

  /** The memory, for kernels. */
  get storage(): Storage {
    if (this.memory === null) throw new DisposedError("cell: used after it was disposed of.");
    return this.memory.storage;
  }

  /** Writes the value in stream order: calls made before still see the old one. */
  fill(value: number): void {
    this.backend.call("fillCell", { y: this.storage, value });
  }

  /** Another cell with the value of now, which is not read. */
  copy(): Cell {
    const copy = new Cell(this.backend, 0);
    this.backend.call("copyCell", { x: this.storage, y: copy.storage });
    return copy;
  }

  /** Reads the value, which runs what is pending. */
  read(): number {
    return this.backend.read(this.storage)[0]!;
  }

  /** Lets the cell outlive every `tidy`; returns it. */
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
}
