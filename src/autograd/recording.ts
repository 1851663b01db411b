import { GradientError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Backend, RecordedProgram, Storage } from "../engine/backend.js";
import { currentBackend, withBackend } from "../engine/current.js";
import { brokenGuard, type Guard, type Recorder, type RunObserver, recordWith } from "../engine/recorder.js";
import { GradJournal, withJournal } from "../tensor/grad-journal.js";
import { randomStorageOf } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";
import { isRecording } from "./mode.js";
import { StepGradients } from "./step-gradients.js";
import { StepResult } from "./step-result.js";

/** What a recording holds for: its arguments, and what the function looked at. */
export class Signature {
  private readonly mode = isRecording();
  private readonly shapes: readonly unknown[];

  constructor(
    private readonly backend: Backend,
    args: readonly unknown[],
    private readonly guards: readonly Guard[],
  ) {
    this.shapes = args.map((arg) =>
      arg instanceof Tensor ? { shape: arg.shape, dtype: arg.dtype, requiresGrad: arg.requiresGrad } : arg,
    );
  }

  /** Why it does not hold, or null if it does. */
  mismatch(args: readonly unknown[]): string | null {
    if (backendOf(args) !== this.backend) return "the backend";
    if (isRecording() !== this.mode) return "whether gradients are recorded";
    if (args.length !== this.shapes.length) return "the number of arguments";
    for (let i = 0; i < args.length; i++) if (!isLike(this.shapes[i], args[i])) return `argument ${i}`;
    const guard = brokenGuard(this.guards);
    return guard && `the property "${guard.property}" of ${guard.owner.constructor.name}, which changes from call to call`;
  }
}

function isLike(seen: unknown, arg: unknown): boolean {
  if (!(arg instanceof Tensor)) return Object.is(seen, arg);
  const like = seen as Partial<Pick<Tensor, "shape" | "dtype" | "requiresGrad">> | null | undefined;
  if (like?.shape === undefined || like.dtype !== arg.dtype || like.requiresGrad !== arg.requiresGrad) return false;
  return sameShape(like.shape, arg.shape);
}

/** Where the step runs: where its first tensor lies, else on the current backend. */
export function backendOf(args: readonly unknown[]): Backend {
  for (const arg of args) if (arg instanceof Tensor) return arg.backend;
  return currentBackend();
}

const tensorsIn = (args: readonly unknown[]): Tensor[] => args.filter((arg) => arg instanceof Tensor);
const storagesIn = (args: readonly unknown[]): Storage[] => tensorsIn(args).map((t) => t.storage);

/** What remains of a step when it has been recorded. */
class Recorded {
  constructor(
    readonly result: StepResult,
    readonly gradients: StepGradients,
    /** The memory of its arguments. */
    readonly places: readonly Storage[],
  ) {}
}

/** One step as a program that can be run again. */
export class Recording {
  private constructor(
    private readonly signature: Signature,
    private readonly program: RecordedProgram,
    private readonly result: StepResult,
    private readonly gradients: StepGradients,
    /** Memory from outside that the program uses. */
    private readonly outside: ReadonlySet<Storage>,
    private readonly observers: ReadonlySet<RunObserver>,
    /** A tensor that the step made and that lives on, though nobody returned it; null if there is none. */
    private readonly escaped: string | null,
  ) {}

  /** Records `fn` and runs it once. If anything throws, nothing has happened. */
  static make(recorder: Recorder, fn: (...args: unknown[]) => unknown, args: readonly unknown[]): Recording {
    const { backend } = recorder;
    checkArguments(args);
    // What the first random number makes must not belong to the step.
    randomStorageOf(backend);
    const journal = new GradJournal();
    const inputs: (Tensor | null)[] = [];
    const step = () => {
      for (const arg of args) inputs.push(arg instanceof Tensor ? inputFor(arg) : null);
      const places = inputs.flatMap((input) => input?.storage ?? []);
      const result = new StepResult(fn(...args.map((arg, i) => inputs[i] ?? arg)), inputs, recorder);
      return new Recorded(result, new StepGradients(journal, inputs, recorder), places);
    };
    try {
      const recorded = recordWith(recorder, () => withBackend(backend, () => withJournal(journal, () => tidy(step))));
      const recording = Recording.link(recorder, recorded, args);
      recording.program.run(storagesIn(args));
      for (const storage of recorder.given) backend.release(storage);
      journal.commit();
      recording.finish(args);
      return recording;
    } catch (error) {
      journal.restore((memory, like) => new Tensor(memory.retain(), like.shape));
      for (const [i, arg] of args.entries())
        if (arg instanceof Tensor && inputs[i]) arg.gradState.grad = inputs[i].gradState.grad;
      for (const storage of [...recorder.given, ...recorder.alive]) if (!storage.released) backend.release(storage);
      throw error;
    }
  }

  private static link(recorder: Recorder, { result, gradients, places }: Recorded, args: readonly unknown[]): Recording {
    const pinned = new Set([...result.memory, ...gradients.memory].map(({ storage }) => storage));
    const stray = [...recorder.alive].find((storage) => !pinned.has(storage));
    const program = recorder.backend.link(recorder, recorder.alive, places);
    const signature = new Signature(recorder.backend, args, recorder.guards);
    const escaped = stray ? `${stray.length} values of ${stray.dtype}` : null;
    return new Recording(signature, program, result, gradients, recorder.outside(), recorder.observers, escaped);
  }

  /** Why the program cannot be run again at all, or null if it can. */
  get obstacle(): string | null {
    if (this.escaped !== null) return `it keeps a tensor beyond its end (${this.escaped}); return it instead`;
    return this.isLasting ? null : "it gives back memory that it uses";
  }

  /** Whether all memory that the program uses is still there. */
  get isLasting(): boolean {
    for (const storage of this.outside) if (storage.released) return false;
    return true;
  }

  /** Why it cannot be run with these arguments as things are, or null if it can. */
  mismatch(args: readonly unknown[]): string | null {
    return this.signature.mismatch(args) ?? (this.gradients.match(args) ? null : "a gradient that the step adds to");
  }

  replay(args: readonly unknown[]): unknown {
    this.program.run(storagesIn(args));
    this.finish(args);
    return this.result.build(args);
  }

  /** What belongs to a run and is no kernel call. */
  private finish(args: readonly unknown[]): void {
    this.gradients.apply(args);
    for (const observer of this.observers) observer.stepRan();
  }

  /** The result of the run that has just been. */
  value(args: readonly unknown[]): unknown {
    return this.result.build(args);
  }

  profile(args: readonly unknown[]): { kernel: string; ms: number }[] {
    const times = this.program.profile(storagesIn(args));
    this.finish(args);
    return times;
  }

  dispose(): void {
    this.program.dispose();
    for (const memory of [...this.result.memory, ...this.gradients.memory]) memory.unpin();
  }
}

function checkArguments(args: readonly unknown[]): void {
  for (const [i, arg] of args.entries()) {
    if (!(arg instanceof Tensor) || arg.gradState.node === null) continue;
    throw new GradientError(
      `compile: argument ${i} ${formatShape(arg.shape)} was computed by ops that a backward pass would go through, and a recorded ` +
        "step ends at its arguments: pass detach() of it.",
    );
  }
}

/** The tensor that the function gets in the place of an argument. */
function inputFor(arg: Tensor): Tensor {
  const input = Tensor.empty(arg.backend, arg.shape, arg.dtype);
  if (arg.requiresGrad) input.requiresGrad = true;
  input.gradState.grad = arg.gradState.grad;
  return input;
}
