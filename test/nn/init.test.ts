import { describe, expect, it } from "vitest";
import { DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import * as nn from "../../src/nn/index.js";
import { zeros } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const { init } = nn;

/** Smallest, largest, mean and standard deviation of the values. */
function summary(t: Tensor) {
  const values = t.data();
  let [low, high, sum, squares] = [Infinity, -Infinity, 0, 0];
  for (const v of values) {
    low = Math.min(low, v);
    high = Math.max(high, v);
    sum += v;
    squares += v * v;
  }
  const mean = sum / values.length;
  return { low, high, mean, std: Math.sqrt(squares / values.length - mean * mean) };
}

/** Checks that values fill ±bound evenly: all inside, both ends reached within 1 %, standard deviation bound/√3 within 2 %. */
function expectUniform(t: Tensor, bound: number): void {
  const { low, high, std } = summary(t);
  expect(low).toBeGreaterThanOrEqual(Math.fround(-bound));
  expect(high).toBeLessThanOrEqual(Math.fround(bound));
  expect(low / -bound).toBeGreaterThan(0.99);
  expect(high / bound).toBeGreaterThan(0.99);
  expect((std * Math.sqrt(3)) / bound).toBeCloseTo(1, 1.7);
}

describe("fans and gains", () => {
  it("a weight [out, in, …kernel] has fanIn in · kernel and fanOut out · kernel", () => {
    expect(init.fans(zeros([6, 5]))).toEqual({ fanIn: 5, fanOut: 6 });
    expect(init.fans(zeros([6, 5, 3, 2]))).toEqual({ fanIn: 30, fanOut: 36 });
    expect(() => init.kaimingNormal(zeros([6]))).toThrow(ShapeError);
    expect(() => init.xavierUniform(zeros([]))).toThrow("fewer than 2 dimensions, got shape []");
  });

  it("gains are PyTorch's", () => {
    const gains = (["linear", "conv2d", "sigmoid", "tanh", "relu", "leakyRelu", "selu"] as const).map((f) =>
      init.calculateGain(f),
    );
    expect(gains).toEqual([1, 1, 1, 5 / 3, Math.SQRT2, Math.sqrt(2 / 1.0001), 0.75]);
    expect(init.calculateGain("leakyRelu", Math.sqrt(5))).toBeCloseTo(Math.sqrt(1 / 3), 15);
    expect(() => init.calculateGain("softplus" as "relu")).toThrow(OptionError);
  });
});

describe("initializers work in place on a [200, 300] weight", () => {
  const weight = () => zeros([200, 300]);

  it("kaimingUniform fills ±√(6 / fan), with a = √5 ±√(1 / fan), for either fan", () => {
    manualSeed(1);
    const t = weight();
    expect(init.kaimingUniform(t)).toBe(t);
    expectUniform(t, Math.sqrt(6 / 300));
    expectUniform(init.kaimingUniform(t, { a: Math.sqrt(5) }), Math.sqrt(1 / 300));
    expectUniform(init.kaimingUniform(t, { mode: "fanOut", nonlinearity: "linear" }), Math.sqrt(3 / 200));
    expect(() => init.kaimingUniform(t, { mode: "fan_in" as "fanIn" })).toThrow('expected mode "fanIn" or "fanOut"');
  });

  it("xavierUniform fills ±gain · √(6 / (fanIn + fanOut))", () => {
    expectUniform(init.xavierUniform(weight(), 2), 2 * Math.sqrt(6 / 500));
  });

  it("kaimingNormal, xavierNormal and normal have their standard deviation within 2 %", () => {
    manualSeed(2);
    expect(summary(init.kaimingNormal(weight(), { nonlinearity: "relu" })).std / Math.sqrt(2 / 300)).toBeCloseTo(1, 1.7);
    expect(summary(init.xavierNormal(weight())).std / Math.sqrt(2 / 500)).toBeCloseTo(1, 1.7);
    const { mean, std } = summary(init.normal(weight(), 3, 0.5));
    expect([Math.abs(mean - 3) < 0.01, Math.abs(std - 0.5) < 0.01]).toEqual([true, true]);
  });

  it("constant, zeros and ones fill; int32 tensors are not drawn", () => {
    expect([...init.constant(zeros([2]), 2.5).data()]).toEqual([2.5, 2.5]);
    expect([...init.ones(zeros([2], { dtype: "int32" })).data()]).toEqual([1, 1]);
    expect([...init.zeros(init.ones(zeros([2]))).data()]).toEqual([0, 0]);
    expect(() => init.uniform(zeros([2], { dtype: "int32" }))).toThrow(DTypeError);
    expect(() => init.normal(zeros([2], { dtype: "int32" }))).toThrow("init.normal: expected a float32 tensor, got int32.");
  });
});

describe("layers start as in PyTorch", () => {
  it("Linear: weight and bias fill ±1 / √inFeatures", () => {
    manualSeed(3);
    const layer = new nn.Linear(100, 3000);
    expectUniform(layer.weight, 0.1);
    expectUniform(layer.bias!, 0.1);
  });

  it("Conv2d: weight and bias fill ±1 / √(inChannels / groups · kernel)", () => {
    const layer = new nn.Conv2d(8, 2000, [3, 2], { groups: 2 });
    expectUniform(layer.weight, Math.sqrt(1 / 24));
    expectUniform(layer.bias!, Math.sqrt(1 / 24));
  });

  it("the same seed gives the same bits, another seed others", () => {
    const draw = (seed: number) => {
      manualSeed(seed);
      return [...new nn.Linear(5, 4).weight.data()];
    };
    expect(draw(9)).toEqual(draw(9));
    expect(draw(9)).not.toEqual(draw(10));
  });
});
