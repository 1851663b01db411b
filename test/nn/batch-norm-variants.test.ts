import { afterAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { normal, ones, tensor } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { channelMoments, sizesOf } from "../reference/batch-norm.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const reference = targets[1]!.backend;
const EPS = 1e-5;

/** Ioffe 2017, algorithm 1, for one batch; moves `state` (mean and variance per channel). */
function renormalized(
  x: Tensor,
  state: { mean: number[]; variance: number[] },
  rMax: number,
  dMax: number,
  momentum: number,
): Float64Array {
  const sizes = sizesOf(x.shape);
  const values = x.data();
  const { mean, variance } = channelMoments(values, sizes);
  const count = sizes.n * sizes.s;
  const y = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const c = Math.floor(i / sizes.s) % sizes.c;
    const [sigmaB, sigma] = [Math.sqrt(variance[c]! + EPS), Math.sqrt(state.variance[c]! + EPS)];
    const r = Math.min(rMax, Math.max(1 / rMax, sigmaB / sigma));
    const d = Math.min(dMax, Math.max(-dMax, (mean[c]! - state.mean[c]!) / sigma));
    y[i] = ((values[i]! - mean[c]!) / sigmaB) * r + d;
  }
  state.mean = state.mean.map((m, c) => m + momentum * (mean[c]! - m));
  state.variance = state.variance.map((v, c) => v + momentum * ((variance[c]! * count) / (count - 1) - v));
  return y;
}

describe.each(targets)("BatchRenorm on $name", ({ name, backend }) => {
  const on = <T>(fn: () => T) => withBackend(backend, () => tidy(fn));
  const tolerance = name === "wasm" ? 5e-6 : 1e-10;

  it.each([
    [1, 0],
    [1.1, 0.2],
    [3, 5],
    [1e9, 1e9],
  ])(
    `with rMax %d and dMax %d: y and running values of 4 batches are those of the paper's algorithm within ${tolerance}`,
    (rMax, dMax) => {
      on(() => {
        manualSeed(2);
        const layer = new nn.BatchRenorm(3, { rMax, dMax, momentum: 0.2 });
        const state = { mean: [0, 0, 0], variance: [1, 1, 1] };
        for (let k = 0; k < 4; k++) {
          const x = normal([6, 3, 4], k - 1, 1 + k);
          const y = layer.forward(x);
          const want = renormalized(x, state, rMax, dMax, 0.2);
          expect(outside(`y ${k}`, y.data(), want, tolerance * largest(want))).toBeNull();
          expect(outside("mean", layer.runningMean!.data(), state.mean, tolerance)).toBeNull();
          expect(outside("variance", layer.runningVar!.data(), state.variance, tolerance * largest(state.variance))).toBeNull();
        }
        expect(layer.numBatchesTracked!.item()).toBe(4);
      });
    },
  );

  it("with rMax 1 and dMax 0 it has the output, gradients and running values of BatchNorm; without limits those of evaluation", () => {
    on(() => {
      manualSeed(5);
      const x = normal([8, 3, 2], 2, 3);
      const dy = normal([8, 3, 2]);
      const make = [new nn.BatchNorm1d(3), new nn.BatchRenorm(3, { rMax: 1, dMax: 0 })];
      const [a, b] = make.map((layer) => {
        const leaf = x.detach();
        leaf.requiresGrad = true;
        const y = layer.forward(leaf);
        y.backward(dy);
        return [y, leaf.grad!, layer.weight!.grad!, layer.bias!.grad!, layer.runningMean!, layer.runningVar!].map((t) =>
          t.data(),
        );
      });
      a!.forEach((want, i) => void expect(outside(`${i}`, b![i]!, want, 1e-5 * largest(want))).toBeNull());

      const free = new nn.BatchRenorm(3, { rMax: 1e9, dMax: 1e9 });
      const evaluated = new nn.BatchRenorm(3).eval().forward(x).data();
      expect(outside("free", free.forward(x).data(), evaluated, 1e-5 * largest(evaluated))).toBeNull();
    });
  });

  it("parts of a batch together are the whole batch within 1e-5", () => {
    on(() => {
      manualSeed(6);
      const x = normal([8, 3], 2, 3);
      const run = (parts: (layer: nn.BatchRenorm, x: Tensor) => Tensor) => {
        const layer = new nn.BatchRenorm(3, { rMax: 1.5, dMax: 0.5 });
        const leaf = x.detach();
        leaf.requiresGrad = true;
        const y = parts(layer, leaf);
        y.square().mul(y).sum().backward();
        return [y, leaf.grad!, layer.weight!.grad!, layer.bias!.grad!, layer.runningVar!].map((t) => t.data());
      };
      const whole = run((layer, t) => layer.call(t));
      const split = run((layer, t) =>
        nn.cat(new nn.Sequential(layer, new nn.Identity()).callTogether([t.slice(0, 0, 3), t.slice(0, 3, 8)])),
      );
      whole.forEach((want, i) => void expect(outside(`${i}`, split[i]!, want, 1e-5 * largest(want))).toBeNull());
    });
  });
});

describe("BatchRenorm", () => {
  it("first and second derivatives with r and d held constant are within 1e-6 of difference quotients", () => {
    withBackend(reference, () =>
      tidy(() => {
        // With both corrections clipped, r and d are constants of the function, too.
        const call = (x: Tensor, weight?: Tensor) => {
          const layer = new nn.BatchRenorm(2, { rMax: 1.0001, dMax: 1e-4, weight: false, bias: false });
          return layer.forward(x.mul(3).add(2)).mul(weight!);
        };
        const leaf = (shape: number[]) => {
          const t = normal(shape);
          t.requiresGrad = true;
          return t;
        };
        const inputs = [leaf([5, 2, 3]), leaf([2, 1])];
        gradcheck(call, inputs);
        gradgradcheck(call, inputs);
      }),
    );
  });

  it("follows the paper's schedule by default, goes on with it after a load, and starts anew after a reset", () => {
    const layer = new nn.BatchRenorm(1);
    const [r, d] = [layer.rMax, layer.dMax] as ((batch: number) => number)[];
    expect([0, 5_000, 22_500, 40_000, 1e6].map((k) => r!(k))).toEqual([1, 1, 2, 3, 3]);
    expect([0, 5_000, 15_000, 25_000].map((k) => d!(k))).toEqual([0, 0, 2.5, 5]);
    const seen: number[] = [];
    const make = () => new nn.BatchRenorm(1, { rMax: (batch) => seen.push(batch) && 2, dMax: 1 });
    const first = make();
    for (let k = 0; k < 3; k++) first.forward(normal([4, 1]));
    expect(seen.at(-1)).toBe(2);
    const second = make();
    second.loadStateDict(first.stateDict());
    second.forward(normal([4, 1]));
    expect(seen.at(-1)).toBe(3);
    second.resetRunningStats();
    second.forward(normal([4, 1]));
    expect(seen.at(-1)).toBe(0);
  });

  it("refuses limits that cannot be, layers without running values, and masks; nothing moves", () => {
    expect(() => new nn.BatchRenorm(2, { rMax: 0.5 })).toThrow("BatchRenorm: expected rMax of at least 1, got 0.5.");
    expect(() => new nn.BatchRenorm(2, { dMax: -1 })).toThrow("BatchRenorm: expected dMax of at least 0, got -1.");
    expect(() => new nn.BatchRenorm(2, { trackRunningStats: false })).toThrow("expected trackRunningStats, got false");
    const layer = new nn.BatchRenorm(2, { rMax: (k) => (k === 1 ? Number.NaN : 1) });
    layer.forward(normal([3, 2]));
    const before = [...layer.runningMean!.data()];
    expect(() => layer.forward(normal([3, 2]))).toThrow("expected rMax of at least 1, got NaN");
    expect(() => new nn.BatchRenorm(2).forward(ones([2, 2]), ones([2]))).toThrow("BatchRenorm: takes no mask.");
    expect([[...layer.runningMean!.data()], layer.numBatchesTracked!.item()]).toEqual([before, 1]);
    expect(layer.toString()).toContain("rMax = a schedule, dMax = a schedule");
  });

  it("has the state keys of BatchNorm and takes its state", () => {
    const bn = new nn.BatchNorm1d(2);
    bn.forward(normal([4, 2]));
    const layer = new nn.BatchRenorm(2);
    layer.loadStateDict(bn.stateDict());
    expect([...layer.runningMean!.data()]).toEqual([...bn.runningMean!.data()]);
  });
});

describe.each(targets)("GhostBatchNorm on $name", ({ backend }) => {
  const on = <T>(fn: () => T) => withBackend(backend, () => tidy(fn));

  it.each([
    [12, 4],
    [10, 4],
    [9, 4],
    [3, 4],
    [4, 4],
  ])(
    "of %d examples in ghosts of %d is BatchNorm on each ghost in turn, bit for bit: y, gradients, running values",
    (n, size) => {
      on(() => {
        manualSeed(8);
        const x = normal([n, 2], 1, 3);
        const dy = normal([n, 2]);
        // 9 = 4 + 4 + 1: the last one joins the ghost before it.
        const ends = n === 9 ? [4, 9] : Array.from({ length: Math.ceil(n / size) }, (_, i) => Math.min(n, (i + 1) * size));
        const run = (layer: nn.BatchNorm, forward: (t: Tensor) => Tensor) => {
          const leaf = x.detach();
          leaf.requiresGrad = true;
          const y = forward(leaf);
          y.backward(dy);
          return [y, leaf.grad!, layer.runningMean!, layer.runningVar!, layer.numBatchesTracked!].map((t) => [...t.data()]);
        };
        const bn = new nn.BatchNorm1d(2);
        const want = run(bn, (t) => nn.cat(ends.map((end, i) => bn.forward(t.slice(0, ends[i - 1] ?? 0, end)))));
        const ghost = new nn.GhostBatchNorm(2, size);
        expect(run(ghost, (t) => ghost.forward(t))).toEqual(want);
        expect([...ghost.eval().forward(x).data()]).toEqual([...bn.eval().forward(x).data()]);
      });
    },
  );

  it("the running mean after one batch is the paper's sum over ghost batches within 1e-6", () => {
    on(() => {
      const layer = new nn.GhostBatchNorm(1, 2, { momentum: 0.25 });
      layer.forward(tensor([1, 3, 5, 7, 9, 11], [6, 1]));
      const want = [2, 6, 10].reduce((sum, mean, i) => sum + 0.25 * 0.75 ** (2 - i) * mean, 0);
      expect(outside("mean", layer.runningMean!.data(), [want], 1e-6)).toBeNull();
    });
  });
});

describe("GhostBatchNorm", () => {
  it("has gradients within 1e-6 of difference quotients", () => {
    withBackend(reference, () =>
      tidy(() => {
        const x = normal([7, 2, 2]);
        x.requiresGrad = true;
        const layer = new nn.GhostBatchNorm(2, 3);
        gradcheck((t) => layer.forward(t), [x, layer.weight!, layer.bias!]);
        gradgradcheck((t) => layer.forward(t), [x]);
      }),
    );
  });

  it("refuses a size that is no integer, ghosts of one value per channel before anything moves, masks, and parts", () => {
    expect(() => new nn.GhostBatchNorm(2, 0)).toThrow(
      "GhostBatchNorm: expected ghostSize to be an integer of at least 1, got 0.",
    );
    const layer = new nn.GhostBatchNorm(2, 1);
    expect(() => layer.forward(ones([4, 2]))).toThrow(
      "Expected more than 1 value per channel when training, got input size [1, 2]",
    );
    expect(layer.numBatchesTracked!.item()).toBe(0);
    expect(() => layer.forward(ones([4, 2]), ones([4]))).toThrow("GhostBatchNorm: takes no mask.");
    expect(() => layer.callTogether([ones([4, 2])])).toThrow("GhostBatchNorm: has no rule for parts of a batch");
    expect(layer.toString()).toContain("ghostSize = 1");
    expect([...layer.forward(ones([2, 2, 2])).data()]).toEqual(new Array(8).fill(0));
  });
});
