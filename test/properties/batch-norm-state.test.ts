// What holds for the state of every batch normalization, on random examples: nothing changes when a call is refused, and running
// values stay finite whatever comes in.
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EvenkeelError } from "../../src/core/errors.js";
import { setWarningHandler } from "../../src/core/warnings.js";
import type { Backend } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { ones, tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { startTargets } from "../fixtures/compare.js";
import { channelMoments, channelOf, sizesOf } from "../reference/batch-norm.js";
import { normals, Properties, randomOf, seeds, shapes, sizeOf } from "./support.js";

const targets = await startTargets();
let restoreWarnings: ReturnType<typeof setWarningHandler>;
beforeAll(() => {
  restoreWarnings = setWarningHandler(() => {});
});
afterAll(() => {
  setWarningHandler(restoreWarnings);
  for (const { backend } of targets) backend.dispose();
});
const properties = new Properties();

const bits = (t: Tensor | null | undefined) => [...t!.data()];
const stateOf = (layer: nn.BatchNorm) =>
  [...layer.parameters(), ...layer.buffers()].map((t) => [t.shape, t.requiresGrad, bits(t), t.grad]);
const kinds = { 2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d } as const;

interface Case {
  shape: number[];
  layer: nn.BatchNorm;
  other: Backend;
}

const gone = (t: Tensor) => {
  t.dispose();
  return t;
};
const ints = (shape: readonly number[]) => zeros(shape, { dtype: "int32" });
const positionsOf = (shape: readonly number[]) => [shape[0]!, ...shape.slice(2)];
const swapped = (shape: readonly number[], axis: number, size: number) => shape.map((k, i) => (i === axis ? size : k));

/** Calls that must be refused, by what is wrong with them. */
const wrong: Record<string, (given: Case) => unknown> = {
  "too few axes": ({ layer, shape }) => layer.forward(ones(shape.slice(0, 1))),
  "no axes": ({ layer }) => layer.forward(ones([])),
  "too many axes": ({ layer, shape }) => layer.forward(ones([...shape, ...Array(6 - shape.length).fill(1)].slice(0, 6))),
  "one channel more": ({ layer, shape }) => layer.forward(ones(swapped(shape, 1, shape[1]! + 1))),
  "no channels": ({ layer, shape }) => layer.forward(ones(swapped(shape, 1, 0))),
  "an empty batch of other channels": ({ layer, shape }) => layer.forward(ones(swapped(swapped(shape, 0, 0), 1, shape[1]! + 2))),
  integers: ({ layer, shape }) => layer.forward(ints(shape)),
  "a disposed input": ({ layer, shape }) => layer.forward(gone(ones(shape))),
  "another backend": ({ layer, shape, other }) => layer.forward(withBackend(other, () => ones(shape))),
  "one value per channel": ({ layer, shape }) => layer.train().forward(ones([1, shape[1]!, ...shape.slice(2).map(() => 1)])),
  "one value per channel and a ReLU": ({ layer, shape }) =>
    layer.train().forwardRelu(ones([1, shape[1]!, ...shape.slice(2).map(() => 1)])),
  "a mask with channels": ({ layer, shape }) => layer.forward(ones(shape), ones([...positionsOf(shape), shape[1]!])),
  "a mask of another length": ({ layer, shape }) =>
    layer.forward(ones(shape), ones(swapped(positionsOf(shape), 0, shape[0]! + 1))),
  "a mask of integers": ({ layer, shape }) => layer.forward(ones(shape), ints(positionsOf(shape))),
  "a disposed mask": ({ layer, shape }) => layer.forward(ones(shape), gone(ones(positionsOf(shape)))),
  "a mask on another backend": ({ layer, shape, other }) =>
    layer.forward(
      ones(shape),
      withBackend(other, () => ones(positionsOf(shape))),
    ),
  "momentum that is no number": ({ layer, shape }) => {
    layer.momentum = Number.NaN;
    return layer.forward(ones(shape));
  },
  "momentum that is no number, in parts": ({ layer, shape }) => {
    layer.momentum = Number.NaN;
    return layer.callTogether([ones(shape), ones(shape)]);
  },
  "a part of other channels": ({ layer, shape }) => layer.callTogether([ones(shape), ones(swapped(shape, 1, shape[1]! + 1))]),
  "a part of integers": ({ layer, shape }) => layer.callTogether([ones(shape), ints(shape)]),
  "a disposed part": ({ layer, shape }) => layer.callTogether([ones(shape), gone(ones(shape))]),
  "a part on another backend": ({ layer, shape, other }) =>
    layer.callTogether([ones(shape), withBackend(other, () => ones(shape))]),
  "one value per channel in all parts": ({ layer, shape }) => {
    const one = [1, shape[1]!, ...shape.slice(2).map(() => 1)];
    return layer.callTogether([ones(swapped(one, 0, 0)), ones(one)]);
  },
  "a state without weight": ({ layer }) => {
    const state = new Map([...layer.stateDict()].map(([key, t]) => [key, zeros(t.shape, { dtype: t.dtype })]));
    state.delete("weight");
    return layer.loadStateDict(state);
  },
  "a state with a negative variance": ({ layer }) => {
    const state = new Map([...layer.stateDict()].map(([key, t]) => [key, zeros(t.shape, { dtype: t.dtype })]));
    state.set("running_var", tensor(Array(layer.numFeatures).fill(-1)));
    return layer.loadStateDict(state);
  },
};

/** Calls of the functional form that must be refused; the four tensors are those of the layer. */
const wrongOptions: Record<string, (given: ops.BatchNormOptions) => ops.BatchNormOptions> = {
  "a running mean alone": (given) => ({ ...given, runningVar: null }),
  "a running variance alone": (given) => ({ ...given, runningMean: null }),
  "a weight of another size": (given) => ({ ...given, weight: ones([given.weight!.size + 1]) }),
  "a bias of two axes": (given) => ({ ...given, bias: given.bias!.reshape([1, given.bias!.size]) }),
  "a disposed weight": (given) => ({ ...given, weight: gone(given.weight!.mul(1)) }),
  "a running mean of integers": (given) => ({ ...given, runningMean: ints([given.weight!.size]) }),
  "negative eps": (given) => ({ ...given, eps: -1e-9 }),
  "eps that is no number": (given) => ({ ...given, eps: Number.NaN }),
  "infinite eps": (given) => ({ ...given, eps: Infinity }),
  "infinite momentum": (given) => ({ ...given, momentum: Infinity }),
  "no momentum and no counter": (given) => ({ ...given, momentum: null, counter: null }),
  "a counter that is no integer": (given) => ({ ...given, counter: ones([1]) }),
  "two counters of batches": (given) => ({ ...given, counter: ints([2]) }),
  "a count of refused channels too many": (given) => ({ ...given, rejected: ints([given.weight!.size + 1]) }),
  "another activation": (given) => ({ ...given, activation: "gelu" as "relu" }),
  "another compat": (given) => ({ ...given, compat: "keras" as "torch" }),
};

/** Values that break statistics, or come close. */
const odd = [
  Number.NaN,
  Infinity,
  -Infinity,
  3.4028234663852886e38,
  -3.4e38,
  1e38,
  -1e38,
  1e20,
  -1e20,
  1e19,
  1e-45,
  -1e-40,
  1e-38,
  0,
  -0,
  1,
];

function salted(seed: number, shape: readonly number[], share: number): Float32Array {
  const random = randomOf(seed);
  const few = Array.from({ length: 1 + Math.floor(4 * random.uniform()) }, () => odd[Math.floor(random.uniform() * odd.length)]!);
  return normals(random, sizeOf(shape)).map((v) =>
    random.uniform() < share ? few[Math.floor(random.uniform() * few.length)]! : v,
  );
}

describe.each(targets)("state of batch normalization on $name", ({ backend }) => {
  const other = targets.map((t) => t.backend).find((b) => b !== backend)!;
  const property = <T>(claim: string, runs: number, arbitrary: fc.Arbitrary<T>, check: (example: T) => void) =>
    properties.property(claim, runs, arbitrary, (example) => withBackend(backend, () => tidy(() => check(example))));

  const calls = fc.record({
    shape: shapes.filter((shape) => sizeOf(shape) < 1000),
    seed: seeds,
    kind: fc.constantFrom(...Object.keys(wrong)),
    momentum: fc.constantFrom(null, 0.1, 1),
    set: fc.boolean(),
  });
  property(
    `a call of a layer that is refused (${Object.keys(wrong).length} ways) changes no buffer, parameter, gradient or counter, bit for bit`,
    600,
    calls,
    ({ shape, seed, kind, momentum, set }) => {
      const layer = new kinds[shape.length as keyof typeof kinds](shape[1]!, { momentum });
      layer.forward(tensor(normals(randomOf(seed), sizeOf(shape)), shape));
      if (set) layer.use("second").forward(tensor(normals(randomOf(seed + 1), sizeOf(shape)), shape));
      const before = stateOf(layer);
      expect(() => wrong[kind]!({ shape, layer, other }), kind).toThrow(EvenkeelError);
      expect(stateOf(layer)).toEqual(before);
    },
  );

  property(
    `a call of the functional form that is refused (${Object.keys(wrongOptions).length} ways) changes no running value or counter, bit for bit`,
    300,
    fc.record({ shape: shapes, seed: seeds, kind: fc.constantFrom(...Object.keys(wrongOptions)), stats: fc.boolean() }),
    ({ shape, seed, kind, stats }) => {
      const random = randomOf(seed);
      const make = () => tensor(normals(random, shape[1]!).map(Math.abs));
      const [runningMean, runningVar, weight, bias] = [make(), make(), make(), make()];
      const [counter, rejected] = [ints([1]), ints([shape[1]!])];
      const kept = { runningMean, runningVar, weight, bias, counter, rejected };
      const state = () => Object.values(kept).map(bits);
      const before = state();
      const x = tensor(normals(random, sizeOf(shape)), shape);
      const options = wrongOptions[kind]!({ ...kept, training: true });
      expect(() => (stats ? ops.batchNormWithStats(x, options) : ops.batchNorm(x, options)), kind).toThrow(EvenkeelError);
      expect(state()).toEqual(before);
    },
  );

  const inputs = fc.record({
    shape: shapes,
    seed: seeds,
    share: fc.constantFrom(0.02, 0.3, 1),
    momentum: fc.constantFrom(null, 0.1, 0.9, 1),
    how: fc.constantFrom("forward", "forwardRelu", "parts", "mask"),
  });
  property(
    "running values stay finite and variances at least 0, whatever came in (NaN, ±Infinity, ±1e38, 1e20, denormals), by any way",
    600,
    inputs,
    ({ shape, seed, share, momentum, how }) => {
      const layer = new kinds[shape.length as keyof typeof kinds](shape[1]!, { momentum });
      for (let i = 0; i < 2; i++) {
        const x = tensor(salted(seed + i, shape, share), shape);
        if (how === "forward") layer.forward(x);
        else if (how === "forwardRelu") layer.forwardRelu(x);
        else if (how === "parts") layer.callTogether([x, x.slice(0, 0, 0), x]);
        else layer.forward(x, ones(positionsOf(shape)));
      }
      expect(bits(layer.runningMean).every(Number.isFinite)).toBe(true);
      expect(bits(layer.runningVar).every((v) => Number.isFinite(v) && v >= 0)).toBe(true);
      expect(layer.numBatchesTracked!.item()).toBe(2);
    },
  );

  const poisoned = fc.record({ shape: shapes, seed: seeds, value: fc.constantFrom(Number.NaN, Infinity, -Infinity) });
  property(
    'one value that is not finite: y of its channel alone is NaN, that channel is kept out and counted, the others move; compat "torch" lets it in',
    150,
    poisoned,
    ({ shape, seed, value }) => {
      const random = randomOf(seed);
      const values = normals(random, sizeOf(shape));
      const sizes = sizesOf(shape);
      const at = Math.floor(random.uniform() * values.length);
      const channel = Math.floor(at / sizes.s) % sizes.c;
      const clean = channelMoments(values, sizes);
      values[at] = value;
      const run = (compat: "torch" | null) => {
        const layer = new kinds[shape.length as keyof typeof kinds](shape[1]!, { momentum: 1, compat });
        const y = layer.forward(tensor(values, shape));
        return { y: y.data(), mean: bits(layer.runningMean), variance: bits(layer.runningVar), rejected: bits(layer.rejected) };
      };
      const [guarded, torch] = [run(null), run("torch")];
      for (let c = 0; c < sizes.c; c++) {
        const isPoisoned = c === channel;
        expect(channelOf(guarded.y, sizes, c).every(Number.isNaN)).toBe(isPoisoned);
        expect(Math.abs(guarded.mean[c]! - (isPoisoned ? 0 : clean.mean[c]!))).toBeLessThan(1e-5);
        expect(Number.isFinite(torch.mean[c]!)).toBe(!isPoisoned);
        expect(Number.isNaN(torch.variance[c]!)).toBe(isPoisoned);
      }
      expect(guarded.variance[channel]).toBe(1);
      expect(guarded.rejected).toEqual(guarded.rejected.map((_, c) => (c === channel ? 1 : 0)));
      expect(torch.rejected.every((count) => count === 0)).toBe(true);
    },
  );
});

it("1,650 random cases on each of two backends: 3,300 in all", () => {
  expect(properties.declared).toBe(2 * 1650);
});
