import type { Storage } from "../engine/backend.js";

/** A storage and the number of tensors that show it; it is released with the last of them, unless it is pinned. */
export class SharedStorage {
  private references = 1;
  private pins = 0;

  constructor(readonly storage: Storage) {}

  get shared(): boolean {
    return this.references > 1;
  }

  retain(): this {
    this.references++;
    return this;
  }

  release(): void {
    this.references--;
    this.releaseUnused();
  }

  /** Keeps the memory although no tensor may show it; for recorded steps, which write there again. Returns this. */
  pin(): this {
    this.pins++;
    return this;
  }

  unpin(): void {
    this.pins--;
    this.releaseUnused();
  }

  private releaseUnused(): void {
    if (this.references === 0 && this.pins === 0) this.storage.backend.release(this.storage);
  }
}

/** The safety net: releases what was never disposed of, when the garbage collector finds it and the event loop turns. */
export const collected = new FinalizationRegistry<SharedStorage>((storage) => {
  try {
    storage.release();
  } catch {
    // The backend is gone, and its memory with it.
  }
});
