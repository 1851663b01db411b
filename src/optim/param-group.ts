import { OptionError } from "../core/errors.js";
import type { Backend } from "../engine/backend.js";
import { refuseInStep } from "../engine/recorder.js";
import type { Tensor } from "../tensor/tensor.js";
import { Cell } from "./cell.js";

/** Parameters that are updated with the same options. */
export class ParamGroup<Options extends object = object> {
  /** The learning rate with which schedules began; set by the first schedule. */
  initialLr: number | null = null;
  /** Read by the update kernels, so that a recorded step sees what schedules do. */
  readonly lrCell: Cell;
  private rate: number;

  constructor(
    private readonly who: string,
    backend: Backend,
    readonly params: readonly Tensor[],
    /** All but the learning rate. */
    readonly options: Readonly<Options>,
    lr: number,
  ) {
    checkLr(who, lr);
    this.rate = lr;
    this.lrCell = new Cell(backend, lr).keep();
  }

  get lr(): number {
    return this.rate;
  }

  /** @throws OptionError if it is negative or no finite number */
  set lr(value: number) {
    checkLr(this.who, value);
    if (Object.is(value, this.rate)) return;
    refuseInStep(
      this.who,
      "a learning rate that is set in a recorded step would stay what it is: set it, or step the schedule, outside.",
    );
    this.lrCell.fill(value);
    this.rate = value;
  }
}

/** Refuses what cannot be a learning rate. */
export function checkLr(who: string, lr: number): void {
  if (!(lr >= 0 && lr < Infinity)) {
    throw new OptionError(`${who}: Invalid learning rate: expected a finite number of at least 0, got ${lr}.`);
  }
}

/** Refuses an option outside of [low, high), or with `high` left out, below `low` or not finite. */
export function checkRange(who: string, name: string, value: number, low = 0, high = Infinity): void {
  if (value >= low && value < high) return;
  const range = high === Infinity ? `a finite number of at least ${low}` : `a number of at least ${low} and below ${high}`;
  throw new OptionError(`${who}: Invalid ${name} value: expected ${range}, got ${value}.`);
}
