import { BackendError, OptionError } from "../core/errors.js";
import { isImageSet } from "../data/dataset.js";
import { buffersOf, type Endpoint } from "./endpoint.js";
import type { EngineOptions, LoadedData, TrainerEvent, TrainResult } from "./protocol.js";
import { portable, type SetSource } from "./worker-data.js";
import { WorkerLink } from "./worker-link.js";
import type { StateArray } from "./worker-model.js";
import type { TrainPlan } from "./worker-recipes.js";

export interface ConnectOptions extends EngineOptions {
  /**
   * A worker that calls `serveTraining`, or what makes one (default: the package's own, in a browser). It belongs to the trainer,
   * which ends it.
   */
  worker?: Endpoint | (() => Endpoint);
}

export interface TrainOptions {
  /** What `Trainer.load` returned; takes the place of the configuration's `data`. */
  data?: LoadedData;
  onEvent?: (event: TrainerEvent) => void;
  /** Least milliseconds between two events of type "steps" (default 50). */
  every?: number;
}

/** A training under way. */
export interface TrainerRun {
  /**
   * The result, also of a training that was stopped (`history.outcome` is "interrupted") or diverged; rejects with what was thrown
   * in the worker.
   */
  readonly done: Promise<TrainResult>;
  /** Resolves when the training rests, after the step under way. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the training after the step under way; a paused one too. */
  stop(): Promise<void>;
}

/** A worker that does not answer for so long does not serve trainings. */
const PATIENCE_MS = 60_000;

/** The package's own worker. The expression stands as bundlers look for it. */
function ownWorker(): Endpoint {
  if (typeof Worker === "undefined") {
    throw new OptionError(
      "connectTrainer: expected a worker, since only browsers start the package's own, got none; give a Worker of " +
        "node:worker_threads whose file calls serveTraining({}, parentPort).",
    );
  }
  return new Worker(new URL("./train-worker.js", import.meta.url), { type: "module" });
}

/** Trains networks in a worker. Made by `connectTrainer`. */
export class Trainer {
  constructor(
    private readonly link: WorkerLink,
    /** Threads that compute. */
    readonly threads: number,
  ) {}

  /**
   * Brings data into the worker, for any number of trainings.
   *
   * @param source data sets, which are copied, or addresses of IDX files, which the worker fetches; `test` is evaluated at the
   *   end of a training (default: none)
   * @param options.transfer moves the arrays of data sets instead of copying them: they are empty here afterwards (default false)
   * @throws DataError if a file cannot be fetched or is damaged, or sizes do not fit
   */
  async load(source: { train: SetSource; test?: SetSource | null }, { transfer = false } = {}): Promise<LoadedData> {
    const train = portable(source.train);
    const test = source.test ? portable(source.test) : null;
    const arrays = [train, test].flatMap((set) => {
      if (set === null || "imagesUrl" in set) return [];
      return [isImageSet(set) ? set.images : set.features, set.labels];
    });
    return this.link.ask("load", { train, test }, { transfer: transfer ? buffersOf(arrays) : [] }).answer;
  }

  /** Gives back the memory of loaded data. @throws TrainingError if a training uses them */
  async release(data: LoadedData): Promise<void> {
    await this.link.ask("release", { data: data.id }).answer;
  }

  /**
   * Starts a training; one at a time. A configuration with other `threads` or `deterministic` than before starts the engine anew.
   *
   * @param plan a configuration as `evenkeel train` reads it, without `data` if `options.data` is given; or the name of a recipe
   */
  train(plan: TrainPlan, { data, onEvent, every = 50 }: TrainOptions = {}): TrainerRun {
    const { id, answer } = this.link.ask("train", { plan, data: data?.id ?? null, every }, { onEvent });
    const control = async (action: "pause" | "resume" | "stop") => {
      // If the worker is gone, `done` says so.
      await this.link.ask("control", { run: id, action }).answer.catch(() => undefined);
    };
    return { done: answer, pause: () => control("pause"), resume: () => control("resume"), stop: () => control("stop") };
  }

  /**
   * Outputs of the newest model in evaluation mode, also while it is trained (between two steps).
   *
   * @param inputs examples of the training set's shape, one after the other: bytes, which are scaled as in training, or floats
   * @returns what the last layer gives, [N, …]
   * @throws ShapeError if they are no whole examples; TrainingError before the first training
   */
  predict(inputs: Uint8Array | Float32Array): Promise<StateArray> {
    return this.link.ask("predict", { inputs }).answer;
  }

  /** Ends the worker and frees its memory. What is under way rejects with DisposedError. */
  dispose(): void {
    this.link.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Starts an engine in a worker, in which networks are trained while the page stays free. Threads need a page that is cross-origin
 * isolated; elsewhere one is used.
 *
 * @throws BackendError if the worker or the engine does not start
 * @example
 * const trainer = await connectTrainer({ threads: 2 });
 * const run = trainer.train(config, { onEvent: (event) => draw(event) });
 * const { history, state } = await run.done;
 * trainer.dispose();
 */
export async function connectTrainer({ worker = ownWorker, ...engine }: ConnectOptions = {}): Promise<Trainer> {
  const link = new WorkerLink(typeof worker === "function" ? worker() : worker);
  const timer = setTimeout(() => {
    link.close(
      new BackendError(`connectTrainer: the worker did not answer in ${PATIENCE_MS / 1000} s; does it call serveTraining?`),
    );
  }, PATIENCE_MS);
  try {
    const { threads } = await link.ask("init", engine).answer;
    return new Trainer(link, threads);
  } catch (error) {
    link.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
