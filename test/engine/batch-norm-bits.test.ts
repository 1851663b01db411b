import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { ops, tensor, tidy } from "../../src/index.js";
import { bitDifference } from "../kernels/compare.js";

const THREADS = [1, 2, 3, 8];
let backends: Backend[] = [];
beforeAll(async () => {
  backends = await Promise.all(THREADS.map((threads) => createWasmBackend({ threads })));
});
afterAll(() => backends.forEach((b) => void b.dispose()));

/** Output, all gradients and running statistics of one training step of the layer. */
function step(backend: Backend, shape: readonly number[], offset: number): Record<string, HostArray> {
  const random = new Random(23);
  const normals = (...s: number[]) => Float32Array.from({ length: s.reduce((p, q) => p * q, 1) }, () => random.normal());
  return withBackend(backend, () =>
    tidy(() => {
      const c = shape[1]!;
      const x = tensor(
        normals(...shape).map((v) => v + offset),
        shape,
        { requiresGrad: true },
      );
      const weight = tensor(normals(c), [c], { requiresGrad: true });
      const bias = tensor(normals(c), [c], { requiresGrad: true });
      const [runningMean, runningVar] = [tensor(normals(c)), tensor(new Float32Array(c).fill(1))];
      const y = ops.batchNorm(x, { training: true, weight, bias, runningMean, runningVar });
      y.backward(tensor(normals(...shape), shape));
      const results = { y, dx: x.grad!, dweight: weight.grad!, dbias: bias.grad!, runningMean, runningVar };
      return Object.fromEntries(Object.entries(results).map(([name, t]) => [name, t.data()]));
    }),
  );
}

describe("batchNorm in training", () => {
  test.each([
    [[64, 6, 24, 24]],
    [[256, 100]],
    [[2, 8]],
    [[16, 64, 8, 8]],
    [[5, 3, 17]],
    [[3, 33, 1, 1]],
    [[513, 17]],
    [[2, 1, 300, 301]],
  ])(
    "of %j has the same bits with 1, 2, 3 and 8 threads: output, gradients, running statistics, at offsets 0 and 1e4",
    (shape) => {
      for (const offset of [0, 1e4]) {
        const want = step(backends[0]!, shape, offset);
        for (const [i, backend] of backends.entries()) {
          const got = step(backend, shape, offset);
          const found = Object.keys(want).flatMap((name) => bitDifference(got[name]!, want[name]!) ?? []);
          expect({ threads: THREADS[i], found }).toEqual({ threads: THREADS[i], found: [] });
        }
      }
    },
  );

  test("repeated on one backend gives the same bits", () => {
    const runs = [1, 2, 3].map(() => step(backends[1]!, [16, 6, 9, 9], 3));
    for (const run of runs.slice(1)) {
      for (const [name, values] of Object.entries(run)) expect(bitDifference(values, runs[0]![name]!)).toBeNull();
    }
  });
});
