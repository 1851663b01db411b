import { afterAll, describe, expect, test } from "vitest";
import { philox, uniformOfWord } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { getRandomState, manualSeed, normal, ops, setRandomState, tensor, uniform } from "../../src/index.js";
import { bitDifference } from "../kernels/compare.js";

const opened: Backend[] = [];
afterAll(() => opened.forEach((b) => void b.dispose()));

function moments(x: ArrayLike<number>): { mean: number; variance: number; min: number; max: number } {
  let [sum, squares, min, max] = [0, 0, Infinity, -Infinity];
  for (let i = 0; i < x.length; i++) {
    sum += x[i]!;
    squares += x[i]! ** 2;
    min = Math.min(min, x[i]!);
    max = Math.max(max, x[i]!);
  }
  const mean = sum / x.length;
  return { mean, variance: squares / x.length - mean ** 2, min, max };
}

test("the same seed gives the same values, another seed or the next draw others", () => {
  const draw = (seed: number) => {
    manualSeed(seed);
    return [normal([50]).data(), normal([50]).data()] as const;
  };
  const [a, b] = draw(7);
  expect(bitDifference(a, draw(7)[0])).toBeNull();
  expect(bitDifference(b, draw(7)[1])).toBeNull();
  expect(bitDifference(a, b)).not.toBeNull();
  expect(bitDifference(a, draw(8)[0])).not.toBeNull();
  expect(bitDifference(draw(2 ** 33 + 7)[0], a)).not.toBeNull();
});

test("value i of draw d is Philox's word for them, whatever the size", () => {
  manualSeed(2 ** 40 + 5);
  uniform([3]);
  const got = uniform([10]).data();
  const want = Array.from({ length: 10 }, (_, i) => uniformOfWord(philox([Math.floor(i / 4), 0, 1, 0], [5, 2 ** 8])[i % 4]!));
  expect([...got]).toEqual(want.map(Math.fround));
});

test("a saved state continues the series", () => {
  manualSeed(3);
  normal([5]);
  const state = getRandomState();
  const want = uniform([9]).data();
  manualSeed(99);
  setRandomState(state);
  expect(bitDifference(uniform([9]).data(), want)).toBeNull();
});

test("uniform, normal and dropout have the same bits with 1, 2 and 3 threads", async () => {
  const runs: HostArray[][] = [];
  for (const threads of [1, 2, 3]) {
    const backend = await createWasmBackend({ threads });
    opened.push(backend);
    runs.push(
      withBackend(backend, () => {
        manualSeed(11);
        return [
          uniform([100_003], -1, 2),
          normal([70_001], 3, 0.5),
          ops.dropout(tensor(new Float32Array(50_001).fill(1)), 0.3),
        ].map((t) => t.data());
      }),
    );
  }
  for (const run of runs.slice(1)) expect(run.map((x, i) => bitDifference(x, runs[0]![i]!))).toEqual([null, null, null]);
});

describe("200,000 values, within five standard errors", () => {
  const n = 200_000;

  test("uniform: mean, variance and range of [−1, 3)", () => {
    manualSeed(1);
    const { mean, variance, min, max } = moments(uniform([n], -1, 3).data());
    expect(Math.abs(mean - 1)).toBeLessThan(5 * Math.sqrt(16 / 12 / n));
    expect(Math.abs(variance - 16 / 12)).toBeLessThan(5 * Math.sqrt(4 ** 4 / 180 / n));
    expect(min).toBeGreaterThanOrEqual(-1);
    expect(max).toBeLessThan(3);
    expect(min).toBeLessThan(-0.999);
    expect(max).toBeGreaterThan(2.999);
  });

  test("normal: mean, variance, and the share within one standard deviation", () => {
    manualSeed(2);
    const x = Float64Array.from(normal([n], -2, 3).data());
    const { mean, variance } = moments(x);
    expect(Math.abs(mean + 2)).toBeLessThan((5 * 3) / Math.sqrt(n));
    expect(Math.abs(variance - 9)).toBeLessThan(5 * 9 * Math.sqrt(2 / n));
    const within = x.reduce((count, v) => count + (Math.abs(v + 2) < 3 ? 1 : 0), 0) / n;
    expect(Math.abs(within - 0.682689)).toBeLessThan(5 * Math.sqrt((0.6827 * 0.3173) / n));
  });

  test("neighbours are not correlated", () => {
    manualSeed(4);
    const x = normal([n]).data();
    let sum = 0;
    for (let i = 1; i < n; i++) sum += x[i]! * x[i - 1]!;
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(n));
  });

  test("dropout: 30 % are 0 and the rest is divided by 0.7", () => {
    manualSeed(5);
    const y = Float32Array.from(ops.dropout(tensor(new Float32Array(n).fill(1)), 0.3).data());
    const zeros = y.reduce((count, v) => count + (v === 0 ? 1 : 0), 0) / n;
    expect(Math.abs(zeros - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / n));
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
  });
});
