import { beforeEach, describe, expect, it } from "vitest";
import { init, manualSeed, nn, normal, tensor } from "../../src/index.js";
import { gradientDistribution, gradientNorms } from "../../src/instruments/index.js";
import { backends, expectClose, norm } from "./support.js";

/** Mean, std, skewness and kurtosis by their definitions. */
function byDefinition(values: readonly number[]) {
  const average = (f: (x: number) => number) => values.reduce((sum, x) => sum + f(x), 0) / values.length;
  const mean = average((x) => x);
  const std = Math.sqrt(average((x) => (x - mean) ** 2));
  return [mean, std, average((x) => ((x - mean) / std) ** 3), average((x) => ((x - mean) / std) ** 4)];
}

/** A linear layer whose gradients are given: those of Σ G·W + Σ g·b. */
function layerWithGradients(weight: number[][], bias: number[]) {
  const layer = new nn.Linear(weight[0]!.length, bias.length);
  const loss = layer.weight
    .mul(tensor(weight))
    .sum()
    .add(layer.bias!.mul(tensor(bias)).sum());
  loss.backward();
  return layer;
}

const weight = [
  [1, -2, 0.5],
  [4, 0, 3],
];
const bias = [-7, 0.25];

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`norms per parameter and per layer are those of the values, within ${tolerance}`, () => {
    const model = new nn.Sequential(new nn.ReLU(), layerWithGradients(weight, bias), layerWithGradients([[2]], [0]));
    const flat = weight.flat();
    const wanted = [
      ["1.weight", flat],
      ["1.bias", bias],
      ["2.weight", [2]],
      ["2.bias", [0]],
    ] as const;
    const got = gradientNorms(model);
    expect(got.map(({ name, size }) => [name, size])).toEqual(wanted.map(([name, values]) => [name, values.length]));
    expectClose(
      got.map((g) => g.norm),
      wanted.map(([, values]) => norm(values)),
      tolerance,
    );
    expectClose(
      got.map((g) => g.rms),
      wanted.map(([, values]) => norm(values) / Math.sqrt(values.length)),
      tolerance,
    );
    const layers = gradientNorms(model, { per: "layer" });
    expect(layers.map(({ name, size }) => [name, size])).toEqual([
      ["1", 8],
      ["2", 2],
    ]);
    expectClose(
      layers.map((g) => g.norm),
      [norm([...flat, ...bias]), 2],
      tolerance,
    );
  });

  it(`the distribution of a layer's gradient is that of weight and bias pooled, within ${tolerance}`, () => {
    const layer = layerWithGradients(weight, bias);
    const [got] = gradientDistribution(layer);
    expect(got!.name).toBe("");
    const values = [...weight.flat(), ...bias];
    expectClose([got!.mean, got!.std, got!.skewness, got!.kurtosis], byDefinition(values), tolerance);
    expectClose([got!.size, got!.norm], [8, norm(values)], tolerance);
  });

  it("gradients of 1e-25 have the skewness and kurtosis that they have at size 1", () => {
    const tiny = (values: number[]) => values.map((x) => x * 1e-25);
    const [at1] = gradientDistribution(layerWithGradients(weight, bias));
    const [got] = gradientDistribution(layerWithGradients(weight.map(tiny), tiny(bias)));
    expectClose([got!.skewness, got!.kurtosis, got!.std * 1e25], [at1!.skewness, at1!.kurtosis, at1!.std], 1e-6);
  });

  it("normal gradients have a kurtosis of 3 ± 0.1, with an offset of 100 standard deviations too", () => {
    manualSeed(1);
    const layer = new nn.Linear(300, 100, { bias: false });
    for (const offset of [0, 100]) {
      layer.zeroGrad();
      layer.weight
        .mul(normal([100, 300], offset))
        .sum()
        .backward();
      const { mean, std, skewness, kurtosis } = gradientDistribution(layer)[0]!;
      expectClose([mean - offset, std, skewness, kurtosis], [0, 1, 0, 3], 0.05);
    }
  });

  it("a gradient of equal values has no skewness and no kurtosis, one of zeros has a norm of 0", () => {
    const [same] = gradientDistribution(layerWithGradients([[0.1, 0.1]], [0.1]));
    expectClose([same!.mean, same!.std], [0.1, 0], 1e-7);
    expect([same!.skewness, same!.kurtosis]).toEqual([Number.NaN, Number.NaN]);
    const [zero] = gradientDistribution(layerWithGradients([[0, 0]], [0]));
    expect(zero).toEqual({ name: "", size: 3, norm: 0, rms: 0, mean: 0, std: 0, skewness: Number.NaN, kurtosis: Number.NaN });
  });
});

describe("gradients that are not there", () => {
  beforeEach(() => init());

  it("of some parameters are left out", () => {
    const layer = layerWithGradients(weight, bias);
    layer.bias!.grad = null;
    expect(gradientNorms(layer).map(({ name }) => name)).toEqual(["weight"]);
    expect(gradientNorms(layer, { per: "layer" })[0]!.size).toBe(6);
  });

  it("of all parameters are an error that says when to call", () => {
    const message = "expected parameters with gradients, got none: call it after backward() and before zeroGrad().";
    expect(() => gradientNorms(new nn.Linear(2, 2))).toThrow(`gradientNorms: ${message}`);
    expect(() => gradientDistribution(new nn.Linear(2, 2))).toThrow(`gradientDistribution: ${message}`);
  });
});
