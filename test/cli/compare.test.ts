import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { warnOnce } from "../../src/core/warnings.js";
import { type CompareOptions, parseRecord } from "../../src/experiments/record.js";
import { fakeRecord } from "../report/fake-record.js";
import { fakeRun, makeWorld, run, type World } from "./world.js";

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** The options that the run was called with. */
async function optionsOf(args: readonly string[]): Promise<CompareOptions> {
  let seen: CompareOptions | undefined;
  const loadRun = async () => async (options: CompareOptions) => {
    seen = options;
    return { ...fakeRecord({ epochs: 1 }), config: options };
  };
  expect(await run(world, ["compare", "--out", "o", "--no-report", ...args], { loadRun })).toBe(0);
  if (!seen) throw new Error("the run was not called");
  return seen;
}

describe("evenkeel compare", () => {
  test("writes record and report, prints the table, and exits with 0", async () => {
    expect(await run(world, ["compare", "--epochs", "2", "--out", "here"])).toBe(0);
    const record = parseRecord(readFileSync(join(world.folder, "here/record.json"), "utf8"));
    expect(record.config.epochs).toBe(2);
    expect(readFileSync(join(world.folder, "here/report.html"), "utf8")).toContain("Training loss after 2 epochs");
    expect(world.out()).toMatch(/training loss +test accuracy +time +images\/s\nplain +\d/);
    expect(world.out()).toContain("report  here/report.html");
    expect(readdirSync(join(world.folder, "here")).sort()).toEqual(["record.json", "report.html"]);
    expect([world.err(), world.listeners()]).toEqual(["", 0]);
  });

  test("without --out writes into runs/compare-<time>, and never into an older run", async () => {
    const args = ["compare", "--epochs", "1", "--no-report", "--quiet"];
    const start = world.time;
    for (let i = 0; i < 2; i++) {
      world.time = start;
      expect(await run(world, args)).toBe(0);
    }
    expect(readdirSync(join(world.folder, "runs")).sort()).toEqual([
      "compare-2026-03-01T10-00-00",
      "compare-2026-03-01T10-00-00-2",
    ]);
  });

  test("has the article's settings as defaults", async () => {
    expect(await optionsOf([])).toMatchObject({
      epochs: 20,
      lr: 0.01,
      batch: 512,
      seed: 100,
      data: "mnist",
      hidden: [64, 128],
      activation: "relu",
      deterministic: true,
    });
  });

  test("passes every option on, folders from the working directory", async () => {
    const args =
      "--epochs 3 --lr 1e-2 --batch 64 --seed 0 --data fashion --data-dir d --hidden 5,6,7 --activation leaky-relu --threads 3";
    expect(await optionsOf([...args.split(" "), "--no-deterministic"])).toEqual({
      epochs: 3,
      lr: 0.01,
      batch: 64,
      seed: 0,
      data: "fashion",
      dataDir: join(world.folder, "d"),
      hidden: [5, 6, 7],
      activation: "leaky-relu",
      threads: 3,
      deterministic: false,
    });
  });

  test("--json prints one object to stdout and progress to stderr", async () => {
    expect(await run(world, ["compare", "--epochs", "1", "--out", "o", "--json"])).toBe(0);
    expect(world.out().trim().split("\n").length).toBe(1);
    const result = JSON.parse(world.out());
    expect(result.arms.map((arm: { name: string }) => arm.name)).toEqual(["plain", "batch-norm"]);
    expect(result).toMatchObject({ interrupted: false, files: { record: join(world.folder, "o/record.json") } });
    expect(world.err()).toContain("epoch 1/1");
  });

  test("--quiet prints the table alone, and --no-report writes the record alone", async () => {
    expect(await run(world, ["compare", "--epochs", "1", "--out", "o", "--quiet", "--no-report"])).toBe(0);
    expect(world.out()).not.toContain("epoch 1/1");
    expect(readdirSync(join(world.folder, "o"))).toEqual(["record.json"]);
  });

  test("shows a warning of the run beside the progress, and gives the handler back", async () => {
    const loadRun = async () => fakeRun(world, (event) => void (event.type === "start" && warnOnce("slow\nmachine")));
    expect(await run(world, ["compare", "--epochs", "1", "--out", "o"], { loadRun })).toBe(0);
    expect(world.out()).toContain("warning: slow machine\n");
  });
});

describe("Ctrl-C", () => {
  const stopAt =
    (step: number, times = 1) =>
    async () =>
      fakeRun(world, (event) => {
        if (event.type === "step" && event.step === step && event.arm === "batch-norm")
          for (let i = 0; i < times; i++) world.interrupt();
      });

  test("writes what was done, marked as interrupted, and exits with 130", async () => {
    expect(await run(world, ["compare", "--out", "o"], { loadRun: stopAt(37) })).toBe(130);
    const record = parseRecord(readFileSync(join(world.folder, "o/record.json"), "utf8"));
    expect([record.interrupted, record.arms[0]?.losses.length]).toEqual([true, 37]);
    expect(readFileSync(join(world.folder, "o/report.html"), "utf8")).toContain("stopped after 37 of 2,360 steps");
    expect(world.out()).toContain("interrupted: writing what was done so far");
    expect(world.listeners()).toBe(0);
  });

  test("a second time ends the process at once", async () => {
    await run(world, ["compare", "--out", "o", "--no-report"], { loadRun: stopAt(3, 2) });
    expect(world.exits).toEqual([130]);
  });
});

describe("a failed run", () => {
  const failing = (error: unknown) => ({ loadRun: async () => () => Promise.reject(error) });

  test("exits with 1 and one line, and leaves no empty folder behind", async () => {
    const error = new DataError("MNIST: expected 4 files in d, got none.\nGive --data-dir.");
    expect(await run(world, ["compare", "--out", "a/b"], failing(error))).toBe(1);
    expect(world.err()).toBe("evenkeel: MNIST: expected 4 files in d, got none. Give --data-dir.\n");
    expect(existsSync(join(world.folder, "a"))).toBe(false);
  });

  test("keeps a folder that was there, and what is in it", async () => {
    mkdirSync(join(world.folder, "a"));
    await run(world, ["compare", "--out", "a"], failing(new Error("x")));
    expect(existsSync(join(world.folder, "a"))).toBe(true);
  });

  test("shows the stack only with --debug, before or after the command", async () => {
    await run(world, ["compare", "--out", "a", "--debug"], failing(new Error("deep")));
    await run(world, ["--debug", "compare", "--out", "a"], failing(new Error("deep")));
    expect(world.err().match(/\n +at /g)?.length).toBeGreaterThan(1);
  });

  test("keeps the record if drawing the report fails", async () => {
    const loadReport = async () => () => {
      throw new Error("no ink");
    };
    expect(await run(world, ["compare", "--epochs", "1", "--out", "o"], { loadReport })).toBe(1);
    expect(readdirSync(join(world.folder, "o"))).toEqual(["record.json"]);
  });

  test("finds out before training that the folder cannot be written to", async () => {
    writeFileSync(join(world.folder, "file"), "");
    let trained = false;
    const loadRun = async () => {
      trained = true;
      return fakeRun(world);
    };
    expect(await run(world, ["compare", "--out", "file/below"], { loadRun })).toBe(1);
    expect(world.err()).toMatch(
      /^evenkeel: --out: expected a folder that can be written to, got .*file\/below \(ENOTDIR\)\. Choose another\.\n$/,
    );
    expect(trained).toBe(false);
  });

  test.runIf(existsSync("/proc/self"))("does not hang on a folder that nobody can make", async () => {
    expect(await run(world, ["compare", "--out", "/proc/evenkeel/below"])).toBe(1);
    expect(world.err()).toMatch(/\(ENOENT\)\. Choose another\.\n$/);
  });
});
