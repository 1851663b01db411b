import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { loadExamples } from "../../src/cli/load-examples.js";
import { encodeIdx } from "../../src/data/index.js";

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "evenkeel-examples-"));
  const save = (name: string, content: string | Uint8Array) => writeFileSync(join(cwd, name), content);
  const bytes = Uint8Array.from({ length: 10 * 4 }, (_, i) => i);
  save("x-idx3-ubyte", encodeIdx(bytes, [10, 2, 2]));
  save(
    "y-idx1-ubyte",
    encodeIdx(
      Uint8Array.from({ length: 10 }, (_, i) => i % 3),
      [10],
    ),
  );
  save("t.csv", `a,b,kind\n${Array.from({ length: 20 }, (_, i) => `${i},${-i},${i % 2 ? "odd" : "even"}`).join("\n")}\n`);
  save("plain.csv", Array.from({ length: 20 }, (_, i) => `${i},${-i}`).join("\n"));
  const pixel = (name: string, value: number[]) => save(name, Uint8Array.from([...Buffer.from("P6 1 1 255\n"), ...value]));
  for (const folder of ["flat", "by-class", "by-class/p", "by-class/q"]) mkdirSync(join(cwd, folder));
  for (let i = 0; i < 5; i++) {
    pixel(`flat/${i}.ppm`, [10, 20, 30]);
    pixel(`by-class/p/${i}.ppm`, [10, 20, 30]);
    pixel(`by-class/q/${i}.ppm`, [40, 50, 60]);
  }
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const load = (text: string, options = {}) => loadExamples(text, { cwd, ...options });

describe("--data", () => {
  test.each<[string, number[], boolean, string[], number, number]>([
    ["x-idx3-ubyte,y-idx1-ubyte", [1, 2, 2], true, ["0", "1", "2"], 8, 2],
    ["x-idx3-ubyte", [1, 2, 2], false, [], 8, 2],
    ["t.csv", [2], true, ["even", "odd"], 16, 4],
    ["t.csv:kind", [2], true, ["even", "odd"], 16, 4],
    ["plain.csv:none", [2], false, [], 16, 4],
    ["plain.csv:0", [1], true, Array.from({ length: 20 }, (_, i) => String(i)), 16, 4],
    ["flat", [3, 1, 1], false, [], 4, 1],
    ["by-class", [3, 1, 1], true, ["p", "q"], 8, 2],
  ])(
    "%s gives examples, labels if there are any, and a part that is held out",
    async (text, shape, hasLabels, classes, n, held) => {
      const { batches, heldOut, ...rest } = await load(text);
      expect(batches.set.shape).toEqual(shape);
      expect(rest).toMatchObject({ hasLabels, classes });
      expect([batches.count, heldOut.count]).toEqual([n, held]);
      const seen = new Set([...batches.order(0), ...heldOut.order(0)]);
      expect(seen.size).toBe(n + held);
    },
  );

  test("mnist holds its test images out; mnist:test is these alone", async () => {
    const { batches, heldOut } = await load("mnist", { limit: 100 });
    expect([batches.count, heldOut.count]).toEqual([100, 100]);
    expect(heldOut.set).not.toBe(batches.set);
    const { batches: test, heldOut: rest } = await load("mnist:test", { limit: 50 });
    expect([test.count, rest.set === test.set]).toEqual([50, true]);
  });

  test("pixels are normalized by channel as net.json says, within 1e-6", async () => {
    const normalize = { mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 0.125] };
    const { batches } = await load("flat", { normalize });
    const [pixel] = noGrad(() => batches.tensors(Int32Array.of(0)).inputs.toArray()) as number[][][][];
    const expected = [10, 20, 30].map((byte, c) => (byte / 255 - normalize.mean[c]!) / normalize.std[c]!);
    for (const c of [0, 1, 2]) expect(pixel![c]![0]![0]).toBeCloseTo(expected[c]!, 6);
  });

  test("images become rows for a network that takes rows, and are refused by one that takes others", async () => {
    const { batches } = await load("x-idx3-ubyte", { input: [4] });
    expect(batches.tensors(Int32Array.of(0, 1)).inputs.shape).toEqual([2, 4]);
    await expect(load("x-idx3-ubyte", { input: [1, 28, 28] })).rejects.toThrow("--data: expected examples of shape [1, 28, 28]");
  });

  test.each([
    ["mnist:dev", "--data: expected mnist, mnist:train or mnist:test, got mnist:dev."],
    ["nothing-here", "--data: expected mnist, fashion or cifar10"],
    ["none.csv", "none.csv: there is no such file."],
    ["none-idx3-ubyte", "there is no such file."],
    ["t.csv:colour", 'expected a column named "colour" for the label'],
    ["plain.csv:9", "expected a label column from -2 to 1, got 9."],
  ])("%s is refused in one line", async (text, message) => {
    await expect(load(text)).rejects.toThrow(message);
  });
});
