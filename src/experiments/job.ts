// Runs one job of an experiment in this thread.
import { init } from "../engine/current.js";
import type { Experiment, Job, JobContext, Json } from "./protocol.js";

/**
 * Starts a fresh engine and runs the job on it: one thread of the deterministic build, or float64. A fresh engine each time, so
 * that what a job finds does not depend on what ran before it.
 */
export async function runJob(experiment: Experiment, job: Job, context: JobContext): Promise<Json> {
  const { backend } = experiment;
  const which = typeof backend === "function" ? backend(job.params) : backend;
  await init(which === "reference" ? { backend: "reference" } : { deterministic: true, threads: 1 });
  const result = experiment.run(job.params, context);
  // What a file can hold: the same whether it comes from the job or from the file.
  return JSON.parse(JSON.stringify(result)) as Json;
}
