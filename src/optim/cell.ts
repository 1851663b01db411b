import type { Backend } from "../engine/backend.js";
import { Holder } from "../tensor/holder.js";
import { SharedStorage } from "../tensor/memory.js";

/** One float64 in a backend's memory that kernels read: a learning rate, a number of steps, a sum of squares. */
export class Cell extends Holder {
  /** @param value a number, or the cell whose value of now it takes, which is not read */
  constructor(
    readonly backend: Backend,
    value: number | Cell,
  ) {
    super(new SharedStorage(backend.alloc("float64", 1)));
    if (typeof value === "number") this.fill(value);
    else backend.call("copyCell", { x: value.storage, y: this.storage });
  }

  /** Writes the value in stream order: calls made before still see the old one. */
  fill(value: number): void {
    this.backend.call("fillCell", { y: this.storage, value });
  }

  /** Reads the value, which runs what is pending. */
  read(): number {
    return this.backend.read(this.storage)[0]!;
  }

  protected describe(): string {
    return "cell";
  }
}
