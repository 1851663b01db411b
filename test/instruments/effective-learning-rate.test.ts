import { beforeEach, describe, expect, it } from "vitest";
import { init, manualSeed, nn, tensor, uniform } from "../../src/index.js";
import { effectiveLearningRate, scaleInvariantWeights } from "../../src/instruments/index.js";
import { backends, expectClose, inner, norm } from "./support.js";

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`lr / |W|² and lr / |wᵢ|² of rows are those by hand, of a weight and of its layer, within ${tolerance}`, () => {
    const layer = new nn.Linear(2, 3);
    layer.loadStateDict(
      new Map([
        [
          "weight",
          tensor([
            [3, 4],
            [0, 0.1],
            [0, 0],
          ]),
        ],
        ["bias", tensor([1, 1, 1])],
      ]),
    );
    const got = effectiveLearningRate(layer, 0.5);
    expectClose([got.norm, got.whole], [Math.sqrt(25.01), 0.5 / 25.01], tolerance);
    expectClose(got.rows, [0.02, 50, Infinity], tolerance);
    expect(effectiveLearningRate(layer.weight, 0.5)).toEqual(got);
  });

  it("rows of a convolution are its output channels", () => {
    const conv = new nn.Conv2d(2, 3, [2, 1], { bias: false });
    const values = Array.from(conv.weight.data());
    const rows = [0, 4, 8].map((start) => 1 / norm(values.slice(start, start + 4)) ** 2);
    expectClose(effectiveLearningRate(conv, 1).rows, rows, tolerance);
  });

  it(`a weight before batch normalization is perpendicular to its gradient, row by row, within ${tolerance}; one without is not`, () => {
    manualSeed(2);
    const model = new nn.Sequential(
      new nn.Linear(5, 6),
      new nn.BatchNorm1d(6, { eps: 1e-30 }),
      new nn.Tanh(),
      new nn.Linear(6, 3, { bias: false }),
    );
    const cosines = (layer: nn.Linear, width: number) => {
      const [w, g] = [layer.weight, layer.weight.grad!].map((t) => Array.from(t.data()));
      const row = (values: number[], i: number) => values.slice(i * width, (i + 1) * width);
      return Array.from({ length: layer.outFeatures }, (_, i) => {
        const [wi, gi] = [row(w!, i), row(g!, i)];
        return Math.abs(inner(wi, gi)) / norm(wi) / norm(gi);
      });
    };
    model
      .call(uniform([16, 5]))
      .square()
      .sum()
      .backward();
    expect(scaleInvariantWeights(model).map(({ name }) => name)).toEqual(["0.weight"]);
    for (const cosine of cosines(model.at(0) as nn.Linear, 5)) expect(cosine).toBeLessThan(tolerance);
    for (const cosine of cosines(model.at(3) as nn.Linear, 6)) expect(cosine).toBeGreaterThan(0.01);
  });

  it(`a step on a·W with lr·a² turns W as a step on W with lr, within ${tolerance}`, () => {
    const x = uniform([16, 5]);
    const turned = (a: number, lr: number) => {
      manualSeed(4);
      const [linear, bn] = [new nn.Linear(5, 4, { bias: false }), new nn.BatchNorm1d(4, { eps: 1e-30 })];
      linear.loadStateDict(new Map([["weight", linear.weight.detach().mul(a)]]));
      bn.call(linear.call(x)).relu().sum().backward();
      const moved = Array.from(linear.weight.detach().sub(linear.weight.grad!.mul(lr)).data());
      return { effective: effectiveLearningRate(linear, lr).whole, direction: moved.map((v) => v / norm(moved)) };
    };
    const [one, ten] = [turned(1, 0.1), turned(10, 10)];
    expectClose(ten.effective, one.effective, tolerance);
    expectClose(ten.direction, one.direction, tolerance);
  });
});

describe("scaleInvariantWeights", () => {
  beforeEach(() => init());

  const names = (model: nn.Module) => scaleInvariantWeights(model).map(({ name, normalization }) => [name, normalization]);

  it("finds weights with batch norm directly behind them, through nested sequences and residual branches", () => {
    const model = new nn.Sequential(
      new nn.Sequential(new nn.Conv2d(1, 4, 3)),
      new nn.BatchNorm2d(4),
      new nn.Residual(
        new nn.Sequential(new nn.Conv2d(4, 4, 1), new nn.GhostBatchNorm(4, 8), new nn.ReLU(), new nn.Conv2d(4, 4, 1)),
        new nn.Sequential(new nn.StdConv2d(4, 4, 3), new nn.LazyBatchNorm2d()),
      ),
      new nn.BatchNorm2d(4),
      new nn.Flatten(),
      new nn.Linear(36, 4),
      new nn.ReLU(),
      new nn.BatchNorm1d(4),
      new nn.Linear(4, 2),
    );
    model.call(uniform([3, 1, 5, 5]));
    expect(names(model)).toEqual([
      ["0.0.weight", "1"],
      ["2.branch.0.weight", "2.branch.1"],
      ["2.shortcut.0.weight", "2.shortcut.1"],
    ]);
    expect(scaleInvariantWeights(model)[0]!.weight).toBe((model.at(0) as nn.Sequential).at(0).parameters()[0]);
  });

  it("leaves out a weight that is used elsewhere without, or before frozen statistics, renormalization or layer norm", () => {
    const shared = new nn.Linear(2, 2);
    const model = new nn.Sequential(
      shared,
      new nn.BatchNorm1d(2),
      shared,
      new nn.ReLU(),
      new nn.Linear(2, 2),
      new nn.BatchNorm1d(2).freeze(),
      new nn.Linear(2, 2),
      new nn.BatchRenorm(2),
      new nn.Linear(2, 2),
      new nn.LayerNorm(2),
      new nn.Linear(2, 2),
      new nn.BatchNorm1d(2).freeze({ stats: false }),
    );
    expect(names(model)).toEqual([["10.weight", "11"]]);
    expect(names(new nn.Sequential(shared, new nn.BatchNorm1d(2), shared, new nn.BatchNorm1d(2)))).toEqual([["0.weight", "1"]]);
    expect(names(shared)).toEqual([]);
  });

  it("a module without a weight [out, …] is refused by name", () => {
    expect(() => effectiveLearningRate(new nn.ReLU(), 1)).toThrow(
      "effectiveLearningRate: expected Linear, Conv1d, Conv2d, Conv3d or a weight [out, …], got ReLU. scaleInvariantWeights finds the weights of a model.",
    );
  });
});
