import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { packageVersion } from "../../src/cli/version.js";
import { makeWorld, run, type World } from "./world.js";

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

const WRONG: [string, string][] = [
  ["compare --epochs 0", "Expected a whole number from 1 to 100000."],
  ["compare --epochs 1.5", "Expected a whole number"],
  ["compare --epochs", "argument missing"],
  ["compare --lr NaN", "Expected a number above 0"],
  ["compare --lr 0", "Expected a number above 0"],
  ["compare --lr -1", "Expected a number above 0"],
  ["compare --lr 1e999", "Expected a number above 0"],
  ["compare --batch 1", "Expected a whole number from 2"],
  ["compare --seed -3", "Expected a whole number from 0"],
  ["compare --hidden a,b", "such as 64,128"],
  ["compare --hidden 64,", "such as 64,128"],
  ["compare --hidden 0", "such as 64,128"],
  ["compare --data cifar", "Allowed choices are mnist, fashion."],
  ["compare --activation rely", "Allowed choices are relu, sigmoid"],
  ["compare --threads 0", "Expected a whole number from 1 to 64."],
  ["compare --out=", "Expected the path of a folder."],
  ["compare --nonsense", "unknown option '--nonsense'"],
  ["compare --epoch 3", "(Did you mean --epochs?)"],
  ["compare surplus", "too many arguments"],
  ["compair", "unknown command 'compair'"],
  ["--nonsense", "unknown option '--nonsense'"],
];

describe("wrong usage exits with 2, one line on stderr, and does nothing", () => {
  test.each(WRONG)("evenkeel %s", async (line, phrase) => {
    expect(await run(world, line.split(" "))).toBe(2);
    expect(world.err()).toMatch(/^evenkeel: [^\n]+ See evenkeel (compare )?--help\.\n$/);
    expect(world.err()).toContain(phrase);
    expect(world.out()).toBe("");
    expect(existsSync(join(world.folder, "runs"))).toBe(false);
  });

  test("what a user typed cannot break the line or reach the terminal as an escape", async () => {
    expect(await run(world, ["compare", "--lr", "1\n\u001b[31m2"])).toBe(2);
    expect(world.err().split("\n").length).toBe(2);
    expect(world.err()).not.toContain("\u001b");
  });

  test("--debug adds nothing to it", async () => {
    expect(await run(world, ["compare", "--debug", "--epochs", "0"])).toBe(2);
    expect(world.err().split("\n").length).toBe(2);
  });
});

describe("help and version", () => {
  test("--version prints the version alone and exits with 0", async () => {
    expect(await run(world, ["--version"])).toBe(0);
    expect(world.out()).toBe("1.2.3\n");
  });

  test("the version is the one in package.json", () => {
    expect(packageVersion()).toBe(JSON.parse(readFileSync("package.json", "utf8")).version);
  });

  test.each([[["--help"]], [[]], [["--debug"]]])("evenkeel %j prints the commands and exits with 0", async (args) => {
    expect(await run(world, args)).toBe(0);
    expect(world.out()).toContain("compare [options]");
    expect(world.err()).toBe("");
  });

  test("compare --help names every option within 100 columns", async () => {
    expect(await run(world, ["compare", "--help"])).toBe(0);
    const names = "epochs lr batch seed data data-dir hidden activation threads out json quiet no-report no-deterministic debug";
    for (const name of names.split(" ")) expect(world.out()).toContain(`--${name}`);
    expect(
      Math.max(
        ...world
          .out()
          .split("\n")
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(100);
  });
});
