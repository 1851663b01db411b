import { afterAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { normal, ones, tensor, zeros } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { outside, startTargets } from "../fixtures/compare.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const lengths = [5, 2, 3];
const [N, C, L] = [3, 2, 5];
const there = (n: number, l: number) => l < lengths[n]!;
const maskOf = () =>
  tensor(
    Float32Array.from({ length: N * L }, (_, i) => (there(Math.floor(i / L), i % L) ? 1 : 0)),
    [N, L],
  );
/** Positions of [N, C, L] that are there, as [values, C] in their order. */
function compact(values: ArrayLike<number>): Float64Array {
  const out: number[] = [];
  for (let n = 0; n < N; n++) {
    for (let l = 0; l < L; l++) if (there(n, l)) for (let c = 0; c < C; c++) out.push(values[(n * C + c) * L + l]!);
  }
  return Float64Array.from(out);
}
const count = lengths.reduce((a, b) => a + b);

/** y, dx, dγ, dβ and running values of a layer after one batch. */
function run(layer: nn.BatchNorm1d, x: Tensor, dy: Tensor, mask?: Tensor) {
  const leaf = x.detach();
  leaf.requiresGrad = true;
  layer.zeroGrad();
  const y = layer.forward(leaf, mask);
  y.backward(dy);
  const [dx, dw, db] = [leaf.grad!, layer.weight!.grad!, layer.bias!.grad!].map((t) => t.data()) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  return { y: y.data(), dx, dw, db, mean: layer.runningMean!.data(), variance: layer.runningVar!.data() };
}

describe.each(targets)("masked batch normalization on $name", ({ name, backend }) => {
  const on = <T>(fn: () => T) => withBackend(backend, () => tidy(fn));
  const tolerance = name === "wasm" ? 3e-6 : 1e-12;

  it.each([0, 1e4])(
    `of [3, 2, 5] with lengths 5, 2, 3 at offset %d is that of the 10 positions that are there, within ${tolerance}; elsewhere y and dx are exactly 0`,
    (offset) => {
      on(() => {
        manualSeed(1);
        const x = normal([N, C, L], offset, 2);
        const dy = normal([N, C, L]);
        const make = () => {
          const layer = new nn.BatchNorm1d(C);
          nn.init.constant(layer.weight!, 1.5);
          nn.init.constant(layer.bias!, 0.25);
          return layer;
        };
        const masked = run(make(), x, dy, maskOf());
        const want = run(make(), tensor(compact(x.data()), [count, C]), tensor(compact(dy.data()), [count, C]));
        const found = [
          outside("y", compact(masked.y), want.y, tolerance * 3),
          outside("dx", compact(masked.dx), want.dx, tolerance * 3),
          outside("dγ", masked.dw, want.dw, tolerance * 10),
          outside("dβ", masked.db, want.db, tolerance * 10),
          outside("running mean", masked.mean, want.mean, tolerance * Math.max(1, offset)),
          outside("running variance", masked.variance, want.variance, tolerance * 3),
        ];
        expect(found.filter((line) => line !== null)).toEqual([]);
        for (let n = 0; n < N; n++) {
          for (let l = 0; l < L; l++) {
            const i = n * C * L + l;
            if (!there(n, l)) expect([masked.y[i], masked.dx[i]]).toEqual([0, 0]);
          }
        }
      });
    },
  );

  it("NaN and Infinity in the padding go nowhere", () => {
    on(() => {
      const x = Float32Array.from({ length: N * C * L }, (_, i) =>
        there(Math.floor(i / (C * L)), i % L) ? Math.sin(i) : [Number.NaN, Infinity][i % 2]!,
      );
      const layer = new nn.BatchNorm1d(C);
      const { y, dx, dw } = run(layer, tensor(x, [N, C, L]), ones([N, C, L]), maskOf());
      expect([...y, ...dx, ...dw].every(Number.isFinite)).toBe(true);
      expect([...layer.rejected!.data()]).toEqual([0, 0]);
      expect([...layer.runningMean!.data()].every(Number.isFinite)).toBe(true);
    });
  });

  it("in evaluation y is the running values' where there is data, and 0 elsewhere", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(C);
      layer.forward(normal([6, C, L], 2));
      layer.eval();
      const x = normal([N, C, L]);
      const [masked, plain] = [layer.forward(x, maskOf()), layer.forward(x)];
      expect(outside("y", compact(masked.data()), compact(plain.data()), 1e-6)).toBeNull();
      expect(masked.data()[1 * C * L + 4]).toBe(0);
    });
  });

  it("of nothing but padding gives 0 and leaves the running values alone", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(C);
      const { y, dx, mean, variance } = run(layer, normal([N, C, L]), ones([N, C, L]), zeros([N, L]));
      expect([...y, ...dx].every((v) => v === 0)).toBe(true);
      expect([[...mean], [...variance], [...layer.rejected!.data()], layer.numBatchesTracked!.item()]).toEqual([
        [0, 0],
        [1, 1],
        [0, 0],
        0,
      ]);
    });
  });

  it("of one position gives β there; a variance of one value does not enter the running values", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(1);
      nn.init.constant(layer.bias!, 0.5);
      const y = layer.forward(tensor([7, 8], [2, 1]), tensor([1, 0]));
      expect([...y.data()]).toEqual([0.5, 0]);
      expect([layer.runningVar!.item(), layer.rejected!.item()]).toEqual([1, 1]);
    });
  });
});

describe("derivatives and errors", () => {
  const { backend } = targets[1]!;
  it.each([
    ["training", { training: true }],
    ["with ReLU", { training: true, activation: "relu" }],
    ["detached", { training: false }],
  ] as const)("%s: first and second derivatives within 1e-6 of difference quotients", (_, options) => {
    withBackend(backend, () =>
      tidy(() => {
        const leaf = (shape: number[]) => {
          const t = normal(shape);
          t.requiresGrad = true;
          return t;
        };
        const call = (x: Tensor, weight?: Tensor, bias?: Tensor) =>
          nn.batchNorm(x, {
            ...options,
            weight: weight!,
            bias: bias!,
            mask: maskOf(),
            runningMean: zeros([C]),
            runningVar: ones([C]),
            eps: 1e-2,
          });
        const inputs = [leaf([N, C, L]), leaf([C]), leaf([C])];
        gradcheck(call, inputs);
        gradgradcheck(call, inputs);
      }),
    );
  });

  it("a mask of another shape or type is refused, and nothing moves", () => {
    const layer = new nn.BatchNorm1d(2);
    expect(() => layer.forward(ones([3, 2, 5]), ones([3, 2, 5]))).toThrow(
      "BatchNorm1d: expected mask [3, 5] (the input [3, 2, 5] without its channels), got [3, 2, 5].",
    );
    expect(() => layer.forward(ones([3, 2]), tensor(new Int32Array(3), [3]))).toThrow("expected float32, got int32");
    expect(layer.numBatchesTracked!.item()).toBe(0);
  });
});
