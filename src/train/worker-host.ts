import { platform } from "#platform";
import { OptionError, TrainingError } from "../core/errors.js";
import { releaseSet } from "../data/resident.js";
import { currentBackend, init } from "../engine/current.js";
import type { Module } from "../nn/module.js";
import { buffersOf, type Endpoint, onClose, onMessage } from "./endpoint.js";
import { errorData } from "./error-data.js";
import { evaluate } from "./evaluate.js";
import { fit } from "./fit.js";
import type { TrainSets } from "./prepare.js";
import type { Calls, CallType, EngineOptions, LoadedData, Reply, Request, TrainResult } from "./protocol.js";
import { infoOf, readSource } from "./worker-data.js";
import { type InputForm, predict, stateArrays } from "./worker-model.js";
import { type CustomTraining, checkPlan, type Recipe } from "./worker-recipes.js";
import { Run } from "./worker-run.js";

type Handler<K extends CallType> = (args: Calls[K]["args"], id: number) => Calls[K]["result"] | Promise<Calls[K]["result"]>;

/** The worker's side: one engine, data sets, and one training at a time. */
class Host {
  /** What the page asked for when it connected. */
  private options: EngineOptions = {};
  /** The options of the engine that runs, as text. */
  private running = "";
  private readonly sets = new Map<number, TrainSets>();
  private loaded = 0;
  private run: Run | null = null;
  /** The newest model, which predicts. */
  private trained: { model: Module; form: InputForm } | null = null;

  constructor(
    private readonly reply: (message: Reply, transfer?: ArrayBuffer[]) => void,
    private readonly recipes: Readonly<Record<string, Recipe>>,
  ) {}

  readonly handlers: { readonly [K in CallType]: Handler<K> } = {
    init: async (options) => {
      await this.start(options);
      this.options = options;
      return { threads: currentBackend().threads };
    },
    load: (source) => this.load(source),
    release: ({ data }) => {
      const { train, test } = this.find("release", data);
      if (this.run?.sets?.train === train) throw new TrainingError("release: the data are being trained on; stop the run first.");
      for (const set of [train, test]) if (set !== null) releaseSet(set);
      this.sets.delete(data);
      return null;
    },
    train: async ({ plan, data, every }, id) => {
      if (this.run !== null) throw new TrainingError("train: expected one training at a time; await or stop the one that runs.");
      const sets = data === null ? null : this.find("train", data);
      this.run = new Run(id, sets, every, (event) => this.reply({ type: "event", id, event }));
      try {
        return await this.train(plan, this.run);
      } finally {
        this.run = null;
      }
    },
    control: ({ run, action }) => {
      if (this.run?.id === run) this.run[action]();
      return null;
    },
    predict: ({ inputs }) => {
      if (this.trained === null)
        throw new TrainingError("predict: expected a training that has begun, got none: call train first.");
      return predict(this.trained.model, this.trained.form, inputs);
    },
  };

  /** Ends what is under way. */
  stop(): void {
    this.run?.stop();
  }

  /** Starts the engine unless one with these options runs. */
  private async start({ threads = Math.min(2, platform.cores()), deterministic = false }: EngineOptions): Promise<void> {
    const wanted = JSON.stringify({ threads, deterministic });
    if (wanted === this.running) return;
    await init({ threads, deterministic });
    this.running = wanted;
    this.trained = null;
  }

  private async load({ train, test }: Calls["load"]["args"]): Promise<LoadedData> {
    const [first, second] = await Promise.all([readSource(train), test && readSource(test)]);
    const id = ++this.loaded;
    this.sets.set(id, { train: first, test: second });
    return { id, train: infoOf(first), test: second && infoOf(second) };
  }

  private find(who: string, data: number): TrainSets {
    const sets = this.sets.get(data);
    if (sets === undefined)
      throw new OptionError(`${who}: expected data that load returned and release has not taken, got id ${data}.`);
    return sets;
  }

  private async train(plan: Calls["train"]["args"]["plan"], run: Run): Promise<TrainResult> {
    const send = (value: unknown) => this.reply({ type: "event", id: run.id, event: { type: "message", value } });
    const { engine, make } = checkPlan(plan, { sets: run.sets, send }, this.recipes);
    await this.start({ ...this.options, ...engine });
    this.trained?.model.dispose();
    this.trained = null;
    const training = await make();
    const { set, scale, shift, flatten } = training.fit.train;
    this.trained = { model: training.model, form: { shape: set.shape, scale, shift, flatten } };
    try {
      return await this.fit(training, run);
    } finally {
      (training.fit.optimizer as Partial<Disposable>)[Symbol.dispose]?.();
    }
  }

  private async fit({ model, fit: options, test = null }: CustomTraining, run: Run): Promise<TrainResult> {
    const started = { threads: currentBackend().threads, parameters: model.numParameters() };
    await run.turn();
    const history = await fit(model, {
      ...options,
      signal: run.signal,
      turn: () => run.turn(),
      onEvent: (event) => {
        options.onEvent?.(event);
        run.tell(event, started);
      },
    });
    return { history, test: test && evaluate(model, test, options.loss), state: stateArrays(model) };
  }
}

/** The arrays in an answer that can move to the page instead of being copied. */
function arraysIn(type: CallType, value: unknown): ArrayBuffer[] {
  if (type === "predict") return buffersOf([(value as Calls["predict"]["result"]).values]);
  if (type === "train") return buffersOf([...(value as TrainResult).state.values()].map(({ values }) => values));
  return [];
}

/**
 * Trains in this worker for a page that called `connectTrainer`. Call it at the top of the worker's module, before any `await`:
 * messages that come earlier are lost.
 *
 * @param recipes trainings that a configuration cannot describe, by name (default none)
 * @param endpoint where messages come from; in Node `parentPort` of node:worker_threads (default: the global scope of a
 *   browser's worker)
 * @example
 * serveTraining({ mine: (settings, { sets }) => ({ model, fit: { train, validation, optimizer, epochs: 5 } }) });
 */
export function serveTraining(recipes: Readonly<Record<string, Recipe>> = {}, endpoint?: Endpoint): void {
  const scope = endpoint ?? (globalThis as unknown as Endpoint);
  const reply = (message: Reply, transfer: ArrayBuffer[] = []) => scope.postMessage(message, transfer);
  const host = new Host(reply, recipes);
  onClose(scope, () => host.stop());
  onMessage(scope, async (message) => {
    const { type, id, args } = message as Request;
    try {
      const value = await (host.handlers[type] as Handler<CallType>)(args, id);
      reply({ type: "answer", id, value }, arraysIn(type, value));
    } catch (error) {
      reply({ type: "failure", id, error: errorData(error) });
    }
  });
}
