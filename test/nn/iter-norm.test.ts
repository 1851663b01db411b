import { afterAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { type IterNormOptions, iterNorm } from "../../src/ops/index.js";
import { ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { batchStatistics, covariances, nextRunning, type Statistics, startRunning, whiten } from "../reference/iter-norm.js";
import { batch, bits, layerOf } from "./iter-norm-inputs.js";

const targets = await startTargets();
const reference = targets[1]!.backend;
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const flat = (running: readonly Statistics[]) => [running.flatMap(({ mean }) => mean), running.flatMap(({ wm }) => wm.flat())];

describe.each(targets)("IterNorm on $name", ({ name, backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);
  const close = name === "wasm" ? 1e-5 : 1e-10;

  it.each([
    [[12, 6], 6, 5],
    [[12, 6], 3, 5],
    [[7, 4, 5], 2, 3],
    [[3, 6, 2, 4], 6, 7],
    [[2, 3, 2, 3, 2], 1, 5],
  ])(
    "a batch %j in groups of %i after %i iterations is within 1e-5 of the float64 equations (1e-10 in float64)",
    (shape, d, t) => {
      on(() => {
        const options = { groupSize: d, iterations: t, eps: 1e-3 };
        const layer = layerOf(shape[1]!, options);
        const x = batch(shape, 1, 3);
        const statistics = batchStatistics(x.data(), shape, options);
        const want = whiten(x.data(), shape, statistics, layer.weight!.data(), layer.bias!.data());
        const y = layer.forward(x);
        expect(y.shape).toEqual(shape);
        expect(outside("y", y.data(), want, close * Math.max(1, largest(want)))).toBeNull();
      });
    },
  );

  it("at offset 1e6 the output is within 1e-5 of the float64 equations on the same values", () => {
    on(() => {
      const shape = [16, 4, 3, 3];
      const options = { groupSize: 4, iterations: 5, eps: 1e-5 };
      const x = batch(shape, 2, 1e6);
      const want = whiten(x.data(), shape, batchStatistics(x.data(), shape, options));
      expect(outside("y", iterNorm(x, { training: true }).data(), want, 1e-5 * largest(want))).toBeNull();
    });
  });

  it("after 12 iterations the output's covariance is the identity within 1e-3, and its mean is 0 within 1e-5", () => {
    on(() => {
      const shape = [64, 8, 2, 2];
      const y = iterNorm(batch(shape, 3), { training: true, iterations: 12, groupSize: 4 });
      for (const covariance of covariances(y.data(), shape, 4)) {
        const unit = covariance.map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
        expect(outside("covariance", covariance.flat(), unit.flat(), 1e-3)).toBeNull();
      }
      expect(largest(y.mean([0, 2, 3]).data())).toBeLessThan(1e-5);
    });
  });

  it("more iterations come closer to uncorrelated outputs, and groups do not see each other", () => {
    on(() => {
      const shape = [64, 6];
      const x = batch(shape, 4);
      const error = (iterations: number) => {
        const [covariance] = covariances(iterNorm(x, { training: true, iterations }).data(), shape, 6);
        return largest(covariance!.flatMap((row, i) => row.map((v, j) => v - (i === j ? 1 : 0))));
      };
      expect(error(5)).toBeLessThan(error(3) - 0.01);
      expect(error(3)).toBeLessThan(error(0) - 0.01);
      const halves = [x.slice(1, 0, 3), x.slice(1, 3, 6)].map((half) => iterNorm(half, { training: true }));
      const whole = iterNorm(x, { training: true, groupSize: 3 });
      expect(bits(whole.slice(1, 0, 3))).toEqual(bits(halves[0]!));
      expect(bits(whole.slice(1, 3, 6))).toEqual(bits(halves[1]!));
    });
  });

  it("rounding errors do not grow: after 40 iterations the covariance is the identity within 1e-3", () => {
    on(() => {
      const shape = [256, 6];
      const x = batch(shape, 7);
      for (const [from, to] of [
        [0, 6],
        [2, 6],
        [0, 3],
      ] as const) {
        const part = x.slice(1, from, to);
        const y = iterNorm(part, { training: true, iterations: 40 });
        const [covariance] = covariances(y.data(), part.shape, to - from);
        const unit = covariance!.map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
        expect(outside("covariance", covariance!.flat(), unit.flat(), 1e-3)).toBeNull();
      }
    });
  });

  it("0 iterations centre and divide by the root of the covariance's trace, within 1e-5", () => {
    on(() => {
      const shape = [10, 3];
      const x = batch(shape, 5, 2);
      const [covariance] = covariances(x.data(), shape, 3);
      const trace = covariance!.reduce((sum, row, i) => sum + row[i]! + 1e-5, 0);
      const want = x
        .sub(x.mean(0))
        .data()
        .map((v) => v / Math.sqrt(trace));
      expect(outside("y", iterNorm(x, { training: true, iterations: 0 }).data(), want, 1e-5)).toBeNull();
    });
  });

  it.each([0, 1, 5, 20])(
    "groups of one channel give batch normalization after %i iterations: y and all gradients within 1e-5",
    (t) => {
      on(() => {
        const shape = [6, 3, 4, 2];
        const options = { groupSize: 1, iterations: t };
        const layer = layerOf(3, options);
        const plain = new nn.BatchNorm2d(3);
        plain.loadStateDict(
          new Map([
            ["weight", layer.weight!],
            ["bias", layer.bias!],
          ]),
          { strict: false },
        );
        const x = batch(shape, 6, -1);
        const dy = uniform(shape, -1, 1);
        const [first, second] = [layer, plain].map((module) => {
          const input = x.detach();
          input.requiresGrad = true;
          const y = module.forward(input);
          y.backward(dy);
          return [y, input.grad!, module.weight!.grad!, module.bias!.grad!];
        });
        first!.forEach((got, i) => {
          const want = second![i]!.data();
          expect(outside(["y", "dx", "dγ", "dβ"][i]!, got.data(), want, 1e-5 * Math.max(1, largest(want)))).toBeNull();
        });
      });
    },
  );

  it("running values after 6 batches, and the evaluation that follows, are within 1e-5 of the float64 equations (1e-10)", () => {
    on(() => {
      const options = { groupSize: 2, iterations: 5, eps: 1e-4 };
      const layer = layerOf(4, { ...options, momentum: 0.3 });
      let running = startRunning(4, 2);
      for (let k = 0; k < 6; k++) {
        const shape = [5 + k, 4, 3];
        const x = batch(shape, 10 + k, k);
        tidy(() => layer.forward(x));
        running = nextRunning(running, batchStatistics(x.data(), shape, options), 0.3);
      }
      const [mean, wm] = flat(running);
      expect(outside("running_mean", layer.runningMean.data(), mean!, close * largest(mean!))).toBeNull();
      expect(outside("running_wm", layer.runningWm.data(), wm!, close)).toBeNull();
      const x = batch([3, 4, 2, 2], 20, 4);
      const want = whiten(x.data(), x.shape, running, layer.weight!.data(), layer.bias!.data());
      expect(outside("y", layer.eval().forward(x).data(), want, close * Math.max(1, largest(want)))).toBeNull();
    });
  });

  it("the backward pass of an evaluation uses the running values of its forward pass, even if they moved since", () => {
    on(() => {
      const layer = layerOf(3, {});
      layer.forward(batch([8, 3], 32, 1));
      const dy = uniform([4, 3], -1, 1);
      const gradient = (between: () => void) => {
        const x = ones([4, 3], { requiresGrad: true });
        const y = layer.eval().forward(x);
        between();
        y.backward(dy);
        return bits(x.grad!);
      };
      const want = gradient(() => {});
      expect(gradient(() => void layer.train().forward(batch([8, 3], 33, 5)))).toEqual(want);
      expect(gradient(() => {})).not.toEqual(want);
    });
  });

  it("a batch in another order gives the same outputs in that order, and the same statistics, within 1e-5", () => {
    on(() => {
      const x = batch([5, 4, 3], 34, 1);
      const order = [3, 0, 4, 2, 1];
      const shuffled = tensor(
        order.flatMap((i) => bits(x.slice(0, i, i + 1))),
        x.shape,
      );
      const [a, b] = [new nn.IterNorm(4), new nn.IterNorm(4)];
      const y = a.forward(x);
      const want = order.flatMap((i) => bits(y.slice(0, i, i + 1)));
      expect(outside("y", b.forward(shuffled).data(), want, 1e-5)).toBeNull();
      expect(outside("running_wm", b.runningWm.data(), a.runningWm.data(), 1e-5)).toBeNull();
    });
  });

  it("a channel that does not vary gives exactly β, and finite gradients", () => {
    on(() => {
      const layer = new nn.IterNorm(3);
      nn.init.constant(layer.bias!, 2);
      const x = zeros([4, 3], { requiresGrad: true });
      const y = layer.forward(x.add(0.1));
      y.backward(uniform([4, 3]));
      expect(bits(y)).toEqual(Array(12).fill(2));
      expect(bits(x.grad!).every(Number.isFinite)).toBe(true);
    });
  });
});

describe("gradients on the reference backend are within 1e-6 of difference quotients", () => {
  const cases: [string, readonly number[], IterNormOptions][] = [
    ["one group", [6, 3], { training: true }],
    ["two groups over images", [2, 4, 2, 2], { training: true, groupSize: 2, iterations: 3 }],
    ["12 iterations", [8, 2], { training: true, iterations: 12 }],
    ["no iteration", [4, 3, 2], { training: true, iterations: 0, eps: 0.1 }],
  ];
  it.each(cases)("in training with %s: for x, γ and β, first and second order", (_, shape, options) => {
    withBackend(reference, () => {
      const x = batch(shape, 40, 1);
      const [weight, bias] = [uniform([shape[1]!], 0.5, 2), uniform([shape[1]!], -1, 1)];
      for (const t of [x, weight, bias]) t.requiresGrad = true;
      const call = (x: Tensor, weight: Tensor, bias: Tensor) => iterNorm(x, { ...options, weight, bias });
      const fn = call as (...inputs: Tensor[]) => Tensor;
      gradcheck(fn, [x, weight, bias]);
      gradcheck(fn, [x, weight, bias], { createGraph: true });
      gradgradcheck(fn, [x, weight, bias]);
    });
  });

  it("in evaluation: for x, γ and β, first and second order", () => {
    withBackend(reference, () => {
      const layer = layerOf(4, { groupSize: 2 });
      layer.forward(batch([8, 4], 41, 1));
      layer.eval();
      const x = batch([3, 4, 2], 42);
      x.requiresGrad = true;
      gradcheck((t) => layer.forward(t!), [x, layer.weight!, layer.bias!]);
      gradgradcheck((t) => layer.forward(t!), [x, layer.weight!, layer.bias!]);
    });
  });
});
