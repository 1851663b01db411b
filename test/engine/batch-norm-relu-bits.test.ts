import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray, Storage } from "../../src/engine/backend.js";
import { unaryBackwardOps, unaryOps } from "../../src/engine/kernels.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { bitDifference } from "../kernels/compare.js";

let backends: Backend[] = [];
beforeAll(async () => {
  backends = await Promise.all([
    createWasmBackend({ threads: 1 }),
    createWasmBackend({ threads: 3 }),
    createWasmBackend({ threads: 1, deterministic: true }),
  ]);
});
afterAll(() => backends.forEach((b) => void b.dispose()));

type Shape = readonly [n: number, c: number, s: number];
type Results = Record<string, HostArray>;

interface Example {
  readonly shape: Shape;
  readonly offset: number;
  readonly hasWeight: boolean;
  /** β; "toZero" is that with which each channel's first value comes out as exactly 0 before relu. */
  readonly hasBias: boolean | "toZero" | "-0";
  readonly detached: 0 | 1;
  /** Replaces values of x, given as [position, value]. */
  readonly changes: readonly (readonly [number, number])[];
}

/** Inputs on a backend: γ has both signs; the first channel is constant and its γ below 0. */
function inputsOf(backend: Backend, { shape: [n, c, s], offset, hasWeight, hasBias, changes }: Example) {
  const random = new Random(31);
  const storages: Storage[] = [];
  const out = (size: number): Storage => {
    const storage = backend.alloc("float32", size);
    storages.push(storage);
    return storage;
  };
  const float32 = (values: ArrayLike<number>): Storage => {
    const storage = out(values.length);
    backend.write(storage, Float32Array.from(values));
    return storage;
  };
  const normals = (size: number, mean = 0) => Float64Array.from({ length: size }, () => mean + random.normal());
  const x = normals(n * c * s, offset).map((v, i) => (Math.floor(i / s) % c === 0 ? 0.1 : v));
  for (const [i, value] of changes) x[i] = value;
  const [dy, weight, bias] = [normals(n * c * s), normals(c), hasBias === "-0" ? new Float64Array(c).fill(-0) : normals(c)];
  weight[0] = -1.5;
  const given = { mean: float32(normals(c, offset)), meanLow: float32(normals(c).map((v) => 1e-3 * v)) };
  return {
    size: n * c * s,
    out,
    storages,
    x: float32(x),
    dy: float32(dy),
    weight: hasWeight ? float32(weight) : null,
    bias: hasBias ? float32(bias) : null,
    given: { ...given, variance: float32(normals(c).map((v) => 0.1 + v * v)), eps: 1e-5 },
    dims: { n, c, s },
  };
}

/** y, dx, dγ and dβ of normalization with relu in one kernel, or by the kernels `unary` and `unaryBackward`. */
function results(backend: Backend, example: Example, mode: "train" | "eval", isFused: boolean): Results {
  const { size, out, storages, x, dy, weight, bias, given, dims } = inputsOf(backend, example);
  const [y, dx, dweight, dbias] = [out(size), out(size), out(dims.c), out(dims.c)];
  const [z, dz] = isFused ? [y, dy] : [out(size), out(size)];
  const relu = isFused ? 1 : 0;
  const stats = out(3 * dims.c);
  const forward = (bias: Storage | null, relu: 0 | 1): void => {
    const noState = { runningMean: null, runningVar: null, counter: null, rejected: null };
    const settings = { eps: 1e-5, momentum: 0.1, cumulative: 0, unbiased: 1, guard: 1, relu };
    if (mode === "train") backend.call("batchNormTrain", { x, weight, bias, ...noState, y: z, stats, ...dims, ...settings });
    else backend.call("batchNormEval", { x, weight, bias, ...given, y: z, ...dims, relu });
  };
  if (example.hasBias === "toZero") {
    forward(null, 0);
    const scaled = backend.read(z);
    backend.write(
      bias!,
      Float32Array.from({ length: dims.c }, (_, i) => -scaled[i * dims.s]!),
    );
  }
  forward(bias, relu);
  if (!isFused) {
    backend.call("unary", { x: z, y, n: size, op: unaryOps.indexOf("relu"), alpha: 0 });
    backend.call("unaryBackward", { u: z, dy, dx: dz, n: size, op: unaryBackwardOps.indexOf("relu"), alpha: 0 });
  }
  const gradients = { x, dy: dz, weight, bias, dx, dweight, dbias, ...dims, relu };
  if (mode === "train") backend.call("batchNormBackward", { ...gradients, stats, detached: example.detached });
  else backend.call("batchNormEvalBackward", { ...gradients, ...given });
  const read = { y: backend.read(y), dx: backend.read(dx), dweight: backend.read(dweight), dbias: backend.read(dbias) };
  for (const storage of storages) backend.release(storage);
  return read;
}

function differences(example: Example, mode: "train" | "eval"): string[] {
  return backends.flatMap((backend, i) => {
    const fused = results(backend, example, mode, true);
    const composed = results(backend, example, mode, false);
    return Object.keys(composed).flatMap((name) => {
      const found = bitDifference(fused[name]!, composed[name]!);
      return found === null ? [] : [`backend ${i}, ${JSON.stringify(example)}: ${name}${found}`];
    });
  });
}

const shapes: Shape[] = [
  [64, 6, 25],
  [256, 100, 1],
  [3000, 5, 1],
  [5, 13, 17],
  [17, 1030, 1],
  [3, 17, 130],
  [3, 2, 5001],
  [2, 8, 1],
];

describe.each(["train", "eval"] as const)("relu in the batch normalization kernels, %s", (mode) => {
  test.each(shapes)("of [%i, %i, %i] has the bits of separate kernels: y, dx, dγ, dβ at offsets 0, 1e3 and 1e6", (...shape) => {
    for (const offset of [0, 1e3, 1e6]) {
      for (const [hasWeight, hasBias] of [
        [true, true],
        [true, false],
        [false, true],
        [false, false],
        [true, "toZero"],
        [true, "-0"],
      ] as const) {
        const example = { shape, offset, hasWeight, hasBias, detached: 0, changes: [] } as const;
        expect(differences(example, mode)).toEqual([]);
        if (mode === "train" && offset === 1e3) expect(differences({ ...example, detached: 1 }, mode)).toEqual([]);
      }
    }
  });

  test.each([[[5, 13, 17]], [[64, 6, 1]]] as const)("of %j with NaN and Infinity has the bits of separate kernels", (shape) => {
    const example = { shape, offset: 0, hasWeight: true, hasBias: true } as const;
    for (const detached of [0, 1] as const) {
      expect(differences({ ...example, detached, changes: [[40, NaN]] }, mode)).toEqual([]);
      expect(differences({ ...example, detached, changes: [[40, Infinity]] }, mode)).toEqual([]);
      expect(differences({ ...example, detached, changes: [[40, -Infinity]] }, mode)).toEqual([]);
    }
  });
});
