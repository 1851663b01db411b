import type { FitEvent } from "./fit.js";
import type { TrainSets } from "./prepare.js";
import type { TrainerEvent } from "./protocol.js";

/**
 * A turn of the event loop by a message to oneself: what came before is handled first, and browsers do not hold it back for
 * 4 ms as they do with timers that follow each other.
 */
function messageTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** A training under way in a worker: holds it, stops it and tells the page of it. */
export class Run {
  private readonly controller = new AbortController();
  private held: Promise<void> | null = null;
  private release: () => void = () => undefined;
  private steps: number[] = [];
  private losses: number[] = [];
  private totalSteps = 0;
  private lastFlush = -Infinity;

  /**
   * @param id number of the request that began it
   * @param every losses of steps are sent at most every so many milliseconds
   */
  constructor(
    readonly id: number,
    readonly sets: TrainSets | null,
    private readonly every: number,
    private readonly send: (event: TrainerEvent) => void,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  pause(): void {
    this.flush();
    if (this.signal.aborted) return;
    this.held ??= new Promise((resolve) => {
      this.release = resolve;
    });
  }

  resume(): void {
    this.held = null;
    this.release();
  }

  stop(): void {
    this.controller.abort();
    this.resume();
  }

  /** Resolves after a turn of the event loop, and not while training is paused. */
  async turn(): Promise<void> {
    await messageTurn();
    while (this.held !== null) await this.held;
  }

  /** Passes an event of `fit` on; losses of steps wait for others to come along. */
  tell(event: FitEvent, started: { threads: number; parameters: number }): void {
    if (event.type === "step") {
      this.steps.push(event.step);
      this.losses.push(event.loss);
      this.totalSteps = event.totalSteps;
      if (performance.now() - this.lastFlush >= this.every) this.flush();
      return;
    }
    this.flush();
    this.send(event.type === "start" ? { ...event, ...started } : event);
  }

  private flush(): void {
    if (this.steps.length === 0) return;
    this.send({ type: "steps", steps: this.steps, losses: this.losses, totalSteps: this.totalSteps });
    this.steps = [];
    this.losses = [];
    this.lastFlush = performance.now();
  }
}
