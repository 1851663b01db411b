// What every experiment shares: how it is written down, its seeds and tuning, and how its jobs come to a verdict.
import type { ImageSet } from "../data/dataset.js";
import type { Figure } from "./figure.js";
import type { Interval, Verdict } from "./statistics.js";

/** Seeds of a full run. The thresholds were set after seeing seeds 0 to 2, so verdicts count on these only. */
export const SEEDS: readonly number[] = [100, 101, 102, 103, 104];
/** Seeds of a quick run, which shows the shape of a result and gives no verdict. */
export const QUICK_SEEDS: readonly number[] = [100, 101];
/** The seed of tuning runs, outside the reported ones. */
export const TUNING_SEED = 99;
/** Learning rates among which each arm's best is looked for. */
export const LEARNING_RATES: readonly number[] = [0.01, 0.03, 0.1, 0.3, 1, 3];
/** Training images; the rest of the 60,000 is the validation slice on which learning rates are chosen. */
export const TRAINING_IMAGES = 55_000;
/** Test images on which a run is looked at on its way; its end is judged on all of them. */
export const WATCHED_IMAGES = 2_000;

/** JSON, so that jobs and what they find survive the death of the process. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What is to be run. */
export interface Plan {
  mode: "full" | "quick";
  seeds: readonly number[];
  data: "mnist" | "fashion";
  /** The number of steps of the paper, in experiments that take fewer otherwise. */
  paper?: boolean;
}

/** One independent run. Its key names it among the experiment's jobs and is the name of its file. */
export interface Job<P extends Json = Json> {
  key: string;
  params: P;
}

/** What a job may use. The backend has been started for it: deterministic, one thread, or float64. */
export interface JobContext {
  train: ImageSet;
  test: ImageSet;
}

/** What jobs found so far, by key. */
export type Results<R extends Json = Json> = ReadonlyMap<string, R>;

/** A number with its interval. The primary one decides; exploratory ones are shown and decide nothing. */
export interface Metric extends Interval {
  name: string;
  unit: string;
  role: "primary" | "control" | "exploratory";
  /** What it must be, in words; absent where nothing was demanded. */
  criterion?: string;
  verdict?: Verdict;
  /** One value of each seed. */
  values: readonly number[];
}

/** What a finished experiment says. */
export interface Conclusion {
  metrics: readonly Metric[];
  /** null where the experiment reports and judges nothing. */
  verdict: Verdict | null;
  /** What came out, in a sentence. */
  finding: string;
  figures: readonly Figure[];
}

/** An experiment: a claim, and the runs that can refute it. One file each. */
export interface Experiment<P extends Json = Json, R extends Json = Json> {
  /** "E2". */
  id: string;
  title: string;
  /** The claim in plain words. */
  claim: string;
  /** Who claims it: paper and section. */
  source: string;
  /** What would refute it: the criterion of the primary metric, and what FAIL would mean. */
  refutedBy: string;
  /** Networks, rules and sizes of the runs, and the number of training samples in all. */
  setting: string;
  /** What the result does and does not show. */
  shows: string;
  doesNotShow: string;
  /** Formulas in TeX. */
  formulas: readonly string[];
  /** What a trial on seeds 0 to 2 gave, in another implementation; context, never evidence. */
  exploratory: string;
  /** What jobs run on: the deterministic kernels, or float64; for each job its own where a function. */
  backend: "wasm" | "reference" | ((params: P) => "wasm" | "reference");
  /** Whether `Plan.paper` makes a difference (default false). */
  hasPaperLength?: boolean;
  /** Changes of settings after runs were seen, with date and reason. */
  changes: readonly string[];
  /** The jobs that can be named with what is known: those of tuning first, then those that depend on their results. */
  jobs(plan: Plan, done: Results<R>): Job<P>[];
  /** Runs one job. The same parameters give the same result, bit for bit. */
  run(params: P, context: JobContext): R;
  conclude(plan: Plan, done: Results<R>): Conclusion;
}

/** Keeps the types of an experiment's jobs and results together while it is written, and forgets them afterwards. */
export function defineExperiment<P extends Json, R extends Json>(experiment: Experiment<P, R>): Experiment {
  return experiment as unknown as Experiment;
}
