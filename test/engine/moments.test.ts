import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray, Storage } from "../../src/engine/backend.js";
import { outside, startTargets, type Target } from "../fixtures/compare.js";
import { bitDifference } from "../kernels/compare.js";

let targets: Target[] = [];
beforeAll(async () => {
  targets = await startTargets();
});
afterAll(() => targets.forEach(({ backend }) => void backend.dispose()));

const C = 13;
const S = 17;
const OFFSETS = [0, 1e3, 1e6];

function float32(backend: Backend, values: ArrayLike<number>): Storage {
  const storage = backend.alloc("float32", values.length);
  backend.write(storage, Float32Array.from(values));
  return storage;
}

function normals(n: number, offset: number): Float32Array {
  const random = new Random(5);
  return Float32Array.from({ length: n * C * S }, () => offset + random.normal());
}

/** Moments [3, C] of x [n, C, S]. */
function momentsOf(backend: Backend, x: Float32Array): Storage {
  const moments = backend.alloc("float32", 3 * C);
  backend.call("channelMoments", { x: float32(backend, x), moments, n: x.length / (C * S), c: C, s: S });
  return moments;
}

/** A step of batchNormTrain from running values 0 and 1. */
function trainStep(backend: Backend, x: Float32Array) {
  const out = { y: backend.alloc("float32", x.length), stats: backend.alloc("float32", 3 * C) };
  const running = {
    runningMean: float32(backend, new Float32Array(C)),
    runningVar: float32(backend, new Float32Array(C).fill(1)),
  };
  const sizes = { n: x.length / (C * S), c: C, s: S };
  const settings = { eps: 1e-5, momentum: 0.1, cumulative: 0, unbiased: 1, guard: 1, relu: 0 };
  const none = { weight: null, bias: null, counter: null, rejected: null };
  backend.call("batchNormTrain", { x: float32(backend, x), ...none, ...running, ...out, ...sizes, ...settings });
  return { ...out, ...running };
}

const meansOf = (moments: HostArray): number[] => Array.from({ length: C }, (_, i) => moments[i]! + moments[C + i]!);
const variancesOf = (moments: HostArray): number[] => Array.from(moments.slice(2 * C));

describe("moments as values", () => {
  test.each(OFFSETS)("channelMoments at offset %d has the mean of batchNormTrain's stats in the same bits", (offset) => {
    for (const { backend } of targets) {
      const x = normals(9, offset);
      const own = backend.read(momentsOf(backend, x));
      const stats = backend.read(trainStep(backend, x).stats);
      expect(bitDifference(own.slice(0, 2 * C), stats.slice(0, 2 * C))).toBeNull();
    }
  });

  test.each(OFFSETS)(
    "batchNormEval with the mean in two parts from channelMoments at offset %d is within 1e-6 of batchNormTrain",
    (offset) => {
      for (const { name, backend } of targets) {
        const x = normals(9, offset);
        const want = trainStep(backend, x).y;
        const moments = backend.read(momentsOf(backend, x));
        const row = (i: number): Storage => float32(backend, moments.slice(i * C, (i + 1) * C));
        const y = backend.alloc("float32", x.length);
        const given = { mean: row(0), meanLow: row(1), variance: row(2), eps: 1e-5 };
        const affine = { weight: null, bias: null, relu: 0 };
        backend.call("batchNormEval", { x: float32(backend, x), ...affine, ...given, y, n: 9, c: C, s: S });
        // The reference's mean is not two float32 numbers: here it was rounded to one.
        const allowed = name === "wasm" ? 1e-6 : 1e-6 + Math.abs(offset) * 2 ** -24;
        expect(outside(name, backend.read(y), backend.read(want), allowed)).toBeNull();
      }
    },
  );

  test.each(OFFSETS)(
    "mergeMoments of three parts at offset %d: mean within 1e-8, variance within 2e-7 of the whole's",
    (offset) => {
      for (const { name, backend } of targets) {
        const x = normals(9, offset);
        const cuts = [0, 2, 3, 9];
        const parts = [0, 1, 2].flatMap((i) => {
          const part = x.slice(cuts[i]! * C * S, cuts[i + 1]! * C * S);
          return Array.from(backend.read(momentsOf(backend, part)));
        });
        const counts = backend.alloc("int32", 3);
        backend.write(counts, Int32Array.of(2 * S, S, 6 * S));
        const moments = backend.alloc("float32", 3 * C);
        const storage = backend.alloc("float32", parts.length);
        backend.write(storage, parts);
        backend.call("mergeMoments", { parts: storage, counts, moments, k: 3, c: C });
        const [merged, whole] = [backend.read(moments), backend.read(momentsOf(backend, x))];
        expect(outside(`${name} mean`, meansOf(merged), meansOf(whole), 1e-8)).toBeNull();
        expect(outside(`${name} variance`, variancesOf(merged), variancesOf(whole), 2e-7)).toBeNull();
      }
    },
  );

  test.each(OFFSETS)("updateRunning from channelMoments at offset %d is within 2e-7 of batchNormTrain's update", (offset) => {
    for (const { name, backend } of targets) {
      const x = normals(9, offset);
      const want = trainStep(backend, x);
      const runningMean = float32(backend, new Float32Array(C));
      const runningVar = float32(backend, new Float32Array(C).fill(1));
      const settings = { c: C, momentum: 0.1, cumulative: 0, unbiased: 1, guard: 1 };
      const [moments, count] = [momentsOf(backend, x), float32(backend, [9 * S])];
      backend.call("updateRunning", { moments, count, runningMean, runningVar, counter: null, rejected: null, ...settings });
      const [mean, variance] = [backend.read(runningMean), backend.read(runningVar)];
      const allowed = 2e-7 * Math.max(1, offset);
      expect(outside(`${name} mean`, mean, backend.read(want.runningMean), allowed)).toBeNull();
      expect(outside(`${name} variance`, variance, backend.read(want.runningVar), 2e-7)).toBeNull();
    }
  });
});
