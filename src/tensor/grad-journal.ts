import type { SharedStorage } from "./memory.js";
import type { GradState, Tensor } from "./tensor.js";

/** What a gradient was before a recorded step touched it. */
export interface GradEntry {
  readonly before: Tensor | null;
  /** Its memory, kept until the step has succeeded or failed. */
  readonly memory: SharedStorage | null;
  /** Whether the step asked for the gradient before it set one: then what it does depends on it. */
  readonly wasRead: boolean;
}

/** Notes which gradients a recorded step reads and sets. */
export class GradJournal {
  readonly entries = new Map<GradState, GradEntry>();

  note(state: GradState, wasRead: boolean): void {
    if (this.entries.has(state)) return;
    const before = state.grad;
    this.entries.set(state, { before, memory: before?.pin() ?? null, wasRead });
  }

  /** The step has succeeded: old gradients are no longer needed. */
  commit(): void {
    for (const { memory } of this.entries.values()) memory?.unpin();
  }

  /** The step has failed: every gradient becomes what it was. `remake` makes a tensor that shows memory again. */
  restore(remake: (memory: SharedStorage, like: Tensor) => Tensor): void {
    for (const [state, { before, memory }] of this.entries) {
      if (state.grad !== before) state.grad?.dispose();
      state.grad = before?.isDisposed ? remake(memory!, before) : before;
      memory?.unpin();
    }
  }
}

let journal: GradJournal | null = null;

/** Runs `fn` while `next` takes notes. */
export function withJournal<T>(next: GradJournal, fn: () => T): T {
  const previous = journal;
  journal = next;
  try {
    return fn();
  } finally {
    journal = previous;
  }
}

/** Called before a gradient is read or set. */
export function noteGrad(state: GradState, isRead: boolean): void {
  journal?.note(state, isRead);
}
