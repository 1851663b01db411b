import { OptionError } from "../core/errors.js";

/** The factor on the base learning rate at step t = 0, 1, …: a pure function, so that training can start anywhere. */
export type Schedule = (t: number) => number;

/** What a schedule drives: an optimizer. */
export interface Scheduled {
  readonly paramGroups: readonly { lr: number; initialLr: number | null }[];
}

/** Times γ after every `size` steps (PyTorch's StepLR). */
export function stepSchedule(size: number, gamma = 0.1): Schedule {
  positive("stepSchedule", "size", size);
  return (t) => gamma ** Math.floor(t / size);
}

/** Times γ at each of `milestones` (PyTorch's MultiStepLR). */
export function multiStepSchedule(milestones: readonly number[], gamma = 0.1): Schedule {
  return (t) => gamma ** milestones.filter((m) => t >= m).length;
}

/**
 * Half a cosine from 1 down to `floor` over `total` steps, then constant.
 * @see Loshchilov & Hutter 2017, equation 5
 */
export function cosineSchedule(total: number, floor = 0): Schedule {
  positive("cosineSchedule", "total", total);
  return (t) => floor + (1 - floor) * 0.5 * (1 + Math.cos((Math.PI * Math.min(t, total)) / total));
}

/** Rises linearly from 1 / `steps` to 1 over `steps` steps, then follows `after`, counted from its own 0 (default constant 1). */
export function warmUp(steps: number, after: Schedule = () => 1): Schedule {
  positive("warmUp", "steps", steps);
  return (t) => (t < steps ? (t + 1) / steps : after(t - steps));
}

/** Sets the learning rates of an optimizer's groups to initial · schedule(t), where initial is what they were at first. */
export class Scheduler {
  private t = 0;

  constructor(
    private readonly optimizer: Scheduled,
    private readonly schedule: Schedule,
  ) {
    for (const group of optimizer.paramGroups) group.initialLr ??= group.lr;
    this.apply();
  }

  /** Steps so far. Setting it jumps there. */
  get position(): number {
    return this.t;
  }

  set position(t: number) {
    this.t = t;
    this.apply();
  }

  /** Goes on by one step. */
  step(): void {
    this.position = this.t + 1;
  }

  private apply(): void {
    const factor = this.schedule(this.t);
    for (const group of this.optimizer.paramGroups) group.lr = group.initialLr! * factor;
  }
}

function positive(who: string, what: string, value: number): void {
  if (!(value > 0)) throw new OptionError(`${who}: expected ${what} above 0, got ${value}.`);
}
