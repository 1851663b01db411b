// What holds for every batch normalization, on random examples: values and gradients. State is in batch-norm-state.test.ts,
// masks and batches in parts in batch-norm-parts.test.ts.
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { channelMoments, channelOf, sizesOf } from "../reference/batch-norm.js";
import { normals, Properties, permutation, randomOf, seeds, shapes, sizeOf } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const properties = new Properties();

const bits = (t: Tensor | null | undefined) => [...t!.data()];
const leaf = (values: ArrayLike<number>, shape: readonly number[]) => tensor(values, shape, { requiresGrad: true });
const examples = fc.record({ shape: shapes, seed: seeds });
const kinds = { 2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d } as const;

/** The layer for a shape, with random γ and β. */
function layerOf(shape: readonly number[], seed: number, options: nn.BatchNormLayerOptions = {}): nn.BatchNorm {
  const layer = new kinds[shape.length as keyof typeof kinds](shape[1]!, options);
  const random = randomOf(seed);
  for (const p of layer.parameters()) p.backend.write(p.storage, normals(random, p.size));
  return layer;
}

/** The values of examples in another order. */
function reordered(values: ArrayLike<number>, shape: readonly number[], order: readonly number[]): number[] {
  const size = sizeOf(shape.slice(1));
  return order.flatMap((from) => Array.from({ length: size }, (_, i) => values[from * size + i]!));
}

describe.each(targets)("batch normalization on $name", ({ name, backend }) => {
  const float64 = name === "reference";
  const property = <T>(claim: string, runs: number, arbitrary: fc.Arbitrary<T>, check: (example: T) => void) =>
    properties.property(claim, runs, arbitrary, (example) => withBackend(backend, () => tidy(() => check(example))));

  // On a lattice, so that a·x + b is exact in float32, too.
  const affine = fc.record({
    shape: shapes,
    seed: seeds,
    power: fc.integer({ min: -12, max: 12 }),
    negative: fc.boolean(),
    shift: fc.integer({ min: -64, max: 64 }),
  });
  const invariance = float64 ? 1e-12 : 1e-6;
  property(`y(a·x + b; a²·eps) is sign(a)·y(x; eps) within ${invariance}·max|y|`, 250, affine, (example) => {
    const random = randomOf(example.seed);
    const x = Float32Array.from({ length: sizeOf(example.shape) }, () => Math.round(64 * (16 * random.uniform() - 8)) / 64);
    const sign = example.negative ? -1 : 1;
    const a = sign * 2 ** example.power;
    const y = ops.batchNorm(tensor(x, example.shape), { training: true, eps: 1e-5 });
    const moved = tensor(
      x.map((v) => a * (v + example.shift)),
      example.shape,
    );
    const other = ops.batchNorm(moved, { training: true, eps: 1e-5 * a * a });
    const want = y.data().map((v) => sign * v);
    expect(outside("y", other.data(), want, invariance * largest(want))).toBeNull();
  });

  const orthogonal = float64 ? 1e-12 : 3e-6;
  const offsets = fc.record({
    shape: shapes,
    seed: seeds,
    offset: fc.constantFrom(0, 1, -1e3),
    eps: fc.constantFrom(0, 1e-5, 0.5),
  });
  const claim = `Σ dx is 0 and Σ x̂·dx is γ/√(σ² + eps)·dγ·eps/(σ² + eps), within ${orthogonal}·|γ|/√(σ² + eps)·max|x̂|·Σ|dy|`;
  property(claim, 250, offsets, ({ shape, seed, offset, eps }) => {
    const random = randomOf(seed);
    const [n, c] = [sizeOf(shape), shape[1]!];
    const [values, slopes, gamma] = [normals(random, n, offset), normals(random, n), normals(random, c)];
    const [x, weight] = [leaf(values, shape), leaf(gamma, [c])];
    ops.batchNorm(x, { training: true, weight, eps }).backward(tensor(slopes, shape));
    const sizes = sizesOf(shape);
    const { mean, variance } = channelMoments(values, sizes);
    for (let k = 0; k < c; k++) {
      const [own, dx, dy] = [values, x.grad!.data(), slopes].map((t) => channelOf(t, sizes, k)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      const inverse = 1 / Math.sqrt(variance[k]! + eps);
      const normalized = own.map((v) => (v - mean[k]!) * inverse);
      const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
      const slope = gamma[k]! * inverse;
      const limit = orthogonal * Math.abs(slope) * Math.max(1, largest(normalized)) * dy.reduce((sum, v) => sum + Math.abs(v), 0);
      const damped = (slope * dot(normalized, dy) * eps) / (variance[k]! + eps);
      expect(
        outside(
          "Σ dx",
          [
            dot(
              dx,
              dx.map(() => 1),
            ),
          ],
          [0],
          limit,
        ),
      ).toBeNull();
      expect(outside("Σ x̂·dx", [dot(normalized, dx)], [damped], limit)).toBeNull();
    }
  });

  const order = float64 ? 1e-13 : 4 * 2 ** -23;
  property(
    `examples in another order give the same y and dx within ${float64 ? order : "4 ulp (4·2^-23)"} of the largest, running values too`,
    250,
    examples,
    ({ shape, seed }) => {
      const random = randomOf(seed);
      const [values, slopes] = [normals(random, sizeOf(shape), 3), normals(random, sizeOf(shape))];
      const by = permutation(random, shape[0]!);
      const [a, b] = [layerOf(shape, seed), layerOf(shape, seed)];
      const [x, z] = [leaf(values, shape), leaf(reordered(values, shape, by), shape)];
      const [y, w] = [a.forward(x), b.forward(z)];
      y.backward(tensor(slopes, shape));
      w.backward(tensor(reordered(slopes, shape, by), shape));
      const near = (what: string, got: Tensor, want: ArrayLike<number>) =>
        expect(outside(what, got.data(), want, order * largest(want))).toBeNull();
      near("y", w, reordered(y.data(), shape, by));
      near("running mean", b.runningMean!, a.runningMean!.data());
      near("running variance", b.runningVar!, a.runningVar!.data());
      const slope =
        largest(slopes) * Math.max(...channelMoments(values, sizesOf(shape)).variance.map((v) => 1 / Math.sqrt(v + 1e-5)));
      const gamma = largest(a.weight!.data());
      const wanted = reordered(x.grad!.data(), shape, by);
      expect(outside("dx", z.grad!.data(), wanted, order * slope * gamma * 4)).toBeNull();
    },
  );

  const constants = fc.oneof(
    fc.float({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(0, -0, 0.1, 123456.789, 1e7, 1e30, -3.4028234663852886e38, 1.401298464324817e-45, 1e-40).map(Math.fround),
  );
  property(
    "a constant channel, of any constant and shape, gives exactly β, and moves the running mean to exactly the constant, the variance to 0",
    300,
    fc.record({ shape: shapes, seed: seeds, constant: constants, eps: fc.constantFrom(0, 1e-5, 1e-3) }),
    ({ shape, seed, constant, eps }) => {
      const c = shape[1]!;
      const random = randomOf(seed);
      const bias = normals(random, c);
      const running = { runningMean: tensor(normals(random, c)), runningVar: tensor(normals(random, c).map(Math.abs)) };
      const x = tensor(new Float32Array(sizeOf(shape)).fill(constant), shape);
      const weight = tensor(normals(random, c));
      const y = ops.batchNorm(x, { ...running, training: true, weight, bias: tensor(bias), eps, momentum: 1 });
      const s = sizeOf(shape.slice(2));
      expect(bits(y)).toEqual(Array.from({ length: y.size }, (_, i) => bias[Math.floor(i / s) % c]!));
      expect(running.runningMean.data().every((v) => v === constant)).toBe(true);
      expect(running.runningVar.data().every((v) => v === 0)).toBe(true);
    },
  );

  // NaN, infinities and zeros of both signs among the values.
  const specials = [Number.NaN, Infinity, -Infinity, 0, -0, 1e38, -1e38];
  const salted = (values: Float32Array, share: number, seed: number) => {
    const random = randomOf(seed);
    return values.map((v) => (random.uniform() < share ? specials[Math.floor(random.uniform() * specials.length)]! : v));
  };
  const relu = fc.record({ shape: shapes, seed: seeds, share: fc.constantFrom(0, 0, 0.1), training: fc.boolean() });
  property(
    "batch normalization and ReLU in one pass have the bits of one after the other: y, dx, dγ, dβ, running values; NaN included",
    250,
    relu,
    ({ shape, seed, share, training }) => {
      const random = randomOf(seed);
      const values = salted(normals(random, sizeOf(shape), 1, 2), share, seed);
      const slopes = normals(random, sizeOf(shape));
      const run = (forward: (bn: nn.BatchNorm, x: Tensor) => Tensor) => {
        const bn = layerOf(shape, seed).train(training);
        const x = leaf(values, shape);
        const y = forward(bn, x);
        y.backward(tensor(slopes, shape));
        return [y, x.grad, bn.weight!.grad, bn.bias!.grad, bn.runningMean, bn.runningVar, bn.rejected].map(bits);
      };
      const fused = run((bn, x) => new nn.Sequential(bn, new nn.ReLU()).forward(x));
      expect(fused).toEqual(run((bn, x) => new nn.ReLU().forward(bn.forward(x))));
    },
  );

  property(
    "in evaluation an example has the same bits in any batch, at any place, and on its own",
    250,
    examples,
    ({ shape, seed }) => {
      const random = randomOf(seed);
      const bn = layerOf(shape, seed);
      bn.forward(tensor(normals(random, sizeOf(shape), 2), shape));
      bn.eval();
      const n = shape[0]!;
      const values = normals(random, sizeOf(shape), 2, 3);
      const size = sizeOf(shape.slice(1));
      const whole = bits(bn.forward(tensor(values, shape)));
      const by = permutation(random, n);
      const moved = bn.forward(tensor(reordered(values, shape, by), shape));
      const atPlace = Math.floor(random.uniform() * n);
      const alone = bn.forward(tensor(values.slice(atPlace * size, (atPlace + 1) * size), [1, ...shape.slice(1)]));
      expect(bits(moved)).toEqual(reordered(whole, shape, by));
      expect(bits(alone)).toEqual(whole.slice(atPlace * size, (atPlace + 1) * size));
    },
  );

  property(
    "a frozen layer has the bits of evaluation in training, y and dx, and keeps its state",
    250,
    examples,
    ({ shape, seed }) => {
      const random = randomOf(seed);
      const bn = layerOf(shape, seed);
      bn.forward(tensor(normals(random, sizeOf(shape), 2), shape));
      const [values, slopes] = [normals(random, sizeOf(shape), 1, 2), normals(random, sizeOf(shape))];
      const run = () => {
        const x = leaf(values, shape);
        const y = bn.forward(x);
        y.backward(tensor(slopes, shape));
        return [y, x.grad].map(bits);
      };
      const state = () => [bn.weight, bn.bias, bn.runningMean, bn.runningVar, bn.numBatchesTracked, bn.rejected].map(bits);
      const before = state();
      const evaluated = bn.eval() && run();
      bn.freeze({ affine: random.uniform() < 0.5 }).train();
      expect(run()).toEqual(evaluated);
      expect(state()).toEqual(before);
    },
  );
});

it("1,800 random cases on each of two backends: 3,600 in all", () => {
  expect(properties.declared).toBe(2 * 1800);
});
