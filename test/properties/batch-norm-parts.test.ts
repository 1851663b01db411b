// What holds for every batch normalization of a batch in parts, with masks, and over several batches, on random examples.
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { Random } from "../../src/core/random.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { ones, tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { channelMoments, channelOf, sizesOf } from "../reference/batch-norm.js";
import { normals, Properties, randomOf, seeds, shapes, sizeOf, splits } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const properties = new Properties();

const bits = (t: Tensor | null | undefined) => [...t!.data()];
const leaf = (values: ArrayLike<number>, shape: readonly number[]) => tensor(values, shape, { requiresGrad: true });

/** Cuts values [N, …] into tensors of the given sizes. */
function cut(values: Float32Array, shape: readonly number[], sizes: readonly number[]): Tensor[] {
  const row = sizeOf(shape.slice(1));
  let start = 0;
  return sizes.map((n) => {
    const part = values.slice(start * row, (start + n) * row);
    start += n;
    return leaf(part, [n, ...shape.slice(1)]);
  });
}

/** Random layers on [N, width, …]: dense ones, activations, batch normalizations, residual branches. */
function network(random: Random, width: number): nn.Module {
  const norm = () =>
    new nn.BatchNorm1d(width, { eps: 1e-2, affine: random.uniform() < 0.7, momentum: random.uniform() < 0.3 ? null : 0.25 });
  const choices = [
    () => new nn.Linear(width, width),
    norm,
    () => new nn.Tanh(),
    () => new nn.Sequential(new nn.Linear(width, width), norm(), new nn.Sigmoid()),
    () => new nn.Residual(new nn.Sequential(norm(), new nn.Tanh(), new nn.Linear(width, width))),
  ];
  const pick = () => choices[Math.floor(random.uniform() * choices.length)]!();
  const layers = Array.from({ length: 1 + Math.floor(4 * random.uniform()) }, pick);
  const model = new nn.Sequential(norm(), ...layers, new nn.Linear(width, 3));
  for (const p of model.parameters())
    p.backend.write(p.storage, normals(random, p.size, 0, p.rank === 1 ? 1 : 1 / Math.sqrt(width)));
  return model;
}

/** Values of [N, C, …] where the mask is not 0, as [values, C]. */
function compacted(values: ArrayLike<number>, shape: readonly number[], mask: ArrayLike<number>): Float64Array {
  const sizes = sizesOf(shape);
  const columns = Array.from({ length: sizes.c }, (_, k) => channelOf(values, sizes, k));
  const there = Array.from(mask).flatMap((m, i) => (m === 0 ? [] : [i]));
  return Float64Array.from(there.flatMap((i) => columns.map((column) => column[i]!)));
}

interface Pass {
  y: ArrayLike<number>;
  dx: ArrayLike<number>;
  dweight: ArrayLike<number>;
  dbias: ArrayLike<number>;
  mean: ArrayLike<number>;
  variance: ArrayLike<number>;
}

/** One batch through the functional form; γ, β and running values are made anew from `seed`. */
function pass(values: ArrayLike<number>, slopes: ArrayLike<number>, shape: readonly number[], seed: number, mask?: Tensor): Pass {
  const random = randomOf(seed);
  const c = shape[1]!;
  const [x, weight, bias] = [leaf(values, shape), leaf(normals(random, c), [c]), leaf(normals(random, c), [c])];
  const running = { runningMean: tensor(normals(random, c)), runningVar: tensor(normals(random, c).map(Math.abs)) };
  const y = ops.batchNorm(x, { training: true, weight, bias, ...running, eps: 1e-3, ...(mask && { mask }) });
  y.backward(tensor(slopes, shape));
  const [dx, dweight, dbias] = [x.grad, weight.grad, bias.grad].map((t) => t!.data()) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  return { y: y.data(), dx, dweight, dbias, mean: running.runningMean.data(), variance: running.runningVar.data() };
}

describe.each(targets)("batch normalization on $name", ({ name, backend }) => {
  const float64 = name === "reference";
  const property = <T>(claim: string, runs: number, arbitrary: fc.Arbitrary<T>, check: (example: T) => void) =>
    properties.property(claim, runs, arbitrary, (example) => withBackend(backend, () => tidy(() => check(example))));

  const merged = float64 ? 1e-12 : 1e-6;
  const parts = fc.record({
    sizes: splits(fc.integer({ min: 1, max: 150 })),
    space: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
    c: fc.integer({ min: 1, max: 6 }),
    seed: seeds,
    offset: fc.constantFrom(0, 5, -1e4),
  });
  property(
    `moments of any parts, empty ones included, are the whole's: mean within ${merged}·max|mean|, variance within ${merged}·max variance`,
    250,
    parts,
    ({ sizes, space, c, seed, offset }) => {
      const shape = [sizes.reduce((a, b) => a + b), c, ...space];
      const values = normals(randomOf(seed), sizeOf(shape), offset);
      const rows = ops.channelMoments(cut(values, shape, sizes)).data();
      const want = channelMoments(values, sizesOf(shape));
      const mean = want.mean.map((_, k) => rows[k]! + rows[c + k]!);
      expect(outside("mean", mean, want.mean, merged * 1e-3 * largest(want.mean) + merged)).toBeNull();
      // One value has the variance 0 on both sides.
      expect(outside("variance", rows.slice(2 * c), want.variance, merged * Math.max(1, largest(want.variance)))).toBeNull();
    },
  );

  const together = float64 ? 1e-10 : 1e-5;
  const models = fc.record({
    sizes: splits(fc.integer({ min: 8, max: 24 })),
    width: fc.integer({ min: 1, max: 6 }),
    seed: seeds,
  });
  property(
    `random networks on random parts, empty ones included: loss, y, dx, gradients and state are the whole batch's within ${together} of the largest`,
    120,
    models,
    ({ sizes, width, seed }) => {
      const random = randomOf(seed);
      const total = sizes.reduce((a, b) => a + b);
      const model = network(random, width);
      const start = new Map([...model.stateDict()].map(([key, t]) => [key, tensor(t.data(), t.shape, { dtype: t.dtype })]));
      const [values, slopes] = [normals(random, total * width, 1, 2), normals(random, total * 3)];
      const run = (whole: boolean) => {
        model.loadStateDict(start);
        model.zeroGrad();
        const own = whole ? [total] : sizes;
        const xs = cut(values, [total, width], own);
        const dys = cut(slopes, [total, 3], own);
        const ys = whole ? [model.call(xs[0]!)] : model.callTogether(xs);
        const loss = ys.map((y, i) => y.mul(dys[i]!.detach()).sum()).reduce((a, b) => a.add(b));
        loss.backward();
        return {
          values: [[loss.item()], ys.flatMap(bits)],
          gradients: [xs.flatMap((x) => bits(x.grad)), ...model.parameters().map((p) => bits(p.grad))],
          state: model.buffers().map(bits),
        };
      };
      const [want, got] = [run(true), run(false)];
      for (const key of ["values", "gradients", "state"] as const) {
        // A gradient that is 0 but for rounding is measured by the others.
        const most = Math.max(1, ...want[key].map(largest));
        want[key].forEach((list, i) => {
          expect(outside(`${key} ${i}`, got[key][i]!, list, together * most)).toBeNull();
        });
      }
    },
  );

  const running = float64 ? 1e-13 : 1e-6;
  const sequences = fc.record({
    seed: seeds,
    steps: fc.integer({ min: 1, max: 12 }),
    momentum: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 0.1)),
    cumulative: fc.boolean(),
  });
  property(
    `k batches: running = (1 − m)^k·start + Σ m·(1 − m)^(k − i)·batch i, or their mean without m, within ${running}·largest; decay 1 − m has the bits of m`,
    150,
    sequences,
    ({ seed, steps, momentum, cumulative }) => {
      const random = randomOf(seed);
      const c = 1 + Math.floor(5 * random.uniform());
      const options = cumulative ? { momentum: null } : { momentum };
      const [layer, other] = [
        new nn.BatchNorm1d(c, options),
        new nn.BatchNorm1d(c, cumulative ? options : { decay: 1 - momentum }),
      ];
      // 1 − (1 − m) is not m for every double.
      const m = other.momentum ?? 0;
      layer.momentum = other.momentum;
      const batches = Array.from({ length: steps }, () => {
        const shape = [2 + Math.floor(9 * random.uniform()), c];
        const values = normals(random, sizeOf(shape), 2, 3);
        for (const bn of [layer, other]) bn.forward(tensor(values, shape));
        const { mean, variance } = channelMoments(values, sizesOf(shape));
        return [mean, variance.map((v) => (v * shape[0]!) / (shape[0]! - 1))] as const;
      });
      const weightOf = (i: number) => (cumulative ? 1 / steps : m * (1 - m) ** (steps - 1 - i));
      [layer.runningMean!, layer.runningVar!].forEach((t, row) => {
        const start = cumulative ? 0 : row * (1 - m) ** steps;
        const want = Float64Array.from({ length: c }, (_, k) =>
          batches.reduce((sum, b, i) => sum + weightOf(i) * b[row]![k]!, start),
        );
        const scale = Math.max(1, ...batches.map((b) => largest(b[row]!)));
        expect(outside(["mean", "variance"][row]!, t.data(), want, running * scale)).toBeNull();
      });
      expect(other.buffers().map(bits)).toEqual(layer.buffers().map(bits));
    },
  );

  const masked = float64 ? 1e-12 : 1e-6;
  const examples = fc.record({ shape: shapes, seed: seeds });
  property(
    `a mask of ones is none: y and running values within ${masked}·largest, gradients within 8 times that`,
    150,
    examples,
    ({ shape, seed }) => {
      const random = randomOf(seed);
      const [values, slopes] = [normals(random, sizeOf(shape), 1), normals(random, sizeOf(shape))];
      const want = pass(values, slopes, shape, seed);
      const got = pass(values, slopes, shape, seed, ones([shape[0]!, ...shape.slice(2)]));
      for (const key of Object.keys(want) as (keyof Pass)[]) {
        const more = key.startsWith("d") ? 8 : 1;
        expect(outside(key, got[key], want[key], masked * more * Math.max(1, largest(want[key])))).toBeNull();
      }
    },
  );

  property(
    `a masked batch is that of its positions alone: y and running values within ${masked}·largest, gradients within 8 times that; elsewhere 0`,
    150,
    fc.record({ shape: shapes, seed: seeds, share: fc.constantFrom(0.3, 0.6, 0.9) }),
    ({ shape, seed, share }) => {
      const random = randomOf(seed);
      const positions = sizeOf(shape) / shape[1]!;
      const mask = Float32Array.from({ length: positions }, (_, i) => (i < 2 || random.uniform() < share ? 1 : 0));
      const there = mask.reduce((a, b) => a + b, 0);
      const [values, slopes] = [normals(random, sizeOf(shape), 1), normals(random, sizeOf(shape))];
      const got = pass(values, slopes, shape, seed, tensor(mask, [shape[0]!, ...shape.slice(2)]));
      const own = [there, shape[1]!];
      const want = pass(compacted(values, shape, mask), compacted(slopes, shape, mask), own, seed);
      for (const key of Object.keys(want) as (keyof Pass)[]) {
        const more = key.startsWith("d") ? 8 : 1;
        const list = key === "y" || key === "dx" ? compacted(got[key], shape, mask) : got[key];
        expect(outside(key, list, want[key], masked * more * Math.max(1, largest(want[key])))).toBeNull();
      }
      const absent = mask.map((m) => 1 - m);
      for (const list of [got.y, got.dx]) expect(largest(compacted(list, shape, absent))).toBe(0);
    },
  );
});

it("820 random cases on each of two backends: 1,640 in all", () => {
  expect(properties.declared).toBe(2 * 820);
});
