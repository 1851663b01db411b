// Runs an experiment: its jobs on whoever takes them, what they found kept as soon as it is there, a record at the end.
import { TrainingError } from "../core/errors.js";
import type { ExperimentRecord } from "./experiment-record.js";
import { recordOf } from "./experiment-record.js";
import type { Experiment, Job, Json, Plan, Results } from "./protocol.js";

/** Takes jobs, one at a time. */
export interface JobWorker {
  run(experiment: string, job: Job, plan: Plan): Promise<Json>;
}

/** Keeps what jobs found, so that a run that was killed goes on where it was. */
export interface JobStore {
  read(job: Job): Promise<Json | undefined>;
  write(job: Job, result: Json): Promise<void>;
}

/** What a running experiment tells. */
export interface JobProgress {
  experiment: string;
  /** Jobs done, and jobs known so far: tuning may name more. */
  done: number;
  known: number;
  /** The job that has just ended, and whether it was found in the store. */
  key: string;
  stored: boolean;
}

export interface RunOptions {
  workers: readonly JobWorker[];
  store: JobStore;
  versions: ExperimentRecord["versions"];
  onProgress?: (progress: JobProgress) => void;
  signal?: AbortSignal;
}

/**
 * Runs what is not yet done and returns the record, or null if it was interrupted; what is done stays in the store.
 *
 * @throws TrainingError naming the job that failed; the jobs that run at the same time are waited for and kept
 */
export async function runExperiment(experiment: Experiment, plan: Plan, options: RunOptions): Promise<ExperimentRecord | null> {
  const started = new Date();
  const done = new Map<string, Json>();
  for (;;) {
    const jobs = experiment.jobs(plan, done);
    const open = jobs.filter(({ key }) => !done.has(key));
    if (open.length === 0) break;
    await runJobs(experiment, plan, { open, known: jobs.length, done }, options);
    if (options.signal?.aborted) return null;
  }
  const conclusion = experiment.conclude(plan, sorted(done));
  return recordOf(experiment, plan, conclusion, { started, finished: new Date(), jobs: done.size, versions: options.versions });
}

/** Results in the order of their keys: it must not matter which job ended first. */
function sorted(done: ReadonlyMap<string, Json>): Results {
  return new Map([...done].sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface Open {
  open: readonly Job[];
  known: number;
  done: Map<string, Json>;
}

async function runJobs(experiment: Experiment, plan: Plan, { open, known, done }: Open, options: RunOptions): Promise<void> {
  const { workers, store, signal, onProgress } = options;
  const queue = [...open];
  let failure: { key: string; cause: unknown } | null = null;
  const tell = (key: string, stored: boolean) => onProgress?.({ experiment: experiment.id, done: done.size, known, key, stored });
  const work = async (worker: JobWorker) => {
    for (let job = queue.shift(); job !== undefined && failure === null && !signal?.aborted; job = queue.shift()) {
      try {
        const before = await store.read(job);
        const result = before ?? (await worker.run(experiment.id, job, plan));
        if (before === undefined) await store.write(job, result);
        done.set(job.key, result);
        tell(job.key, before !== undefined);
      } catch (cause) {
        failure ??= { key: job.key, cause };
      }
    }
  };
  await Promise.all(workers.map(work));
  if (failure !== null && !signal?.aborted) {
    const { key, cause } = failure as { key: string; cause: unknown };
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TrainingError(`${experiment.id}: job "${key}" failed: ${reason}`, { cause });
  }
}
