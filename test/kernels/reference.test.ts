import { describe, expect, it } from "vitest";
import type { HostArray } from "../../src/engine/backend.js";
import { binaryOps, type KernelName, kernels, reduceOps, unaryBackwardOps, unaryOps } from "../../src/engine/kernels.js";
import type { Args } from "../../src/engine/reference/arrays.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { erf, erfc } from "../../src/engine/reference/erf.js";
import { referenceKernels } from "../../src/engine/reference/kernels.js";
import { bitDifference } from "./compare.js";
import { type AnyCase, casesOf, misfits, runCase } from "./run.js";

const f64 = (...values: number[]): Float64Array => Float64Array.from(values);
const zeros = (n: number): Float64Array => new Float64Array(n);
const run = <K extends KernelName>(kernel: K, args: Args<K>): void => referenceKernels[kernel](args);
const far = (a: HostArray, b: ArrayLike<number>): number => Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));

describe.each(Object.keys(kernels) as KernelName[])("the reference of %s", (kernel) => {
  it("has cases that fit the signature and have titles of their own", () => {
    const examples = casesOf(kernel);
    expect(examples.length).toBeGreaterThan(0);
    expect(examples.flatMap((example) => misfits(kernel, example))).toEqual([]);
    expect(new Set(examples.map((example) => example.title)).size).toBe(examples.length);
  });

  it("writes its outputs whole and does not read them: the same bits whatever they held before", () => {
    const backend = new ReferenceBackend();
    const failures = casesOf(kernel).flatMap((example: AnyCase) => {
      const want = runCase(backend, kernel, example, NaN);
      const got = runCase(backend, kernel, example, 77);
      return [...want].flatMap(([name, values]) => {
        const found = bitDifference(got.get(name)!, values);
        return found === null ? [] : [`${example.title}: ${name}${found}`];
      });
    });
    expect(failures).toEqual([]);
    expect(backend.memory().storages).toBe(0);
  });
});

describe("known answers of the reference", () => {
  it("erf and erfc agree with tables (Abramowitz & Stegun 7.1) within 1e-15", () => {
    expect(Math.abs(erf(0.5) - 0.5204998778130465)).toBeLessThan(1e-15);
    expect(Math.abs(erf(-1) + 0.8427007929497149)).toBeLessThan(1e-15);
    expect(Math.abs(erf(2) - 0.9953222650189527)).toBeLessThan(1e-15);
    expect(Math.abs(erfc(3) / 2.2090496998585441e-5 - 1)).toBeLessThan(1e-13);
    expect(Math.abs(erfc(6) / 2.1519736712498913e-17 - 1)).toBeLessThan(1e-13);
    expect([erf(0), erf(Infinity), erf(-Infinity), erf(NaN)]).toEqual([0, 1, -1, NaN]);
  });

  it("unary and its gradient: gelu(1) = Φ(1), silu(0) = 0, relu'(0) = 0, NaN stays", () => {
    const unary = (op: (typeof unaryOps)[number], x: number): number => {
      const y = zeros(1);
      run("unary", { x: f64(x), y, n: 1, op: unaryOps.indexOf(op), alpha: 2 });
      return y[0]!;
    };
    expect(unary("gelu", 1)).toBeCloseTo(0.8413447460685429, 15);
    expect(unary("silu", 0)).toBe(0);
    expect(unary("gaussian", 0)).toBeCloseTo(0.3989422804014327, 15);
    expect(unary("relu", NaN)).toBeNaN();
    const dx = zeros(2);
    run("unaryBackward", { u: f64(0, 1), dy: f64(5, 5), dx, n: 2, op: unaryBackwardOps.indexOf("relu"), alpha: 0 });
    expect([...dx]).toEqual([0, 5]);
  });

  it("binary repeats along axes of stride 0 and compares with 1 and 0", () => {
    const y = zeros(6);
    const layout = { shape: [1, 1, 1, 1, 2, 3], aStrides: [0, 0, 0, 0, 3, 1], bStrides: [0, 0, 0, 0, 1, 0] };
    run("binary", { a: f64(1, 2, 3, 4, 5, 6), b: f64(2, 5), y, op: binaryOps.indexOf("greaterEqual"), ...layout });
    expect([...y]).toEqual([0, 1, 1, 0, 1, 1]);
  });

  it("stridedCopy transposes", () => {
    const y = zeros(6);
    const strides = { shape: [1, 1, 1, 1, 3, 2], xStrides: [0, 0, 0, 0, 1, 3], yStrides: [0, 0, 0, 0, 2, 1] };
    run("stridedCopy", { x: f64(1, 2, 3, 4, 5, 6), y, ...strides, xOffset: 0, yOffset: 0 });
    expect([...y]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it("reduce takes the middle axis; NaN wins in max and argmax", () => {
    const shape = { outer: 1, count: 3, inner: 2 };
    const y = zeros(2);
    run("reduce", { x: f64(1, 2, 3, 4, 5, 9), y, op: reduceOps.indexOf("mean"), ...shape });
    expect([...y]).toEqual([3, 5]);
    run("reduce", { x: f64(1, 2, NaN, 4, 5, 9), y, op: reduceOps.indexOf("max"), ...shape });
    expect([...y]).toEqual([NaN, 9]);
    const index = new Int32Array(2);
    run("argmax", { x: f64(1, 9, NaN, 4, 5, 9), y: index, ...shape });
    expect([...index]).toEqual([1, 0]);
  });

  it("matmul multiplies [[1, 2], [3, 4]] by [[5, 6], [7, 8]] in all four layouts", () => {
    const plain = [f64(1, 2, 3, 4), f64(5, 6, 7, 8)] as const;
    const transposed = [f64(1, 3, 2, 4), f64(5, 7, 6, 8)] as const;
    for (const transA of [0, 1]) {
      for (const transB of [0, 1]) {
        const y = zeros(4);
        const [a, b] = [(transA ? transposed : plain)[0], (transB ? transposed : plain)[1]];
        run("matmul", { a, b, bias: f64(100, 0), y, batch: 1, m: 2, n: 2, k: 2, transA, transB, aBatch: 4, bBatch: 4 });
        expect([...y]).toEqual([119, 22, 143, 50]);
      }
    }
  });
});

describe("convolution and pooling of the reference", () => {
  const unit = { sh: 1, sw: 1, ph: 0, pw: 0, dh: 1, dw: 1, groups: 1 };

  it("conv2d with a 1 × 1 kernel is matmul over channels", () => {
    const x = Float64Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const weight = Float64Array.from({ length: 6 }, (_, i) => Math.cos(i));
    const y = zeros(8);
    const product = zeros(8);
    run("conv2d", { x, weight, bias: null, y, n: 1, ci: 3, h: 2, w: 2, co: 2, kh: 1, kw: 1, oh: 2, ow: 2, ...unit });
    const shape = { batch: 1, m: 2, n: 4, k: 3, transA: 0, transB: 0, aBatch: 0, bBatch: 0 };
    run("matmul", { a: weight, b: x, bias: null, y: product, ...shape });
    expect(far(y, product)).toBeLessThan(1e-15);
  });

  it("conv2d does not flip the kernel, pads with zeros, and honours stride and dilation", () => {
    const x = f64(1, 2, 3, 4, 5, 6, 7, 8, 9);
    const weight = f64(1, 10, 100, 1000);
    const shape = { n: 1, ci: 1, h: 3, w: 3, co: 1, kh: 2, kw: 2, ...unit };
    const plain = zeros(4);
    run("conv2d", { x, weight, bias: f64(0.5), y: plain, ...shape, oh: 2, ow: 2 });
    expect([...plain]).toEqual([5421.5, 6532.5, 8754.5, 9865.5]);
    const strided = zeros(4);
    run("conv2d", { x, weight, bias: null, y: strided, ...shape, ph: 1, pw: 1, sh: 2, sw: 2, oh: 2, ow: 2 });
    expect([...strided]).toEqual([1000, 3200, 7040, 9865]);
    const dilated = zeros(1);
    run("conv2d", { x, weight, bias: null, y: dilated, ...shape, dh: 2, dw: 2, oh: 1, ow: 1 });
    expect([...dilated]).toEqual([9731]);
  });

  it("conv2d with groups keeps channels apart", () => {
    const y = zeros(2);
    const shape = { n: 1, ci: 2, h: 1, w: 1, co: 2, kh: 1, kw: 1, oh: 1, ow: 1, ...unit, groups: 2 };
    run("conv2d", { x: f64(3, 5), weight: f64(10, 100), bias: null, y, ...shape });
    expect([...y]).toEqual([30, 500]);
  });

  it("maxPool2d gives the first of equal pixels and the place of NaN", () => {
    const y = zeros(2);
    const index = new Int32Array(2);
    const window = { planes: 1, h: 2, w: 4, kh: 2, kw: 2, sh: 2, sw: 2, ph: 0, pw: 0, oh: 1, ow: 2 };
    run("maxPool2d", { x: f64(1, 7, 3, NaN, 7, 0, 9, 4), y, index, ...window });
    expect([...y]).toEqual([7, NaN]);
    expect([...index]).toEqual([1, 3]);
  });

  it("avgPool2d divides a corner by 9 or by its 4 pixels, adaptive bins overlap", () => {
    const window = { planes: 1, h: 2, w: 2, kh: 3, kw: 3, sh: 1, sw: 1, ph: 1, pw: 1, oh: 2, ow: 2 };
    const y = zeros(4);
    run("avgPool2d", { x: f64(1, 2, 3, 12), y, ...window, countPad: 1 });
    expect([...y]).toEqual([2, 2, 2, 2]);
    run("avgPool2d", { x: f64(1, 2, 3, 12), y, ...window, countPad: 0 });
    expect([...y]).toEqual([4.5, 4.5, 4.5, 4.5]);
    const bins = zeros(2);
    run("adaptiveAvgPool2d", { x: f64(1, 2, 6), y: bins, planes: 1, h: 1, w: 3, oh: 1, ow: 2 });
    expect([...bins]).toEqual([1.5, 4]);
  });
});

describe("batch normalization of the reference", () => {
  it("of [1, 2, 3, 4]: mean 2.5, biased variance 1.25, running variance moved towards the unbiased 5/3", () => {
    const y = zeros(4);
    const stats = zeros(3);
    const [runningMean, runningVar] = [f64(0), f64(1)];
    const settings = { n: 4, c: 1, s: 1, eps: 0, momentum: 0.1, cumulative: 0, unbiased: 1, guard: 0, relu: 0 };
    const none = { weight: null, bias: null, counter: null, rejected: null };
    run("batchNormTrain", { x: f64(1, 2, 3, 4), ...none, runningMean, runningVar, y, stats, ...settings });
    const inverse = 1 / Math.sqrt(1.25);
    expect(far(y, [-1.5 * inverse, -0.5 * inverse, 0.5 * inverse, 1.5 * inverse])).toBeLessThan(1e-15);
    expect([...stats]).toEqual([2.5, 0, inverse]);
    expect(runningMean[0]).toBeCloseTo(0.25, 15);
    expect(runningVar[0]).toBeCloseTo(0.9 + 0.1 * (5 / 3), 15);
  });

  it("of a constant channel is exactly β, also with eps 0 and where the constant has no short binary form", () => {
    const y = zeros(7);
    const tensors = { x: f64(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), weight: f64(3), bias: f64(0.7), y, stats: zeros(3) };
    const state = { runningMean: null, runningVar: null, counter: null, rejected: null };
    for (const eps of [0, 1e-5]) {
      run("batchNormTrain", {
        ...tensors,
        ...state,
        n: 7,
        c: 1,
        s: 1,
        eps,
        momentum: 0.1,
        cumulative: 0,
        unbiased: 1,
        guard: 0,
        relu: 0,
      });
      expect([...y]).toEqual(new Array(7).fill(0.7));
    }
  });
});

describe("losses and optimizers of the reference", () => {
  it("softmax sums to one within 1e-15, also of logits near 1000", () => {
    const y = zeros(3);
    run("softmax", { x: f64(1000, 1001, 999), y, outer: 1, count: 3, inner: 1, log: 0 });
    expect(Math.abs(y[0]! + y[1]! + y[2]! - 1)).toBeLessThan(1e-15);
    expect(y[1]! / y[0]!).toBeCloseTo(Math.E, 12);
  });

  it("crossEntropy of even logits is log C, smoothed or not; ignored 0, no class NaN", () => {
    const outputs = { loss: zeros(3), rowWeight: zeros(3), lse: zeros(3) };
    const target = Int32Array.of(2, -100, 4);
    for (const smoothing of [0, 0.1]) {
      run("crossEntropy", {
        x: zeros(12),
        target,
        weight: null,
        ...outputs,
        outer: 3,
        count: 4,
        inner: 1,
        smoothing,
        ignoreIndex: -100,
      });
      expect(outputs.loss[0]).toBeCloseTo(Math.log(4), 15);
      expect([...outputs.loss.slice(1)]).toEqual([0, NaN]);
      expect([...outputs.rowWeight]).toEqual([1, 0, 1]);
    }
  });

  it("the first step of adam moves by the learning rate, against the gradient's sign", () => {
    const param = f64(1, 1);
    const state = { m: [zeros(2)], v: [zeros(2)], lr: f64(0.01), step: f64(0) };
    const settings = { sizes: [2], beta1: 0.9, beta2: 0.999, eps: 0, weightDecay: 0, decoupled: 0 };
    run("adam", { params: [param], grads: [f64(5, -0.001)], ...state, ...settings });
    expect(far(param, [0.99, 1.01])).toBeLessThan(1e-15);
  });

  it("sgd with momentum 0.9 and gradient 1 moves by 0.1, then by 0.19; nesterov by 0.19, then 0.271", () => {
    for (const [nesterov, first, second] of [
      [0, 0.1, 0.19],
      [1, 0.19, 0.271],
    ] as const) {
      const param = f64(0);
      const tensors = { params: [param], grads: [f64(1)], velocities: [f64(NaN)], lr: f64(0.1) };
      const settings = { sizes: [1], momentum: 0.9, dampening: 0, weightDecay: 0, nesterov };
      run("sgd", { ...tensors, step: f64(0), ...settings });
      expect(param[0]).toBeCloseTo(-first, 15);
      run("sgd", { ...tensors, step: f64(1), ...settings });
      expect(param[0]).toBeCloseTo(-first - second, 15);
    }
  });

  it("addSquares and clipScale bring [3], [] and [4] to norm 1", () => {
    const xs = [f64(3), f64(), f64(4)];
    const list = { xs, sizes: [1, 0, 1] };
    const total = f64(0);
    run("addSquares", { ...list, total });
    run("clipScale", { ...list, total, maxNorm: 1 });
    expect(total[0]).toBe(25);
    expect(Math.hypot(xs[0]![0]!, xs[2]![0]!)).toBeCloseTo(1, 6);
  });

  it("advanceRandom carries into the upper word", () => {
    const state = Int32Array.of(9, 8, -1, 4);
    run("advanceRandom", { state });
    expect([...state]).toEqual([9, 8, 0, 5]);
  });
});
