import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeExperiment } from "../report/fake-experiment.js";
import { makeWorld, run, type World } from "./world.js";

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

function put(name: string, text: string): void {
  mkdirSync(join(world.folder, "runs/experiments", name), { recursive: true });
  writeFileSync(join(world.folder, "runs/experiments", name, "record.json"), text);
}

describe("evenkeel report", () => {
  test("makes one page of the records below a folder, and says where", async () => {
    put("E2-mnist", JSON.stringify(fakeExperiment()));
    put("E3-mnist", JSON.stringify(fakeExperiment({ id: "E3" })));
    mkdirSync(join(world.folder, "runs/experiments/E4-mnist/jobs"), { recursive: true });
    expect(await run(world, ["report"])).toBe(0);
    expect(world.out()).toContain("report  runs/experiments/report.html (2 records)");
    expect(readFileSync(join(world.folder, "runs/experiments/report.html"), "utf8")).toContain('id="e3-mnist"');
  });

  test("writes where --out says, also into a folder that is not there yet", async () => {
    put("E2-mnist", JSON.stringify(fakeExperiment()));
    expect(await run(world, ["report", "runs/experiments", "--out", "a/b.html"])).toBe(0);
    expect(readFileSync(join(world.folder, "a/b.html"), "utf8")).toContain("How fast dare you go?");
  });

  test("goes on without records that it cannot read, names them, and ends with an error", async () => {
    put("E2-mnist", JSON.stringify(fakeExperiment()));
    put("E3-mnist", "{");
    put("E4-mnist", JSON.stringify({ ...fakeExperiment(), schemaVersion: 99 }));
    put("E5-mnist", JSON.stringify({ ...fakeExperiment(), metrics: 1 }));
    expect(await run(world, ["report"])).toBe(1);
    expect(world.out()).toContain("(1 record)");
    expect(world.err()).toContain("E3-mnist/record.json: expected a record as JSON");
    expect(world.err()).toContain("E4-mnist/record.json: expected schema version 1, got 99");
    expect(world.err()).toContain("E5-mnist/record.json: the record is damaged at metrics");
  });

  test("without a record says how to make some", async () => {
    expect(await run(world, ["report"])).toBe(1);
    expect(world.err()).toContain("no record in runs/experiments. `evenkeel run all --quick` makes some");
    put("E3-mnist", "{");
    expect(await run(world, ["report"])).toBe(1);
    expect(world.err()).toContain("no record that can be read");
  });
});
