import type { HostArray } from "../engine/backend.js";
import type { Module } from "../nn/module.js";

export interface EarlyStopping {
  /** Epochs without a new lowest validation loss after which training ends. */
  patience: number;
  /** How much lower a loss must be to count as new (default 0). */
  minDelta?: number;
  /** Whether the model ends with the parameters and buffers of its best epoch (default true). */
  restoreBest?: boolean;
}

/** The best epoch so far, with a copy of the model's state where it is to be restored. */
export class Best {
  epoch: number | null = null;
  private loss = Infinity;
  private last = 0;
  private state: Map<string, HostArray> | null = null;

  constructor(
    private readonly model: Module,
    private readonly options: EarlyStopping | undefined,
  ) {}

  /** Takes note of the validation loss of an epoch. A loss of NaN is never the best. */
  see(epoch: number, loss: number): void {
    this.last = epoch;
    if (!(loss < this.loss - (this.options?.minDelta ?? 0))) return;
    this.loss = loss;
    this.epoch = epoch;
    if (this.options && (this.options.restoreBest ?? true)) this.state = this.copyState();
  }

  /** Whether patience is at its end. */
  get isOver(): boolean {
    return this.options !== undefined && this.last - (this.epoch ?? 0) >= this.options.patience;
  }

  /** Puts the best state back, if it was kept and is not the present one. */
  restore(): void {
    if (this.state === null || this.epoch === this.last) return;
    for (const [key, t] of this.model.stateDict()) {
      t.backend.write(t.storage, this.state.get(key)!);
      t.dispose();
    }
  }

  private copyState(): Map<string, HostArray> {
    const copy = new Map<string, HostArray>();
    for (const [key, t] of this.model.stateDict()) {
      copy.set(key, t.data());
      t.dispose();
    }
    return copy;
  }
}
