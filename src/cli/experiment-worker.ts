// A thread that runs jobs of experiments, one at a time, as they are sent.
import { parentPort } from "node:worker_threads";
import { setWarningHandler } from "../core/warnings.js";
import { runJob } from "../experiments/job.js";
import type { Job, JobContext, Plan } from "../experiments/protocol.js";
import { findExperiment } from "../experiments/suite/index.js";
import { collectGarbage } from "./collect-garbage.js";
import { loadPlanData } from "./experiment-data.js";

export interface JobRequest {
  experiment: string;
  job: Job;
  plan: Plan;
}

// Experiments choose unusual settings on purpose, such as eps = 0.
setWarningHandler(() => undefined);

let loaded: { data: Plan["data"]; mode: Plan["mode"]; sets: JobContext } | null = null;

async function answer({ experiment, job, plan }: JobRequest) {
  const found = findExperiment(experiment);
  if (found === undefined) throw new Error(`there is no experiment ${experiment}`);
  if (loaded?.data !== plan.data || loaded.mode !== plan.mode) {
    loaded = { data: plan.data, mode: plan.mode, sets: await loadPlanData(plan) };
  }
  const result = await runJob(found, job, loaded.sets);
  await collectGarbage();
  return result;
}

parentPort?.on("message", (request: JobRequest) => {
  answer(request).then(
    (result) => parentPort?.postMessage({ result }),
    (error: unknown) => parentPort?.postMessage({ failure: error instanceof Error ? error.message : String(error) }),
  );
});
