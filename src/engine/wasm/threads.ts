import { platform } from "#platform";
import { BackendError } from "../../core/errors.js";
import { control } from "./layout.js";
import type { Platform, WorkerHandle } from "./platform.js";

/** How threads are started and watched. The defaults serve everyone but tests and measurements. */
export interface ThreadSettings {
  /** A worker that shows no sign of life for this long while the others wait for it is given up (default 10 s). */
  stallMs: number;
  /** Workers that do not serve after this time are given up (default 20 s). */
  startMs: number;
  /** Rounds of a waiting thread before it goes to sleep (default: see SPIN; 0 where threads outnumber cores). */
  spin: number;
  startWorker: Platform["startWorker"];
}

/**
 * Rounds of a waiting thread before it goes to sleep: some 80 µs, about what it takes to wake a thread. With a quarter of that
 * one thread asleep makes the next barrier wait so long that others fall asleep as well (`node bench/barrier.mjs`).
 */
const SPIN = 100_000;
/** Longest sleep of thread 0 between two looks at the others. */
const LOOK_MS = 1000;
const AGAIN = "Its tensors are lost; call init() again.";

/** The workers of a backend: starts them, runs programs together with them, and notices when one is gone. */
export class Threads {
  /** Why the backend cannot be used any more, or null. */
  failure: string | null = null;
  private readonly settings: ThreadSettings;
  /** The control block. It never moves, so the view stays good when the memory grows. */
  private readonly words: Int32Array;
  private readonly workers: WorkerHandle[] = [];
  private readonly lookMs: number;
  private startedAt = 0;
  private lookedAt = 0;
  /** Number of the barrier that was looked at last, and how long a worker may be silent there. */
  private barrier = -1;
  private patience = 0;
  /** By thread: the pulse when last looked at, and for how long it has not changed. */
  private readonly pulses: number[];
  private readonly silentMs: number[];

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly block: number,
    private readonly exports: { run(): void; runAlone(): void },
    readonly count: number,
    settings: Partial<ThreadSettings> = {},
  ) {
    const spin = count > platform.cores() ? 0 : SPIN;
    this.settings = { stallMs: 10_000, startMs: 20_000, spin, startWorker: platform.startWorker, ...settings };
    this.lookMs = Math.min(LOOK_MS, this.settings.stallMs / 4);
    this.words = new Int32Array(memory.buffer, block, control.bytes >>> 2).fill(0);
    this.words[control.threads >>> 2] = count;
    this.words[control.spin >>> 2] = this.settings.spin;
    this.pulses = new Array<number>(count).fill(0);
    this.silentMs = new Array<number>(count).fill(0);
  }

  /** @param workspaces addresses of the workers' private memory; the first is thread 1's */
  start(module: WebAssembly.Module, workspaces: readonly number[]): void {
    const { failed, ready, generation } = control;
    for (const [i, workspace] of workspaces.entries()) {
      const start = { module, memory: this.memory, control: this.block, thread: i + 1, workspace };
      const onEnd = (how: string) => this.stop(`evenkeel: worker ${i + 1} of the WASM backend ${how}. ${AGAIN}`);
      try {
        this.workers.push(this.settings.startWorker({ ...start, offsets: { failed, ready, generation } }, onEnd));
      } catch (error) {
        this.stop(`init: worker ${i + 1} could not be started: ${textOf(error)}`);
        throw new BackendError(this.failure!, { cause: error });
      }
    }
  }

  /** Resolves when every worker serves. */
  async ready(): Promise<void> {
    const begin = performance.now();
    for (;;) {
      const serving = Atomics.load(this.words, control.ready >>> 2);
      if (this.failure !== null) throw new BackendError(this.failure);
      if (serving === this.count - 1) return;
      if (performance.now() - begin > this.settings.startMs) {
        this.stop(`init: ${serving} of ${this.count - 1} workers started in ${this.settings.startMs / 1000} s.`);
      } else await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  check(): void {
    if (this.failure !== null) throw new BackendError(this.failure);
  }

  /** Runs the program at [start, end); `alone` if none of its calls is divided, so that nobody need be woken. */
  execute(start: number, end: number, alone: boolean): void {
    this.check();
    this.words[control.program >>> 2] = start;
    this.words[control.end >>> 2] = end;
    try {
      if (alone || this.count === 1) this.exports.runAlone();
      else {
        this.startedAt = this.lookedAt = performance.now();
        this.exports.run();
      }
    } catch (error) {
      throw this.explain(error, alone || this.count === 1);
    }
  }

  /** Blocks thread 0 at a barrier until it is woken, or for a moment, after which it looks whether the others live. */
  wait(address: number, value: number): void {
    if (platform.canBlock()) {
      if (Atomics.wait(this.words, (address - this.block) >>> 2, value, this.lookMs) !== "timed-out") return;
    } else if (performance.now() - this.lookedAt < this.lookMs) return;
    this.look();
  }

  /** Ends the workers. Whoever is at a barrier leaves it, and whoever computes is terminated. */
  stop(reason: string): void {
    if (this.failure !== null) return;
    this.failure = reason;
    Atomics.compareExchange(this.words, control.failed >>> 2, 0, -1);
    Atomics.store(this.words, control.stop >>> 2, 1);
    for (const word of [control.epoch >>> 2, control.generation >>> 2]) {
      Atomics.add(this.words, word, 1);
      Atomics.notify(this.words, word);
    }
    for (const worker of this.workers) worker.stop();
  }

  /**
   * Throws if a worker that has not come to this barrier showed no sign of life for too long. Looks are counted rather than
   * time, which passes while a machine sleeps; and a worker may be silent for as long as the program ran before.
   */
  private look(): void {
    this.lookedAt = performance.now();
    const here = Atomics.load(this.words, (control.pulse >>> 2) + 1);
    if (here !== this.barrier) {
      this.barrier = here;
      this.patience = Math.max(this.settings.stallMs, this.lookedAt - this.startedAt);
      this.silentMs.fill(0);
    }
    for (let thread = 1; thread < this.count; thread++) {
      const at = (control.pulse + thread * control.pulseBytes) >>> 2;
      const pulse = Atomics.load(this.words, at);
      if (Atomics.load(this.words, at + 1) === here) continue;
      this.silentMs[thread] = pulse === this.pulses[thread] ? this.silentMs[thread]! + this.lookMs : 0;
      this.pulses[thread] = pulse;
      if (this.silentMs[thread]! < this.patience) continue;
      const seconds = Math.round(this.silentMs[thread]! / 100) / 10;
      this.stop(`evenkeel: worker ${thread} of the WASM backend showed no sign of life for ${seconds} s. ${AGAIN}`);
      throw new BackendError(this.failure!);
    }
  }

  /** The error to throw for one that came out of a program. */
  private explain(error: unknown, alone: boolean): BackendError {
    if (error instanceof BackendError) return error;
    const failed = Atomics.load(this.words, control.failed >>> 2);
    if (alone) return new BackendError(`evenkeel: a kernel failed: ${textOf(error)}.`, { cause: error });
    const who = failed > 0 ? `worker ${failed} of the WASM backend failed in a kernel` : `a kernel failed: ${textOf(error)}`;
    this.stop(`evenkeel: ${who}. ${AGAIN}`);
    return new BackendError(this.failure!, { cause: error });
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
