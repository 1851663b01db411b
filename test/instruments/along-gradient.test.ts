import { beforeEach, describe, expect, it } from "vitest";
import { init, nn, tensor, uniform } from "../../src/index.js";
import { alongGradient } from "../../src/instruments/index.js";
import { backends, expectClose, inner, norm, Quadratic } from "./support.js";

const a = [0.5, 2, -1, 3];
const w = [1, -2, 0.5, 0.25];
const etas = [0.1, 0.4, 0.9];

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`a quadratic loss gives the closed form of every number within ${tolerance}`, () => {
    const model = new Quadratic(a, w);
    const got = alongGradient(model, () => model.call(), { etas });
    const lossAt = (v: number[]) =>
      inner(
        a,
        v.map((x) => x * x),
      ) / 2;
    const gradientAt = (v: number[]) => v.map((x, i) => a[i]! * x);
    const g = gradientAt(w);
    const wanted = etas.map((eta) => {
      const there = w.map((x, i) => x - eta * g[i]!);
      const h = gradientAt(there);
      const gradientChange = norm(h.map((x, i) => x - g[i]!));
      return {
        eta,
        loss: lossAt(there),
        gradientChange,
        cosine: inner(g, h) / norm(g) / norm(h),
        beta: gradientChange / eta / norm(g),
      };
    });
    for (const [i, point] of got.points.entries()) expectClose(Object.values(point), Object.values(wanted[i]!), tolerance);
    expect(got.points.map((point) => Object.keys(point))).toEqual(wanted.map((point) => Object.keys(point)));
    expectClose([got.loss, got.gradientNorm], [lossAt(w), norm(g)], tolerance);
    const losses = wanted.map(({ loss }) => loss);
    expectClose(got.lossRange, Math.max(...losses) - Math.min(...losses), tolerance);
    expectClose(got.gradientPredictiveness, Math.max(...wanted.map((p) => p.gradientChange)), tolerance);
    expectClose(got.effectiveSmoothness, Math.max(...wanted.map((p) => p.beta)), tolerance);
    expectClose(got.minCosine, Math.min(...wanted.map((p) => p.cosine)), tolerance);
  });

  it("β of a quadratic loss with one curvature is that curvature, at any step size", () => {
    const model = new Quadratic([3, 3], [1, -2]);
    for (const { beta } of alongGradient(model, () => model.call(), { etas: [0.01, 0.1, 1] }).points) expectClose(beta, 3, 1e-4);
  });

  it("a frozen parameter does not move", () => {
    const model = new nn.Sequential(new Quadratic([2], [1]), new nn.Linear(1, 1));
    const [quadratic, linear] = [model.at(0) as Quadratic, model.at(1) as nn.Linear];
    linear.weight.requiresGrad = false;
    linear.bias!.requiresGrad = false;
    const loss = () => quadratic.call().add(linear.weight.square().sum());
    const got = alongGradient(model, loss, { etas: [0.25] });
    expectClose(got.gradientNorm, 2, tolerance);
    expectClose(got.lossRange + got.points[0]!.loss, 0.25 + linear.weight.item() ** 2, tolerance);
  });
});

describe("a dropout mask", () => {
  it("is the same at every point: without curvature the gradient does not change", async () => {
    await init({ backend: "reference" });
    const model = new nn.Sequential(new nn.Linear(20, 30), new nn.Dropout(0.5));
    const x = uniform([8, 20]);
    const got = alongGradient(model, () => model.call(x).sum(), { etas: [0.1, 1] });
    expect(got.gradientNorm).toBeGreaterThan(1);
    expect(got.gradientPredictiveness).toBe(0);
    expectClose(got.minCosine, 1, 1e-12);
  });
});

describe("what cannot be measured is refused", () => {
  beforeEach(() => init());
  const model = () => new Quadratic([1], [1]);

  it.each([[[]], [[0]], [[-1]], [[0.1, Number.NaN]], [[Infinity]]])("etas %j", (wrong) => {
    const net = model();
    expect(() => alongGradient(net, () => net.call(), { etas: wrong })).toThrow(
      /^alongGradient: expected etas that are finite and above 0, got/,
    );
  });

  it("a loss of several values, a loss without gradient, a loss that is no tensor, a model without parameters", () => {
    const net = model();
    const run = (loss: () => never) => () => alongGradient(net, loss, { etas: [1] });
    const of = (value: unknown) => run((() => value) as () => never);
    expect(of(tensor([1, 2]).add(net.weight))).toThrow(
      "alongGradient: expected a loss of one value, got shape [2]: take its mean or sum.",
    );
    expect(of(tensor(1))).toThrow("alongGradient: expected a loss that depends on parameters that require grad.");
    expect(of(3)).toThrow("alongGradient: expected a loss function that returns a tensor, got number.");
    expect(() => alongGradient(new nn.ReLU(), () => tensor(1), { etas: [1] })).toThrow(
      "alongGradient: expected a model with parameters or buffers, got ReLU without any.",
    );
  });
});
