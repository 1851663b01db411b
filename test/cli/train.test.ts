import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadModelFile } from "../../src/cli/load-model.js";
import { makeWorld, run, type World } from "./world.js";

const config = {
  data: { type: "moons", count: 200 },
  network: [{ type: "linear", out: 9 }, { type: "batchNorm" }, { type: "relu" }, { type: "linear", out: 2 }],
  optimizer: { type: "adam", lr: 0.02 },
  schedule: { type: "cosine", warmUp: 3 },
  epochs: 6,
  batchSize: 16,
  threads: 1,
};

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

function write(value: unknown): void {
  writeFileSync(join(world.folder, "net.json"), typeof value === "string" ? value : JSON.stringify(value));
}

describe("evenkeel train", () => {
  test("trains, prints a line an epoch and a table, and writes the history", async () => {
    write(config);
    expect(await run(world, ["train", "net.json", "--out", "result"])).toBe(0);
    expect(world.err()).toBe("");
    expect(world.out().match(/^epoch \d\/6 {2}loss \d\.\d+ {2}validation/gm)).toHaveLength(6);
    expect(world.out()).toContain("finished after 6 epochs");
    const record = JSON.parse(readFileSync(join(world.folder, "result/history.json"), "utf8"));
    expect(record.history.epochs).toHaveLength(6);
    expect(record.history.epochs[5].trainLoss).toBeLessThan(record.history.epochs[0].trainLoss);
    expect(record.test.accuracy).toBeGreaterThan(0.8);
    const { model, net } = await loadModelFile("result/model.safetensors", { cwd: world.folder });
    expect(model.numParameters()).toBe(2 * 9 + 9 + 2 * 9 + 2 * 9 + 2);
    expect(JSON.parse(readFileSync(join(world.folder, "result/net.json"), "utf8"))).toEqual(net);
  });

  test("--json prints one object and nothing else to stdout", async () => {
    write({ ...config, epochs: 1 });
    expect(await run(world, ["train", "net.json", "--json", "--out", "result"])).toBe(0);
    expect(JSON.parse(world.out())).toMatchObject({ command: "train", outcome: "finished" });
  });

  test("Ctrl-C ends it with what was done so far written, and exit code 130", async () => {
    write({ ...config, epochs: 100_000 });
    const running = run(world, ["train", "net.json", "--out", "result"]);
    const timer = setInterval(() => world.out().includes("epoch") && world.interrupt(), 5);
    expect(await running).toBe(130);
    clearInterval(timer);
    const { history } = JSON.parse(readFileSync(join(world.folder, "result/history.json"), "utf8"));
    expect(history.outcome).toBe("interrupted");
    expect(history.epochs.length).toBeGreaterThan(0);
  });

  test("a diverged run is written, and is a failed run", async () => {
    const network = [{ type: "linear", out: 9 }, { type: "relu" }, { type: "linear", out: 2 }];
    write({ ...config, network, optimizer: { type: "sgd", lr: 1e30 }, schedule: undefined });
    expect(await run(world, ["train", "net.json", "--out", "result"])).toBe(1);
    expect(JSON.parse(readFileSync(join(world.folder, "result/history.json"), "utf8")).history.outcome).toBe("diverged");
  });

  test.each([
    ["a missing file", undefined, /^evenkeel: train: could not read net\.json \(ENOENT\)\. See evenkeel train --help\.\n$/],
    ["broken JSON", "{", /^evenkeel: net\.json: expected JSON, got text that does not parse .*\n$/],
    [
      "an unknown layer",
      { ...config, network: [{ type: "dense" }] },
      /^evenkeel: net\.json: at network\[0\]\.type: Invalid discriminator value\. Expected .linear. .*\n$/,
    ],
  ])("%s is one line and exit code 2", async (_, value, message) => {
    if (value !== undefined) write(value);
    expect(await run(world, ["train", "net.json"])).toBe(2);
    expect(world.err()).toMatch(message);
    expect(world.err().trimEnd()).not.toContain("\n");
    expect(existsSync(join(world.folder, "runs"))).toBe(false);
  });

  test.each([
    [
      "a network that does not fit",
      { ...config, network: [{ type: "conv2d", out: 3, kernel: 2 }] },
      "network[0]: conv2d needs images",
    ],
    [
      "a wrong number of outputs",
      { ...config, network: [{ type: "linear", out: 3 }] },
      "network: expected 2 outputs per example",
    ],
    ["data that is not there", { ...config, data: { type: "csv", file: "none.csv" } }, "none.csv"],
  ])("%s is one line, exit code 1, and leaves no folder behind", async (_, value, message) => {
    write(value);
    expect(await run(world, ["train", "net.json"])).toBe(1);
    expect(world.err()).toContain(message);
    expect(world.err().trimEnd()).not.toContain("\n");
    expect(readdirSync(world.folder)).toEqual(["net.json"]);
  });

  test("a table from a CSV file beside the configuration is learned", async () => {
    const rows = Array.from({ length: 80 }, (_, i) => `${i % 10},${(i * 7) % 13},${i % 10 < 5 ? "low" : "high"}`);
    writeFileSync(join(world.folder, "table.csv"), `a,b,label\n${rows.join("\n")}\n`);
    write({ ...config, data: { type: "csv", file: "table.csv", label: "label" }, epochs: 20 });
    expect(await run(world, ["train", "net.json", "--out", "result"])).toBe(0);
    const { history } = JSON.parse(readFileSync(join(world.folder, "result/history.json"), "utf8"));
    expect(history.epochs.at(-1).trainLoss).toBeLessThan(0.2);
  });
});
