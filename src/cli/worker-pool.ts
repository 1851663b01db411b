import { Worker } from "node:worker_threads";
import type { Job, Json, Plan } from "../experiments/protocol.js";
import type { JobWorker } from "../experiments/runner.js";
import type { JobRequest } from "./experiment-worker.js";

type Answer = { result: Json } | { failure: string };

/** Threads that run jobs. */
export interface WorkerPool {
  readonly workers: readonly JobWorker[];
  /** Ends all threads at once; jobs that run are lost. */
  stop(): Promise<void>;
}

/** Starts `count` threads; each loads the data when its first job asks for it. */
export function startWorkers(count: number): WorkerPool {
  const threads = Array.from({ length: count }, () => new Thread());
  return { workers: threads, stop: async () => void (await Promise.all(threads.map((thread) => thread.stop()))) };
}

class Thread implements JobWorker {
  private readonly worker = new Worker(new URL("./cli-worker.js", import.meta.url));
  private waiting: { resolve: (result: Json) => void; reject: (error: Error) => void } | null = null;
  private ended: Error | null = null;

  constructor() {
    this.worker.on("message", (answer: Answer) => {
      const waiting = this.waiting;
      this.waiting = null;
      if ("result" in answer) waiting?.resolve(answer.result);
      else waiting?.reject(new Error(answer.failure));
    });
    this.worker.on("error", (error: Error) => this.end(error));
    this.worker.on("exit", (code) => this.end(new Error(`its thread ended with code ${code}`)));
  }

  private end(error: Error): void {
    this.ended ??= error;
    this.waiting?.reject(this.ended);
    this.waiting = null;
  }

  run(experiment: string, job: Job, plan: Plan): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (this.ended !== null) return reject(this.ended);
      this.waiting = { resolve, reject };
      this.worker.postMessage({ experiment, job, plan } satisfies JobRequest);
    });
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}
