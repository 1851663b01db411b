import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collectGarbage } from "../../src/cli/collect-garbage.js";
import { loadPlanData } from "../../src/cli/experiment-data.js";
import { setWarningHandler } from "../../src/core/warnings.js";
import { parseExperimentRecord } from "../../src/experiments/experiment-record.js";
import { runJob } from "../../src/experiments/job.js";
import type { JobContext, Json, Plan } from "../../src/experiments/protocol.js";
import { type JobStore, type JobWorker, runExperiment } from "../../src/experiments/runner.js";
import { findExperiment, suite } from "../../src/experiments/suite/index.js";
import { makeWorld, run as runCommand } from "../cli/world.js";

const quick: Plan = { mode: "quick", seeds: [100, 101], data: "mnist" };
const full: Plan = { mode: "full", seeds: [100, 101, 102, 103, 104], data: "mnist" };
const nowhere: JobStore = { read: async () => undefined, write: async () => undefined };
const versions = { evenkeel: "1", node: "2", deterministic: true };

let sets: JobContext;
let restore: Parameters<typeof setWarningHandler>[0];
const here: JobWorker = {
  async run(id, job) {
    const result = await runJob(findExperiment(id)!, job, sets);
    await collectGarbage();
    return result;
  },
};
beforeAll(async () => {
  restore = setWarningHandler(() => undefined);
  sets = await loadPlanData(quick);
});
afterAll(() => void setWarningHandler(restore));

describe("the suite", () => {
  test("has ids of its own and says everything that a report needs", () => {
    expect(new Set(suite.map(({ id }) => id)).size).toBe(suite.length);
    for (const { id, ...rest } of suite) {
      expect(id).toMatch(/^E\d+$/);
      for (const key of ["title", "claim", "source", "refutedBy", "setting", "shows", "doesNotShow", "exploratory"] as const) {
        expect(rest[key].length, `${id} ${key}`).toBeGreaterThan(3);
      }
    }
  });

  test.each(suite.map((experiment) => [experiment.id, experiment] as const))(
    "%s names each job once, by what can be a file, for both modes",
    (_, experiment) => {
      for (const plan of [quick, full]) {
        const keys = experiment.jobs(plan, new Map()).map(({ key }) => key);
        expect(new Set(keys).size).toBe(keys.length);
        for (const key of keys) expect(key).toMatch(/^[\w.-]+$/);
      }
    },
  );

  test.each(suite.map((experiment) => [experiment.id, experiment] as const))(
    "%s runs quickly to a valid record without a verdict, and a job repeats itself exactly",
    async (_, experiment) => {
      const found = new Map<string, Json>();
      const store: JobStore = { ...nowhere, write: async ({ key }, result) => void found.set(key, result) };
      const record = await runExperiment(experiment, quick, { workers: [here], store, versions });
      expect(parseExperimentRecord(JSON.stringify(record), "record")).toEqual(record);
      expect(record!.verdict).toBeNull();
      expect(record!.metrics.filter(({ role }) => role === "primary").length).toBeLessThanOrEqual(1);
      expect(record!.figures.length).toBeGreaterThan(0);
      const first = experiment.jobs(quick, new Map())[0]!;
      expect(await here.run(experiment.id, first, quick)).toEqual(found.get(first.key));
    },
    60_000,
  );
});

describe("evenkeel run", () => {
  const workers = { startWorkers: async () => ({ workers: [here], stop: async () => undefined }) };

  test("writes the record, prints the table, and goes on with --resume where jobs are kept", async () => {
    const world = makeWorld();
    expect(await runCommand(world, ["run", "e20", "--quick", "--out", "o"], workers)).toBe(0);
    const record = parseExperimentRecord(readFileSync(join(world.folder, "o/E20-mnist-quick/record.json"), "utf8"), "record");
    expect(record.plan).toEqual({ mode: "quick", seeds: [100, 101], data: "mnist" });
    expect(world.out()).toMatch(/E20 {2}How wrong is a mini-batch\? +quick +n = 2/);
    const broken = {
      startWorkers: async () => ({ workers: [{ run: () => Promise.reject(new Error("no")) }], stop: async () => undefined }),
    };
    expect(await runCommand(world, ["run", "E20", "--quick", "--out", "o", "--resume"], broken)).toBe(0);
    expect(world.out()).toContain("seed-100 (kept)");
    expect(await runCommand(world, ["run", "E20", "--quick", "--out", "o"], broken)).toBe(1);
    expect(world.err()).toContain('E20: job "seed-100" failed: no');
    world.remove();
  }, 30_000);

  test("refuses unknown experiments and says which there are", async () => {
    const world = makeWorld();
    expect(await runCommand(world, ["run", "E99"], workers)).toBe(2);
    expect(world.err()).toContain('unknown experiment "E99"; there are E0, E1,');
    world.remove();
  });

  test("`experiments` lists claims and last verdicts", async () => {
    const world = makeWorld();
    expect(await runCommand(world, ["experiments"])).toBe(0);
    expect(world.out()).toContain("E4  Weight decay in disguise (not run yet)");
    world.remove();
  });
});
