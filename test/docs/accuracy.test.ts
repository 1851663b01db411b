// docs/accuracy.md says what `npm run accuracy` found; its float64 reference agrees with the oracle of the tests.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { EPS, INPUTS, inputsOf, LAYOUTS } from "../../bench/accuracy/cases.mjs";
import { errorOf, QUANTITIES, ulp, VERDICTS, verdictOf, WORSE } from "../../bench/accuracy/judge.mjs";
import { reference } from "../../bench/accuracy/reference.mjs";
import { outside, ulp32 } from "../fixtures/compare.js";
import * as oracle from "../reference/batch-norm.js";

const text = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

describe("docs/accuracy.md", () => {
  const document = text("docs/accuracy.md");
  const lines = document.split("\n").filter((line) => line.startsWith("| "));
  const cells = lines.map((line) => line.slice(2, -2).split(" | "));
  const rows = cells.filter(([input]) => INPUTS.some(({ name }) => name === input));

  test("has a row with a verdict for every quantity, input and layout", () => {
    expect(rows).toHaveLength(QUANTITIES.length * INPUTS.length * LAYOUTS.length);
    expect(rows.filter((row) => !VERDICTS.includes(row.at(-1)!))).toEqual([]);
  });

  test("has no row in which evenkeel is worse than a peer by more than 2 ulp", () => {
    expect(rows.filter((row) => row.at(-1) === WORSE)).toEqual([]);
  });

  test("names the command that repeats it, which package.json has", () => {
    expect(document).toContain("npm run accuracy");
    expect(JSON.parse(text("package.json")).scripts.accuracy).toBe("node bench/accuracy.mjs");
  });

  test("is linked from README.md", () => expect(text("README.md")).toContain("(docs/accuracy.md)"));
});

const shapes = [
  [16, 3],
  [7, 3, 5, 2],
];

describe.each(shapes.map((shape) => [shape.join(", "), shape] as const))("inputs [%s]", (_, shape) => {
  // At 1e6 the last bit of a float64 mean shows: the oracle's dx takes it through another formula.
  const cases = INPUTS.map((input) => [input.name, input.std > 0 && input.offset >= 1e6 ? 1e-11 : 1e-12, input] as const);

  test.each(cases)("float64 reference at %s is within %d of the oracle, relative to the largest", (_, tolerance, input) => {
    const inputs = inputsOf(input, shape);
    const { x, dy } = inputs;
    const { values } = reference(inputs, shape, EPS);
    const sizes = oracle.sizesOf(shape);
    const affine = { weight: inputs.weight, bias: inputs.bias, eps: EPS };
    const gradients = oracle.trainBackward(x, dy, sizes, affine);
    const evaluation = oracle.evalBackward(x, dy, sizes, inputs, affine);
    const running = oracle.nextRunning(oracle.startRunning(sizes.c), x, sizes, 1);
    const wanted = {
      y: oracle.trainForward(x, sizes, affine),
      mean: running.mean,
      variance: running.variance,
      dx: gradients.dx,
      dweight: gradients.dweight,
      evalY: oracle.normalize(x, sizes, inputs, affine),
      evalDx: evaluation.dx,
      evalDweight: evaluation.dweight,
    };
    for (const { key } of QUANTITIES) {
      const want = wanted[key as keyof typeof wanted];
      const size = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(outside(key, values[key as keyof typeof values], want, tolerance * size)).toBeNull();
    }
  });
});

test("an error is the distance to the reference in the unit of its table, and in ulp of the largest reference", () => {
  const found = { values: { y: Float64Array.of(1, -4, 2) }, gain: 1, evalGain: 1 };
  const inputs = { weight: Float32Array.of(-0.5, 0.25) };
  const quantity = QUANTITIES.find(({ key }) => key === "y")!;
  const got = Float32Array.of(1, -4, 2 + 2 ** -20);
  expect(errorOf(quantity, got, inputs, found)).toEqual({ error: 2 ** -19, ulps: 2 });
  got[0] = Number.NaN;
  expect(errorOf(quantity, got, inputs, found).ulps).toBe(Number.POSITIVE_INFINITY);
  for (const value of [0, 2 ** -130, 1, 1.99, -1e7]) expect(ulp(value)).toBe(ulp32(value));
});

test("a verdict is best, within 2 ulp of the best, or worse", () => {
  const of = (own: number, ...others: number[]) =>
    verdictOf({ evenkeel: { ulps: own }, ...Object.fromEntries(others.map((ulps, i) => [`peer ${i}`, { ulps }])) });
  expect(of(1, 1, 5)).toBe(VERDICTS[0]);
  expect(of(3, 1, 5)).toBe(VERDICTS[1]);
  expect(of(3.1, 1, 5)).toBe(WORSE);
  expect(of(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toBe(WORSE);
});
