import { describe, expect, test } from "vitest";
import { barLine } from "../../src/cli/progress-bars.js";
import { formatTable } from "../../src/cli/table.js";
import { clock, timeLeft } from "../../src/cli/time.js";
import { makeWorld, run } from "./world.js";

const plainText = (_arm: string, text: string) => text;
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are escapes
const COLOUR = /\u001b\[3[34]m/;

async function outputOf(options: Parameters<typeof makeWorld>[0], args: string[] = []): Promise<string> {
  const world = makeWorld(options);
  try {
    expect(await run(world, ["compare", "--epochs", "2", "--out", "o", "--no-report", ...args])).toBe(0);
    return world.out();
  } finally {
    world.remove();
  }
}

describe("progress", () => {
  test("is one plain line per epoch with both losses where stdout is no terminal", async () => {
    const out = await outputOf({});
    expect(out).toMatch(
      /^epoch 1\/2 {2}plain loss 2\.\d+ test \d+\.\d+% {2}batch norm loss \d\.\d+ test \d+\.\d+% {2}0:01 elapsed, 0:01 left$/m,
    );
    expect(out).toMatch(/^epoch 2\/2 .* 0:00 left$/m);
    expect(out).not.toContain("\u001b");
  });

  test("is a bar per arm with loss, speed and time left on a terminal, cursor given back", async () => {
    const out = await outputOf({ tty: true });
    expect(out).toMatch(/█+.* {2}100% {2}loss \d\.\d+ .*0:00 left {2}epoch 2\/2 {3}73,100 images\/s/);
    expect(out).toContain("56,200 images/s");
    expect(out).toMatch(COLOUR);
    expect(out.lastIndexOf("\u001b[?25h")).toBeGreaterThan(out.lastIndexOf("\u001b[?25l"));
  });

  test("takes 80 columns where a terminal says it has none", async () => {
    expect(await outputOf({ tty: true, columns: 0 })).toContain("0:00 left  epoch 2/2");
  });

  test("has no colour with NO_COLOR, and no bars on a dumb terminal", async () => {
    const bars = await outputOf({ tty: true, env: { NO_COLOR: "1" } });
    expect(bars).toContain("█");
    expect(bars).not.toMatch(COLOUR);
    expect(await outputOf({ tty: true, env: { TERM: "dumb" } })).not.toContain("\u001b");
  });

  test.each([30, 40, 60, 80, 100, 200])("a bar never wraps: at %i columns it is shorter than the line", (columns) => {
    const payload = { arm: "batch-norm", epoch: 20, epochs: 20, loss: 0.123, rate: 56200, left: 3_725_000 } as const;
    const line = barLine({ value: 1180, total: 2360 }, payload, columns, plainText);
    expect(line.length).toBeLessThan(columns);
    expect(line).toContain(" 50%");
  });

  test("the bar of a diverged or not yet started arm shows a dash", () => {
    const payload = { arm: "plain", epoch: 1, epochs: 1, loss: null, rate: null, left: null } as const;
    expect(barLine({ value: 0, total: 118 }, payload, 100, plainText)).toMatch(/ 0% {2}loss – /);
  });
});

describe("numbers of the terminal", () => {
  test("clock shows minutes and seconds, and hours if there are any", () => {
    expect([0, 9_400, 750_000, 3_723_000].map(clock)).toEqual(["0:00", "0:09", "12:30", "1:02:03"]);
  });

  test("time left is at the mean speed since the first step, unknown at that step", () => {
    expect(timeLeft({ step: 1, at: 1000 }, 11, 31, 2000)).toBe(2000);
    expect(timeLeft({ step: 1, at: 1000 }, 1, 31, 1000)).toBeNull();
  });

  test("a table aligns names to the left and numbers to the right", () => {
    expect(
      formatTable([
        ["", "a"],
        ["plain", "10"],
        ["x", "5"],
      ]),
    ).toEqual(["        a", "plain  10", "x       5"]);
  });
});
