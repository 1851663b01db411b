import { describe, expect, it } from "vitest";
import { Random } from "../../src/core/random.js";
import { unaryBackwardOps, unaryOps } from "../../src/engine/kernels.js";
import { referenceKernels as reference } from "../../src/engine/reference/kernels.js";

const random = new Random(11);
const normal = (n: number): Float64Array => Float64Array.from({ length: n }, () => random.normal());
const zeros = (n: number): Float64Array => new Float64Array(n);

/** The greatest difference between `gradient` and central differences of Σ dy·f() by each element of `x`. */
function gradientError(x: Float64Array, gradient: Float64Array, dy: Float64Array, f: () => Float64Array): number {
  const h = 1e-5;
  const value = (): number => f().reduce((sum, y, i) => sum + y * dy[i]!, 0);
  let worst = 0;
  for (let i = 0; i < x.length; i++) {
    const held = x[i]!;
    x[i] = held + h;
    const above = value();
    x[i] = held - h;
    const below = value();
    x[i] = held;
    worst = Math.max(worst, Math.abs((above - below) / (2 * h) - gradient[i]!));
  }
  return worst;
}

describe("gradients of the reference kernels agree with central differences within 1e-8", () => {
  it.each(unaryBackwardOps)("unaryBackward %s", (name) => {
    const [x, y, dy, dx] = [normal(20), zeros(20), normal(20), zeros(20)];
    const f = (): Float64Array => {
      reference.unary({ x, y, n: 20, op: unaryOps.indexOf(name), alpha: 0.2 });
      return y;
    };
    const u = name === "sigmoid" || name === "tanh" ? f().slice() : x;
    reference.unaryBackward({ u, dy, dx, n: 20, op: unaryBackwardOps.indexOf(name), alpha: 0.2 });
    expect(gradientError(x, dx, dy, f)).toBeLessThan(1e-8);
  });

  it("conv2d with stride, padding, dilation and groups", () => {
    const shape = {
      n: 2,
      ci: 4,
      h: 7,
      w: 6,
      co: 6,
      kh: 3,
      kw: 2,
      sh: 2,
      sw: 1,
      ph: 1,
      pw: 2,
      dh: 1,
      dw: 2,
      groups: 2,
      oh: 4,
      ow: 8,
    };
    const [x, weight, y, dy] = [normal(336), normal(72), zeros(384), normal(384)];
    const [dx, dweight] = [zeros(336), zeros(72)];
    const f = (): Float64Array => {
      reference.conv2d({ x, weight, bias: null, y, ...shape });
      return y;
    };
    reference.conv2dBackwardInput({ dy, weight, dx, ...shape });
    reference.conv2dBackwardWeight({ x, dy, dweight, ...shape });
    expect(gradientError(x, dx, dy, f)).toBeLessThan(1e-8);
    expect(gradientError(weight, dweight, dy, f)).toBeLessThan(1e-8);
  });

  it("maxPool2d, avgPool2d and adaptiveAvgPool2d", () => {
    const window = { planes: 2, h: 6, w: 5, kh: 3, kw: 2, sh: 2, sw: 2, ph: 1, pw: 1, oh: 3, ow: 3 };
    const [x, y, dy, dx, index] = [normal(60), zeros(18), normal(18), zeros(60), new Int32Array(18)];
    const max = (): Float64Array => {
      reference.maxPool2d({ x, y, index, ...window });
      return y;
    };
    max();
    reference.maxPool2dBackward({ dy, index, dx, planes: 2, size: 30, outSize: 9 });
    expect(gradientError(x, dx, dy, max)).toBeLessThan(1e-8);
    for (const countPad of [0, 1]) {
      reference.avgPool2dBackward({ dy, dx, ...window, countPad });
      const average = (): Float64Array => {
        reference.avgPool2d({ x, y, ...window, countPad });
        return y;
      };
      expect(gradientError(x, dx, dy, average)).toBeLessThan(1e-8);
    }
    const bins = { planes: 2, h: 6, w: 5, oh: 3, ow: 3 };
    reference.adaptiveAvgPool2dBackward({ dy, dx, ...bins });
    const adaptive = (): Float64Array => {
      reference.adaptiveAvgPool2d({ x, y, ...bins });
      return y;
    };
    expect(gradientError(x, dx, dy, adaptive)).toBeLessThan(1e-8);
  });

  it.each([0, 1])("batchNormTrain and batchNormEval by input, weight and bias, relu %i", (relu) => {
    const shape = { n: 3, c: 2, s: 4 };
    const [x, weight, bias, y, dy, stats] = [normal(24), normal(2), normal(2), zeros(24), normal(24), zeros(6)];
    const [dx, dweight, dbias] = [zeros(24), zeros(2), zeros(2)];
    const given = { mean: normal(2), meanLow: normal(2), variance: Float64Array.of(0.5, 2), eps: 1e-5 };
    const train = (): Float64Array => {
      const state = { runningMean: null, runningVar: null, counter: null, rejected: null };
      const settings = { eps: 1e-5, momentum: 0.1, cumulative: 0, unbiased: 1, guard: 0, relu };
      reference.batchNormTrain({ x, weight, bias, ...state, y, stats, ...shape, ...settings });
      return y;
    };
    const evaluate = (): Float64Array => {
      reference.batchNormEval({ x, weight, bias, ...given, y, ...shape, relu });
      return y;
    };
    const errors = (f: () => Float64Array): number[] => [
      gradientError(x, dx, dy, f),
      gradientError(weight, dweight, dy, f),
      gradientError(bias, dbias, dy, f),
    ];
    train();
    reference.batchNormBackward({ x, dy, weight, bias, stats, dx, dweight, dbias, ...shape, detached: 0, relu });
    expect(Math.max(...errors(train))).toBeLessThan(1e-8);
    reference.batchNormEvalBackward({ x, dy, weight, bias, ...given, dx, dweight, dbias, ...shape, relu });
    expect(Math.max(...errors(evaluate))).toBeLessThan(1e-8);
  });

  it.each([0, 1])("softmax, log %i", (log) => {
    const [x, y, dy, dx] = [normal(30), zeros(30), normal(30), zeros(30)];
    const shape = { outer: 2, count: 5, inner: 3, log };
    const f = (): Float64Array => {
      reference.softmax({ x, y, ...shape });
      return y;
    };
    reference.softmaxBackward({ y: f(), dy, dx, ...shape });
    expect(gradientError(x, dx, dy, f)).toBeLessThan(1e-8);
  });

  it("crossEntropy with weights, smoothing and ignored targets, for each position and for the weighted mean", () => {
    const [x, weight, dx] = [normal(30), Float64Array.of(1, 0.5, 2, 3, 0.1), zeros(30)];
    const [loss, rowWeight, lse, total, totalWeight] = [zeros(6), zeros(6), zeros(6), zeros(1), zeros(1)];
    const target = Int32Array.of(0, 4, -1, 2, 2, 1);
    const settings = { outer: 2, count: 5, inner: 3, smoothing: 0.2, ignoreIndex: -1 };
    const losses = (): Float64Array => {
      reference.crossEntropy({ x, target, weight, loss, rowWeight, lse, ...settings });
      return loss;
    };
    const mean = (): Float64Array => {
      losses();
      reference.crossEntropyReduce({ loss, rowWeight, total, totalWeight, n: 6, mean: 1 });
      return total;
    };
    mean();
    const dloss = normal(6);
    reference.crossEntropyBackward({ x, target, weight, lse, totalWeight: null, dloss, dx, ...settings });
    expect(gradientError(x, dx, dloss, losses)).toBeLessThan(1e-8);
    // The differences have left the sums of moved logits behind.
    mean();
    reference.crossEntropyBackward({ x, target, weight, lse, totalWeight, dloss, dx, ...settings });
    expect(gradientError(x, dx, dloss, mean)).toBeLessThan(1e-8);
  });
});
