import { afterAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { Random } from "../../src/core/random.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { withoutStatsUpdate } from "../../src/nn/stats-update.js";
import { full, ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";

const targets = await startTargets();
const [wasm, reference] = targets.map(({ backend }) => backend);
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const random = new Random(5);
const bits = (t: Tensor | null) => [...t!.data()];
const normals = (size: number, mean = 0, std = 1): Float32Array =>
  Float32Array.from({ length: size }, () => mean + std * random.normal());

/** Gives a layer a γ and a β that differ everywhere. */
function withParameters<M extends nn.Module>(layer: M): M {
  for (const p of layer.parameters()) p.backend.write(p.storage, normals(p.size, 0.5));
  return layer;
}

/** y and all gradients of a layer, for a dy that depends on the size alone. */
function run(layer: nn.Module, values: ArrayLike<number>, shape: readonly number[]) {
  const x = tensor(values, shape, { requiresGrad: true });
  layer.zeroGrad();
  const y = layer.call(x);
  y.backward(
    tensor(
      Float32Array.from({ length: x.size }, (_, i) => Math.sin(i)),
      shape,
    ),
  );
  return { y: bits(y), dx: bits(x.grad), grads: layer.parameters().map((p) => bits(p.grad)) };
}

/** One layer of each kind that takes [N, 6, 3, 4], and over how many values it takes a mean. */
const kinds = [
  { name: "LayerNorm", make: () => new nn.LayerNorm([6, 3, 4]), count: 72, centred: true },
  { name: "GroupNorm", make: () => new nn.GroupNorm(2, 6), count: 36, centred: true },
  { name: "InstanceNorm2d", make: () => new nn.InstanceNorm2d(6, { affine: true }), count: 12, centred: true },
  { name: "RMSNorm", make: () => new nn.RMSNorm([6, 3, 4]), count: 72, centred: false },
] as const;
const size = 72;

/** The definition in float64: y, with γ and β repeated over what lies behind them. */
function define(x: ArrayLike<number>, count: number, centred: boolean, eps: number, weight: number[], bias: number[]) {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += count) {
    let mean = 0;
    for (let i = 0; centred && i < count; i++) mean += x[start + i]! / count;
    let variance = 0;
    for (let i = 0; i < count; i++) variance += (x[start + i]! - mean) ** 2 / count;
    for (let i = start; i < start + count; i++) {
      const channel = Math.floor(((i % size) * weight.length) / size);
      y[i] = ((x[i]! - mean) / Math.sqrt(variance + eps)) * weight[channel]! + (bias[channel] ?? 0);
    }
  }
  return y;
}

const parametersOf = (layer: nn.Module) => layer.parameters().map((p) => [...p.data()]) as [number[], number[]?];

describe.each(targets)("each kind on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);

  it.each(kinds)("$name: y within 1e-5·max|γ| of float64 at offsets 0, 1e3, -1e6, 1e6", ({ make, count, centred }) => {
    on(() => {
      for (const offset of [0, 1e3, -1e6, 1e6]) {
        const layer = withParameters(make());
        const x = normals(2 * size, offset);
        const [weight, bias = []] = parametersOf(layer);
        const want = define(x, count, centred, centred ? 1e-5 : 2 ** -23, weight, bias);
        const y = layer.call(tensor(x, [2, 6, 3, 4])).data();
        expect(outside(`y at offset ${offset}`, y, want, 1e-5 * largest(weight))).toBeNull();
      }
    });
  });

  it.each(kinds.filter(({ centred }) => centred))("$name: a constant example gives exactly β, also with eps = 0", ({ make }) => {
    on(() => {
      for (const eps of [1e-5, 0]) {
        const layer = Object.assign(withParameters(make()), { eps });
        const bias = parametersOf(layer)[1]!;
        for (const value of [1e-1, 1e3, 123456.789]) {
          const y = bits(layer.call(full([2, 6, 3, 4], value)));
          expect(y).toEqual(y.map((_, i) => bias[Math.floor(((i % size) * bias.length) / size)]));
        }
      }
    });
  });

  it.each(kinds)("$name: an example has the same bits of y and dx alone and in a batch", ({ make }) => {
    on(() => {
      const layer = withParameters(make());
      const x = normals(7 * size);
      const whole = tensor(x, [7, 6, 3, 4], { requiresGrad: true });
      const y = layer.call(whole);
      const dy = normals(7 * size);
      y.backward(tensor(dy, whole.shape));
      for (const i of [0, 3, 6]) {
        const part = <T extends { slice(a: number, b: number): T }>(list: T) => list.slice(i * size, (i + 1) * size);
        const alone = tensor(part(x), [1, 6, 3, 4], { requiresGrad: true });
        const own = layer.call(alone);
        own.backward(tensor(part(dy), alone.shape));
        expect([bits(own), bits(alone.grad)]).toEqual([part(bits(y)), part(bits(whole.grad))]);
      }
    });
  });

  it.each(kinds)("$name: training and evaluation give the same bits", ({ make }) => {
    on(() => {
      const layer = withParameters(make());
      const x = normals(2 * size);
      expect(run(layer.eval(), x, [2, 6, 3, 4])).toEqual(run(layer.train(), x, [2, 6, 3, 4]));
    });
  });

  it.each(kinds)("$name: an empty batch gives an empty y and zero gradients", ({ make }) => {
    on(() => {
      const layer = make();
      const x = zeros([0, 6, 3, 4], { requiresGrad: true });
      const y = layer.call(x);
      y.backward(zeros([0, 6, 3, 4]));
      expect([y.shape, x.grad!.shape]).toEqual([x.shape, x.shape]);
      for (const p of layer.parameters()) expect(bits(p.grad)).toEqual(Array(p.size).fill(0));
    });
  });

  it.each(kinds)("$name: scaling an example by 8 changes y by less than 1e-5·max|γ| (variance about 1e4)", ({ make }) => {
    on(() => {
      const layer = withParameters(make());
      const x = normals(2 * size, 0, 100);
      const y = run(layer, x, [2, 6, 3, 4]).y;
      const scaled = run(
        layer,
        x.map((v) => 8 * v),
        [2, 6, 3, 4],
      ).y;
      expect(outside("y", scaled, y, 1e-5 * largest(parametersOf(layer)[0]))).toBeNull();
    });
  });

  it("LayerNorm: adding 4 to an example changes y by less than 1e-5·max|γ|; RMSNorm changes by more than 0.1", () => {
    on(() => {
      // Multiples of 1/256, so that the sums are exact.
      const x = normals(2 * size).map((v) => Math.round(v * 256) / 256);
      const change = (layer: nn.Module) => {
        const [before, after] = [x, x.map((v) => v + 4)].map((values) => layer.call(tensor(values, [2, 6, 3, 4])).data());
        return largest(before!.map((v: number, i: number) => v - after![i]!));
      };
      const layer = withParameters(new nn.LayerNorm([6, 3, 4]));
      expect(change(layer)).toBeLessThan(1e-5 * largest(parametersOf(layer)[0]));
      expect(change(new nn.RMSNorm([6, 3, 4]))).toBeGreaterThan(0.1);
    });
  });

  it("GroupNorm with one group is LayerNorm over C, H, W with γ and β repeated, to the bit", () => {
    on(() => {
      const group = withParameters(new nn.GroupNorm(1, 6));
      const layer = new nn.LayerNorm([6, 3, 4]);
      for (const key of ["weight", "bias"] as const) {
        const repeated = group[key]!.detach().reshape([6, 1, 1]).expand([6, 3, 4]);
        layer[key]!.backend.write(layer[key]!.storage, repeated.data());
      }
      const x = normals(3 * size, 2);
      expect(run(group, x, [3, 6, 3, 4]).y).toEqual(run(layer, x, [3, 6, 3, 4]).y);
    });
  });

  it("GroupNorm with one group: gradients are LayerNorm's within 1e-5, those of γ and β summed over H and W", () => {
    on(() => {
      const x = normals(3 * size, 2);
      const group = run(new nn.GroupNorm(1, 6), x, [3, 6, 3, 4]);
      const layer = run(new nn.LayerNorm([6, 3, 4]), x, [3, 6, 3, 4]);
      expect(outside("dx", group.dx, layer.dx, 1e-5)).toBeNull();
      const sums = layer.grads.map((g) =>
        Array.from({ length: 6 }, (_, c) => g.slice(12 * c, 12 * c + 12).reduce((a, b) => a + b)),
      );
      sums.forEach((sum, i) => void expect(outside(`gradient ${i}`, group.grads[i]!, sum, 1e-5 * largest(sum))).toBeNull());
    });
  });

  it("GroupNorm with C groups is InstanceNorm, to the bit: y, dx and gradients of γ and β", () => {
    on(() => {
      const group = withParameters(new nn.GroupNorm(6, 6));
      const instance = new nn.InstanceNorm2d(6, { affine: true });
      instance.loadStateDict(group.stateDict());
      const x = normals(3 * size, 2);
      expect(run(group, x, [3, 6, 3, 4])).toEqual(run(instance, x, [3, 6, 3, 4]));
    });
  });

  it("LayerNorm without bias, functions without parameters, and layers as made give x̂", () => {
    on(() => {
      const x = tensor(normals(12), [3, 4]);
      const want = bits(nn.layerNorm(x, 4));
      expect(bits(new nn.LayerNorm(4, { bias: false }).call(x))).toEqual(want);
      expect(bits(new nn.LayerNorm(4, { elementwiseAffine: false }).call(x))).toEqual(want);
      expect(bits(nn.groupNorm(x, 1))).toEqual(want);
      expect(bits(nn.instanceNorm(x.reshape([1, 3, 4])))).toEqual(want);
      expect(bits(nn.rmsNorm(x, 4))).toEqual(bits(new nn.RMSNorm(4).call(x)));
    });
  });

  it("by hand: RMSNorm of 3, 4 is 3/√12.5, 4/√12.5 and LayerNorm -1, 1, within 1e-4", () => {
    on(() => {
      const x = tensor([3, 4], [1, 2]);
      expect(outside("rms", nn.rmsNorm(x, 2).data(), [3 / Math.sqrt(12.5), 4 / Math.sqrt(12.5)], 1e-6)).toBeNull();
      expect(outside("layer", nn.layerNorm(x, 2).data(), [-1, 1], 1e-4)).toBeNull();
    });
  });

  it("RMSNorm's eps of null is 2^-23 on either backend: zeros stay 0, and 2^-12 gives 2^-12/√(2^-24 + 2^-23) within 1e-6", () => {
    on(() => {
      const y = nn.rmsNorm(tensor([0, 0, 2 ** -12, 2 ** -12], [2, 2]), 2).data();
      expect(outside("y", y, [0, 0, 1 / Math.sqrt(3), 1 / Math.sqrt(3)], 1e-6)).toBeNull();
      expect(bits(nn.rmsNorm(zeros([1, 2]), 2, { eps: 0 }))).toEqual([0, 0]);
    });
  });

  it("NaN and Infinity stay in their group of their example", () => {
    on(() => {
      const y = nn.groupNorm(tensor([NaN, 1, 2, 3, Infinity, 1, 2, 3], [2, 4]), 2).data();
      expect([...y].map(Number.isNaN)).toEqual([true, true, false, false, true, true, false, false]);
    });
  });
});

/** Mean over the examples of mean and unbiased variance of each channel of x [n, c, s], in float64. */
function averages(x: ArrayLike<number>, [n, c, s]: readonly [number, number, number]) {
  const mean = new Float64Array(c);
  const variance = new Float64Array(c);
  for (let row = 0; row < n * c; row++) {
    let sum = 0;
    for (let i = 0; i < s; i++) sum += x[row * s + i]!;
    let squares = 0;
    for (let i = 0; i < s; i++) squares += (x[row * s + i]! - sum / s) ** 2;
    mean[row % c]! += sum / s / n;
    variance[row % c]! += squares / (s - 1) / n;
  }
  return { mean, variance };
}

describe.each(targets)("InstanceNorm that tracks running values, on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);
  const stateOf = (layer: nn.InstanceNorm) => layer.buffers().map(bits);

  it.each([0.1, 0.75, null])(
    "momentum %s: three batches of other sizes give the values of the definition within 1e-6 relative",
    (momentum) => {
      on(() => {
        const layer = new nn.InstanceNorm1d(3, { trackRunningStats: true, momentum });
        let want = { mean: new Float64Array(3), variance: new Float64Array(3).fill(1) };
        [2, 1, 5].forEach((n, i) => {
          const x = normals(n * 3 * 7, 40, 3);
          layer.call(tensor(x, [n, 3, 7]));
          const own = averages(x, [n, 3, 7]);
          const f = momentum ?? 1 / (i + 1);
          const moved = (old: Float64Array, now: Float64Array) => old.map((v, c) => (1 - f) * v + f * now[c]!);
          want = { mean: moved(want.mean, own.mean), variance: moved(want.variance, own.variance) };
          const near = (v: Float64Array) => (c: number) => 1e-6 * Math.abs(v[c]!);
          expect(outside(`mean ${i}`, layer.runningMean!.data(), want.mean, near(want.mean))).toBeNull();
          expect(outside(`variance ${i}`, layer.runningVar!.data(), want.variance, near(want.variance))).toBeNull();
          expect(layer.numBatchesTracked!.item()).toBe(i + 1);
        });
      });
    },
  );

  it("training gives the bits and gradients of a layer that does not track; evaluation uses the running values, within 1e-5", () => {
    on(() => {
      const tracking = withParameters(new nn.InstanceNorm2d(6, { affine: true, trackRunningStats: true, momentum: 1 }));
      const plain = new nn.InstanceNorm2d(6, { affine: true });
      plain.loadStateDict(tracking.stateDict(), { strict: false });
      const x = normals(2 * size, 5, 2);
      expect(run(tracking, x, [2, 6, 3, 4])).toEqual(run(plain, x, [2, 6, 3, 4]));
      const before = stateOf(tracking);
      const { mean, variance } = averages(x, [2, 6, 12]);
      const [weight, bias] = parametersOf(tracking);
      const want = Float64Array.from(x, (v, i) => {
        const c = Math.floor(i / 12) % 6;
        return ((v - mean[c]!) / Math.sqrt(variance[c]! + 1e-5)) * weight[c]! + bias![c]!;
      });
      const y = tracking
        .eval()
        .call(tensor(x, [2, 6, 3, 4]))
        .data();
      expect(outside("y", y, want, 1e-5 * largest(want))).toBeNull();
      expect(stateOf(tracking)).toEqual(before);
      expect(run(tracking, x, [2, 6, 3, 4]).grads.map((g) => g.length)).toEqual([6, 6]);
    });
  });

  it("values that are not finite never enter: their examples count with the old running values", () => {
    on(() => {
      const layer = new nn.InstanceNorm1d(2, { trackRunningStats: true, momentum: 0.5 });
      layer.call(tensor([NaN, 1, 1, 3, 2, 4, Infinity, 1], [2, 2, 2]));
      // Channel 0: example 0 keeps 0 and 1, example 1 has mean 3, variance 2; channel 1: mean 2, variance 2, then kept.
      expect(stateOf(layer)).toEqual([[0.75, 0.5], [1.25, 1.25], [1]]);
    });
  });

  it("an empty batch, evaluation and withoutStatsUpdate move nothing; resetRunningStats brings back the start", () => {
    on(() => {
      const layer = new nn.InstanceNorm1d(2, { trackRunningStats: true });
      const start = stateOf(layer);
      layer.call(zeros([0, 2, 3]));
      layer.eval().call(uniform([2, 2, 3]));
      layer.train();
      withoutStatsUpdate(() => layer.call(uniform([2, 2, 3])));
      expect(stateOf(layer)).toEqual(start);
      layer.call(uniform([2, 2, 3]));
      expect(layer.numBatchesTracked!.item()).toBe(1);
      layer.resetRunningStats();
      expect(stateOf(layer)).toEqual(start);
    });
  });

  it("a call that is refused changes neither running values nor the counter", () => {
    on(() => {
      const layer = new nn.InstanceNorm2d(2, { trackRunningStats: true });
      const before = stateOf(layer);
      const gone = ones([2, 2, 2, 2]);
      gone.dispose();
      const far = withBackend(backend === wasm ? reference! : wasm!, () => ones([2, 2, 2, 2]));
      const int = tensor(new Int32Array(16), [2, 2, 2, 2]);
      const inputs = [ones([2, 2]), ones([2, 3, 2, 2]), ones([2, 2, 1, 1]), gone, far, int];
      for (const x of inputs) expect(() => layer.call(x)).toThrow();
      layer.momentum = NaN;
      expect(() => layer.call(ones([2, 2, 2, 2]))).toThrow(OptionError);
      expect(stateOf(layer)).toEqual(before);
      layer.momentum = 0.1;
      expect(layer.eval().call(ones([2, 2, 1, 1])).shape).toEqual([2, 2, 1, 1]);
    });
  });
});
