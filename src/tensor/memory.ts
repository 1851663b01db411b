import type { Storage } from "../engine/backend.js";

/** A storage and the number of tensors that show it; it is released with the last of them. */
export class SharedStorage {
  private references = 1;

  constructor(readonly storage: Storage) {}

  get shared(): boolean {
    return this.references > 1;
  }

  retain(): this {
    this.references++;
    return this;
  }

  release(): void {
    if (--this.references === 0) this.storage.backend.release(this.storage);
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
