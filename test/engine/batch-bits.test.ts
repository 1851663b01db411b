import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { noGrad, ops, type Tensor, tensor, tidy } from "../../src/index.js";
import { bitDifference } from "../kernels/compare.js";
import { forward, imageShape, makeImages, makeNetwork } from "./networks.js";

const random = new Random(17);
const normals = (n: number) => Float32Array.from({ length: n }, () => random.normal());
const size = (shape: readonly number[]) => shape.reduce((p, q) => p * q, 1);

interface Layer {
  name: string;
  /** Shape of one image or row. */
  shape: number[];
  /** Further tensors, made once for each backend. */
  tensors: number[][];
  call: (x: Tensor, tensors: Tensor[]) => Tensor;
}

const layers: Layer[] = [
  { name: "linear 37 → 13", shape: [37], tensors: [[13, 37], [13]], call: (x, [w, b]) => ops.linear(x, w!, b!) },
  { name: "linear 300 → 8", shape: [300], tensors: [[8, 300]], call: (x, [w]) => ops.linear(x, w!) },
  { name: "matmul 65 · 33", shape: [65], tensors: [[65, 33]], call: (x, [w]) => ops.matmul(x, w!) },
  {
    name: "conv 3×3",
    shape: [3, 9, 7],
    tensors: [[5, 3, 3, 3], [5]],
    call: (x, [w, b]) => ops.conv2d(x, w!, b!, { padding: 1 }),
  },
  { name: "conv 1×1", shape: [5, 3, 3], tensors: [[6, 5, 1, 1]], call: (x, [w]) => ops.conv2d(x, w!) },
  {
    name: "conv with stride, dilation and groups",
    shape: [4, 11, 10],
    tensors: [[6, 2, 3, 2], [6]],
    call: (x, [w, b]) => ops.conv2d(x, w!, b!, { stride: [2, 1], dilation: [1, 2], groups: 2 }),
  },
  {
    name: "batch norm of images",
    shape: [6, 5, 5],
    tensors: [[6], [6], [6], [6]],
    call: (x, [w, b, m, v]) => ops.batchNorm(x, { weight: w!, bias: b!, runningMean: m!, runningVar: v!.square() }),
  },
  {
    name: "batch norm of rows",
    shape: [23],
    tensors: [[23], [23], [23], [23]],
    call: (x, [w, b, m, v]) => ops.batchNorm(x, { weight: w!, bias: b!, runningMean: m!, runningVar: v!.square() }),
  },
  { name: "softmax", shape: [10], tensors: [], call: (x) => ops.softmax(x) },
  { name: "max pool", shape: [3, 7, 7], tensors: [], call: (x) => ops.maxPool2d(x, { kernelSize: 3, stride: 2, padding: 1 }) },
  { name: "average pool", shape: [3, 7, 7], tensors: [], call: (x) => ops.adaptiveAvgPool2d(x, [2, 3]) },
];

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 64];

let backends: Backend[] = [];
beforeAll(async () => {
  backends = [
    await createWasmBackend({ threads: 1 }),
    await createWasmBackend({ threads: 2 }),
    await createWasmBackend({ deterministic: true }),
  ];
});
afterAll(() => backends.forEach((b) => void b.dispose()));

/** Batches and places in which the output of an image differs from its output alone. */
function differences(run: (rows: Float32Array, n: number) => Float32Array, one: Float32Array): string[] {
  const alone = run(one, 1);
  return SIZES.flatMap((n) =>
    [...new Set([0, n >> 1, n - 1])].flatMap((place) => {
      const rows = normals(n * one.length);
      rows.set(one, place * one.length);
      const all = run(rows, n);
      const found = bitDifference(all.slice(place * alone.length, (place + 1) * alone.length), alone);
      return found === null ? [] : [`image ${place} of ${n}: ${found}`];
    }),
  );
}

describe.each(layers)("$name", ({ shape, tensors, call }) => {
  test("gives an image the same bits alone and in any batch, at any place, in every build", () => {
    const parameters = tensors.map((s) => normals(size(s)));
    for (const backend of backends) {
      const run = (rows: Float32Array, n: number) =>
        withBackend(backend, () =>
          tidy(
            () =>
              call(
                tensor(rows, [n, ...shape]),
                tensors.map((s, i) => tensor(parameters[i]!, s)),
              ).data() as Float32Array,
          ),
        );
      expect(differences(run, normals(size(shape)))).toEqual([]);
    }
  });
});

test("a whole network gives an image the same bits alone and in any batch, in every build", () => {
  for (const backend of backends) {
    withBackend(backend, () =>
      tidy(() => {
        const network = makeNetwork();
        noGrad(() => forward(network, tensor(makeImages(16).images, imageShape(16)), true));
        const run = (rows: Float32Array, n: number) =>
          noGrad(() => tidy(() => forward(network, tensor(rows, imageShape(n)), false).data() as Float32Array));
        expect(differences(run, makeImages(1, 3).images)).toEqual([]);
      }),
    );
  }
});
