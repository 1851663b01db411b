import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { JobFolder } from "../../src/cli/job-folder.js";
import { type ExperimentRecord, parseExperimentRecord } from "../../src/experiments/experiment-record.js";
import { defineExperiment, type Job, type Json, type Plan } from "../../src/experiments/protocol.js";
import { type JobStore, type JobWorker, runExperiment } from "../../src/experiments/runner.js";
import { above, interval } from "../../src/experiments/statistics.js";

type Params = { seed: number; rate: number };

/** Two stages: the best of three rates is found first, then five runs use it. */
const staged = defineExperiment<Params, number>({
  id: "T1",
  title: "A test",
  claim: "c",
  source: "s",
  refutedBy: "r",
  setting: "t",
  shows: "a",
  doesNotShow: "b",
  formulas: [],
  exploratory: "none",
  changes: [],
  backend: "wasm",
  jobs({ seeds }, done) {
    const tuning = [1, 2, 3].map((rate) => ({ key: `tune-${rate}`, params: { seed: 99, rate } }));
    const found = tuning.map(({ key }) => done.get(key));
    if (found.some((value) => value === undefined)) return tuning;
    const rate = 1 + found.indexOf(Math.max(...(found as number[])));
    return [...tuning, ...seeds.map((seed) => ({ key: `run-${seed}`, params: { seed, rate } }))];
  },
  run: () => 0,
  conclude({ seeds }, done) {
    const values = seeds.map((seed) => done.get(`run-${seed}`)!);
    const result = interval(values);
    return {
      metrics: [{ ...result, name: "value", unit: "", role: "primary", verdict: above(result, 1), values }],
      verdict: above(result, 1),
      finding: [...done.keys()].join(" "),
      figures: [],
    };
  },
});

const plan: Plan = { mode: "full", seeds: [100, 101, 102, 103, 104], data: "mnist" };
const versions = { evenkeel: "1", node: "2", deterministic: true };

/** Computes seed · rate after a while that differs from job to job. */
function workers(count: number, seen: string[], fail?: string): JobWorker[] {
  return Array.from({ length: count }, (_, w) => ({
    async run(_experiment: string, { key, params }: Job): Promise<Json> {
      if (key === fail) throw new Error("it broke");
      const { seed, rate } = params as Params;
      for (let i = 0; i < (seed * 7 + w) % 5; i++) await Promise.resolve();
      seen.push(key);
      return seed * rate;
    },
  }));
}

class MemoryStore implements JobStore {
  readonly kept = new Map<string, Json>();
  async read({ key }: Job) {
    return this.kept.get(key);
  }
  async write({ key }: Job, result: Json) {
    this.kept.set(key, result);
  }
}

const timeless = ({ started: _s, finished: _f, ...rest }: ExperimentRecord) => rest;

describe("runExperiment", () => {
  test("runs the jobs of the second stage with what the first found", async () => {
    const seen: string[] = [];
    const record = await runExperiment(staged, plan, { workers: workers(1, seen), store: new MemoryStore(), versions });
    expect(seen).toEqual(["tune-1", "tune-2", "tune-3", "run-100", "run-101", "run-102", "run-103", "run-104"]);
    expect(record!.metrics[0]!.values).toEqual([300, 303, 306, 309, 312]);
    expect([record!.verdict, record!.jobs]).toEqual(["PASS", 8]);
  });

  test("gives the same record with 1, 2 and 5 workers", async () => {
    const records = [];
    for (const count of [1, 2, 5]) {
      records.push(await runExperiment(staged, plan, { workers: workers(count, []), store: new MemoryStore(), versions }));
    }
    expect(timeless(records[1]!)).toEqual(timeless(records[0]!));
    expect(timeless(records[2]!)).toEqual(timeless(records[0]!));
  });

  test("a job that fails names itself; what is done is kept, and the next run does the rest only", async () => {
    const store = new MemoryStore();
    const broken = runExperiment(staged, plan, { workers: workers(1, [], "run-102"), store, versions });
    await expect(broken).rejects.toThrow('T1: job "run-102" failed: it broke');
    expect([...store.kept.keys()]).toEqual(["tune-1", "tune-2", "tune-3", "run-100", "run-101"]);
    const seen: string[] = [];
    const resumed = await runExperiment(staged, plan, { workers: workers(1, seen), store, versions });
    expect(seen).toEqual(["run-102", "run-103", "run-104"]);
    const whole = await runExperiment(staged, plan, { workers: workers(1, []), store: new MemoryStore(), versions });
    expect(timeless(resumed!)).toEqual(timeless(whole!));
  });

  test("an abort ends it without a record, and keeps what is done", async () => {
    const store = new MemoryStore();
    const controller = new AbortController();
    const record = await runExperiment(staged, plan, {
      workers: workers(1, []),
      store,
      versions,
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === 4) controller.abort();
      },
    });
    expect([record, store.kept.size]).toEqual([null, 4]);
  });

  test("a quick run has no verdicts", async () => {
    const quick: Plan = { ...plan, mode: "quick" };
    const record = await runExperiment(staged, quick, { workers: workers(1, []), store: new MemoryStore(), versions });
    expect([record!.verdict, record!.metrics[0]!.verdict]).toEqual([null, undefined]);
  });
});

describe("records", () => {
  test("are read as they were written", async () => {
    const record = (await runExperiment(staged, plan, { workers: workers(1, []), store: new MemoryStore(), versions }))!;
    expect(parseExperimentRecord(JSON.stringify(record), "r.json")).toEqual(record);
  });

  test("of another version, of another kind, damaged or no JSON are refused by name and place", async () => {
    const record = (await runExperiment(staged, plan, { workers: workers(1, []), store: new MemoryStore(), versions }))!;
    const read = (change: object) => () => parseExperimentRecord(JSON.stringify({ ...record, ...change }), "r.json");
    expect(read({ schemaVersion: 2 })).toThrow("r.json: expected schema version 1, got 2.");
    expect(read({ kind: "compare" })).toThrow('r.json: expected a record of kind "experiment", got "compare".');
    expect(read({ verdict: "MAYBE" })).toThrow("r.json: the record is damaged at verdict");
    expect(() => parseExperimentRecord("{", "r.json")).toThrow("r.json: expected a record as JSON");
    expect(() => parseExperimentRecord("null", "r.json")).toThrow('kind "experiment", got none');
  });
});

describe("the folder of jobs", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "evenkeel-jobs-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const job: Job = { key: "a", params: { seed: 1 } };

  test("gives back what was written, and nothing for other parameters or another version", async () => {
    const store = await JobFolder.open(folder, "1", false);
    await store.write(job, { loss: [1, null] });
    expect(await store.read(job)).toEqual({ loss: [1, null] });
    expect(await store.read({ key: "a", params: { seed: 2 } })).toBeUndefined();
    expect(await store.read({ key: "b", params: { seed: 1 } })).toBeUndefined();
    expect(await (await JobFolder.open(folder, "2", false)).read(job)).toBeUndefined();
    expect(readdirSync(folder)).toEqual(["a.json"]);
  });

  test("takes a torn file for none", async () => {
    const store = await JobFolder.open(folder, "1", false);
    await store.write(job, 5);
    writeFileSync(join(folder, "a.json"), '{"version":"1","par');
    expect(await store.read(job)).toBeUndefined();
  });

  test("is emptied by a fresh start", async () => {
    await (await JobFolder.open(folder, "1", false)).write(job, 5);
    expect(await (await JobFolder.open(folder, "1", true)).read(job)).toBeUndefined();
  });
});
