import { beforeEach, describe, expect, it } from "vitest";
import { init, nn, optim, tensor } from "../../src/index.js";
import { layerShift } from "../../src/instruments/index.js";
import { backends, expectClose, inner, norm } from "./support.js";

const W = [
  [0.5, -1],
  [0.25, 2],
];
const v = [1.5, -0.5];
const x = [1, 2];
const target = 0.75;
const lr = 0.1;

/** y = v·(W·x), loss ½·(y − target)². */
function makeModel() {
  const model = new nn.Sequential(new nn.Linear(2, 2, { bias: false }), new nn.Linear(2, 1, { bias: false }));
  model.loadStateDict(
    new Map([
      ["0.weight", tensor(W)],
      ["1.weight", tensor([v])],
    ]),
  );
  const input = tensor([x]);
  const loss = () => model.call(input).sub(target).square().sum().mul(0.5);
  return { model, loss };
}

/** The same by hand. */
function byHand(rate: number) {
  const hidden = (weights: number[][]) => weights.map((row) => inner(row, x));
  const gradientOfV = (weights: number[][]) => hidden(weights).map((h) => (inner(v, hidden(weights)) - target) * h);
  const error = inner(v, hidden(W)) - target;
  const gradientOfW = v.map((vi) => x.map((xj) => error * vi * xj));
  const moved = W.map((row, i) => row.map((value, j) => value - rate * gradientOfW[i]![j]!));
  const [g, h] = [gradientOfV(W), gradientOfV(moved)];
  const l2 = norm(g.map((value, i) => value - h[i]!));
  return {
    first: { name: "0", size: 4, gradientNorm: norm(gradientOfW.flat()), l2: 0, relative: 0, cosine: 1 },
    second: { name: "1", size: 2, gradientNorm: norm(g), l2, relative: l2 / norm(g), cosine: inner(g, h) / norm(g) / norm(h) },
  };
}

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`a linear network of two layers has the shift computed by hand, within ${tolerance}`, () => {
    const { model, loss } = makeModel();
    const { first, second } = byHand(lr);
    const got = layerShift(model, loss, lr);
    expect(got.map(({ name, size }) => [name, size])).toEqual([
      ["0", 4],
      ["1", 2],
    ]);
    got.forEach((shift, i) => {
      const { name: _, ...wanted } = [first, second][i]!;
      const { name: __, ...numbers } = shift;
      expect(Object.keys(numbers)).toEqual(Object.keys(wanted));
      expectClose(Object.values(numbers), Object.values(wanted), tolerance);
    });
    expect(Math.abs(second.cosine)).toBeLessThan(0.999);
  });

  it("a learning rate, an optimizer and a function that steps give the same shift", () => {
    const { model, loss } = makeModel();
    const optimizer = new optim.SGD(model.parameters(), { lr });
    const byRate = layerShift(model, loss, lr);
    expectClose(layerShift(model, loss, optimizer)[1]!.l2, byRate[1]!.l2, tolerance / 10);
    const byFunction = layerShift(model, loss, () => {
      optimizer.step();
      optimizer.zeroGrad();
    });
    expect(byFunction).toEqual(layerShift(model, loss, optimizer));
  });

  it("the step is the optimizer's next one, with its momentum", () => {
    const { model, loss } = makeModel();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    loss().backward();
    optimizer.step();
    const grads = model.parameters().map((p) => p.grad);
    const withMomentum = layerShift(model, loss, optimizer)[1]!;
    expect(model.parameters().map((p) => p.grad)).toEqual(grads);
    expect(withMomentum.l2).toBeGreaterThan(1.2 * layerShift(model, loss, 0.01)[1]!.l2);
    expect(layerShift(model, loss, optimizer)[1]).toEqual(withMomentum);
  });

  it("layers that are asked for alone have the numbers that they have among all", () => {
    const { model, loss } = makeModel();
    const all = layerShift(model, loss, lr);
    expect(layerShift(model, loss, lr, { layers: ["1"] })).toEqual([all[1]]);
    expect(layerShift(model, loss, lr, { layers: ["0"] })).toEqual([all[0]]);
  });

  it("a parameter that the loss does not reach has a gradient of 0, and the optimizer leaves it alone", () => {
    const { model, loss } = makeModel();
    const wide = new nn.Sequential(new nn.Linear(1, 1), ...model);
    const optimizer = new optim.SGD(wide.parameters(), { lr, weightDecay: 0.5 });
    const got = layerShift(wide, loss, optimizer);
    expect([got[0]!.gradientNorm, got[0]!.cosine, got[0]!.relative]).toEqual([0, Number.NaN, Number.NaN]);
    expect(got.slice(1).map(({ l2 }) => l2)).toEqual(layerShift(model, loss, optimizer).map(({ l2 }) => l2));
    expect(optimizer.stateDict().state.map(({ step }) => step)).toEqual([0, 0, 0, 0]);
  });
});

it("a layer that is not there is refused by name", async () => {
  await init();
  const { model, loss } = makeModel();
  expect(() => layerShift(model, loss, lr, { layers: ["2"] })).toThrow(
    'layerShift: expected names of layers that are trained ("0", "1"), got "2".',
  );
});
