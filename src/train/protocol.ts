// What a page and the worker that trains for it say to each other: requests with a number, answers with the same number, and
// events of a training. All of it survives a structured clone.
import type { Evaluation } from "./evaluate.js";
import type { EpochSummary, History, Outcome } from "./fit.js";
import type { SetInfo, SetSource } from "./worker-data.js";
import type { StateArray } from "./worker-model.js";
import type { TrainPlan } from "./worker-recipes.js";

/** How the worker's engine runs; see `init`. */
export interface EngineOptions {
  /** Threads that compute (default: 2, or 1 on a machine with one core). One where memory cannot be shared with workers. */
  threads?: number;
  /** Plain SIMD only: the same bits on every machine (default false). */
  deterministic?: boolean;
}

/** What a page hears of a training, in order. */
export type TrainerEvent =
  | {
      type: "start";
      epochs: number;
      stepsPerEpoch: number;
      /** Threads that really compute: 1 on a page that is not cross-origin isolated. */
      threads: number;
      /** Number of values in all parameters. */
      parameters: number;
    }
  /** Steps since the last such event, counted from 1, and their losses. */
  | { type: "steps"; steps: number[]; losses: number[]; totalSteps: number }
  | ({ type: "epoch" } & EpochSummary)
  /** What a recipe sent. */
  | { type: "message"; value: unknown }
  | { type: "end"; outcome: Outcome };

export interface TrainResult {
  history: History;
  /** Of the test set; null without one. */
  test: Evaluation | null;
  /** Parameters and buffers under PyTorch's keys. */
  state: Map<string, StateArray>;
}

/** A data set that lies in the worker. */
export interface LoadedData {
  readonly id: number;
  readonly train: SetInfo;
  readonly test: SetInfo | null;
}

/** Every request: what it carries and what its answer does. */
export interface Calls {
  init: { args: EngineOptions; result: { threads: number } };
  load: { args: { train: SetSource; test: SetSource | null }; result: LoadedData };
  release: { args: { data: number }; result: null };
  train: { args: { plan: TrainPlan; data: number | null; every: number }; result: TrainResult };
  /** `run` is the number of the request that began the training; one that has ended is left alone. */
  control: { args: { run: number; action: "pause" | "resume" | "stop" }; result: null };
  predict: { args: { inputs: Uint8Array | Float32Array }; result: StateArray };
}

export type CallType = keyof Calls;
export type Request<K extends CallType = CallType> = { [T in K]: { type: T; id: number; args: Calls[T]["args"] } }[K];

export type Reply =
  | { type: "answer"; id: number; value: unknown }
  | { type: "failure"; id: number; error: ErrorData }
  | { type: "event"; id: number; event: TrainerEvent };

/** An error on its way through a message. */
export interface ErrorData {
  name: string;
  message: string;
  stack?: string;
}
