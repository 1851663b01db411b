import { DisposedError, InspectionError, RecordingError } from "../core/errors.js";
import { activeRecorder, type Guard, Recorder } from "../engine/recorder.js";
import { backendOf, Recording, Signature } from "./recording.js";

export interface CompileOptions {
  /**
   * Called with the reason, once for each, when a step cannot be recorded; it then runs as it is. Without it the reason is
   * thrown.
   */
  onEager?: (reason: RecordingError) => void;
}

/** A function that records what it does and repeats it; see `compile`. */
export interface CompiledStep<Args extends readonly unknown[], Result> {
  (...args: Args): Result;
  /** Runs the function as it is, to look inside; the same bits. */
  eager(...args: Args): Result;
  /**
   * Runs the step kernel call by kernel call, and says how long each took. The step is done as by any other call.
   * @throws RecordingError if it cannot be recorded
   */
  profile(...args: Args): { kernel: string; ms: number }[];
  /** Number of recordings that are held: one for each signature. */
  readonly recordings: number;
  /** Gives back the memory of all recordings, and of results. Harmless when repeated. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Recordings that are held; the one that was not used for longest makes room. */
const MOST_HELD = 32;
/** So many recordings in a row that no call could use again are no accident. */
const MOST_IN_VAIN = 8;

/** A signature whose calls run as they are. */
class Eager {
  constructor(private readonly signature: Signature) {}

  mismatch(args: readonly unknown[]): string | null {
    return this.signature.mismatch(args);
  }

  get isLasting(): boolean {
    return true;
  }

  dispose(): void {}
}

type Held = Recording | Eager;

/** What a step holds. Apart from it, since this must not lead to `fn`: what `fn` closes over often leads to the step itself. */
class Holding {
  list: Held[] = [];

  dispose(): void {
    for (const one of this.list) one.dispose();
    this.list = [];
  }
}

class Step {
  readonly holding = new Holding();
  /** Recordings in a row that no call has used again, and why the last of them cannot be. */
  private inVain = 0;
  private obstacle: string | null = null;
  private disposed = false;
  private readonly told = new Set<string>();

  constructor(
    private readonly fn: (...args: unknown[]) => unknown,
    private readonly onEager: ((reason: RecordingError) => void) | undefined,
  ) {}

  get recordings(): number {
    return this.holding.list.filter((one) => one instanceof Recording).length;
  }

  run(args: readonly unknown[]): unknown {
    if (this.disposed) throw new DisposedError("compile: the step was used after it was disposed of.");
    // Inside another recorded step this one is a part of it.
    if (activeRecorder() !== null) return this.fn(...args);
    const found = this.find(args);
    if (found === null) return this.record(args);
    if (found instanceof Eager) return this.fn(...args);
    this.inVain = 0;
    return found.replay(args);
  }

  profile(args: readonly unknown[]): { kernel: string; ms: number }[] {
    const found = this.find(args);
    if (found instanceof Recording) return found.profile(args);
    throw new RecordingError("compile: profile needs a recorded step: call the step before, with arguments of the same shapes.");
  }

  dispose(): void {
    this.disposed = true;
    forgotten.unregister(this.holding);
    this.holding.dispose();
  }

  /** What is held for these arguments as things are. What was used last comes first. */
  private find(args: readonly unknown[]): Held | null {
    for (let i = 0; i < this.holding.list.length; i++) {
      const one = this.holding.list[i]!;
      if (!one.isLasting) {
        this.holding.list.splice(i--, 1);
        one.dispose();
      } else if (one.mismatch(args) === null) {
        if (i > 0) this.hold(this.holding.list.splice(i, 1)[0]!);
        return one;
      }
    }
    return null;
  }

  private hold(one: Held): void {
    this.holding.list.unshift(one);
    if (this.holding.list.length > MOST_HELD) this.holding.list.pop()!.dispose();
  }

  private record(args: readonly unknown[]): unknown {
    const recorder = new Recorder(backendOf(args));
    try {
      this.checkUse(args);
      const recording = Recording.make(recorder, this.fn, args);
      const value = recording.value(args);
      this.obstacle = recording.obstacle;
      if (this.obstacle === null) this.hold(recording);
      // What was made in a run that cannot be repeated becomes memory like any other.
      else recording.dispose();
      return value;
    } catch (error) {
      if (!(error instanceof RecordingError) || !(this.onEager || error instanceof InspectionError)) throw error;
      return this.runEagerly(error, recorder.guards, args);
    }
  }

  /** Refuses a step of which no recording could ever be used again. */
  private checkUse(args: readonly unknown[]): void {
    const last = this.holding.list.find((one) => one instanceof Recording);
    const reason = this.obstacle ?? last?.mismatch(args) ?? null;
    // Other arguments are no fault of the step.
    if (reason === null || reason.startsWith("argument")) return;
    if (this.inVain++ < MOST_IN_VAIN) return;
    this.inVain = 0;
    throw new RecordingError(
      `compile: the step was recorded ${MOST_IN_VAIN} times and could never be repeated. What is in the way: ${reason}.`,
    );
  }

  private runEagerly(reason: RecordingError, guards: readonly Guard[], args: readonly unknown[]): unknown {
    this.hold(new Eager(new Signature(backendOf(args), args, guards)));
    if (!(reason instanceof InspectionError) && !this.told.has(reason.message)) {
      this.told.add(reason.message);
      this.onEager?.(reason);
    }
    return this.fn(...args);
  }
}

/** Gives back what a step holds when nobody can call it any more. */
const forgotten = new FinalizationRegistry<Holding>((holding) => {
  try {
    holding.dispose();
  } catch {
    // The backend is gone, and its memory with it.
  }
});

/**
 * Makes a step that records the kernel calls of `fn` once for each signature and from then on repeats them, without any
 * JavaScript for an op: forward, backward and update of parameters and running values, bit for bit as `fn` itself.
 *
 * The first call with a signature runs `fn`; further calls run the recording. A signature is the shapes, dtypes and
 * requiresGrad of tensor arguments, the values of others, the modes and plain properties of the modules that ran, freezing,
 * and which gradients there were. Other JavaScript in `fn` runs only while it is recorded. Learning rates, step counts, the
 * state of random numbers and counters of batches lie in memory, and so go on from run to run; a schedule is stepped outside.
 *
 * - Tensors that `fn` takes from outside (parameters, buffers) are used where they lie; arguments are copied in.
 * - The result is one or more tensors, which no backward pass goes through, and is valid until the next call.
 * - What `fn` makes meanwhile shares one area of memory with all recordings, planned by what is needed when.
 * - Hooks on a module make the step run as it is, so that they see every value; those that sample, only when they are due.
 *
 * @param fn a synchronous function of tensors and plain values that returns tensors, in arrays and objects if you like
 * @throws RecordingError from a call, before anything is changed: `fn` reads a value (and so might branch on data), makes a
 * tensor from numbers, sets a learning rate, attaches a hook, keeps a tensor beyond its end, or is never the same twice
 * @throws DisposedError if `fn` uses a tensor that was disposed of
 * @example
 * const step = compile((x: Tensor, target: Tensor) => {
 *   const loss = nn.crossEntropy(model.call(x), target);
 *   loss.backward();
 *   optimizer.step();
 *   optimizer.zeroGrad();
 *   return loss;
 * });
 * console.log(step(images, labels).item());
 */
export function compile<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
  options: CompileOptions = {},
): CompiledStep<Args, Result> {
  const step = new Step(fn as unknown as (...args: unknown[]) => unknown, options.onEager);
  const compiled = ((...args: Args) => step.run(args)) as CompiledStep<Args, Result>;
  compiled.eager = fn;
  compiled.profile = (...args) => step.profile(args);
  compiled.dispose = () => step.dispose();
  compiled[Symbol.dispose] = () => step.dispose();
  Object.defineProperty(compiled, "recordings", { get: () => step.recordings });
  forgotten.register(compiled, step.holding, step.holding);
  return compiled;
}
