import { beforeEach, describe, expect, it } from "vitest";
import { compile, grad, init, manualSeed, nn, noGrad, optim, type Tensor, tensor, uniform } from "../../src/index.js";
import { alongGradient, GradientProbe } from "../../src/instruments/index.js";
import { backends, expectClose, norm } from "./support.js";

const x = [
  [1, -2],
  [0.5, 3],
];
const W1 = [
  [0.5, -1],
  [0.25, 2],
];
const W2 = [[1.5, -0.5]];

/** y = x·W1ᵀ·W2ᵀ with the loss Σ y: the gradient towards the hidden values is W2 in every row, that towards x is W2·W1. */
function makeLinear() {
  const model = new nn.Sequential(new nn.Linear(2, 2, { bias: false }), new nn.Linear(2, 1, { bias: false }));
  model.loadStateDict(
    new Map([
      ["0.weight", tensor(W1)],
      ["1.weight", tensor(W2)],
    ]),
  );
  return model;
}

const towardsX = [W2[0]![0]! * W1[0]![0]! + W2[0]![1]! * W1[1]![0]!, W2[0]![0]! * W1[0]![1]! + W2[0]![1]! * W1[1]![1]!];

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`the gradients at both ends of a linear layer are those by hand, within ${tolerance}`, () => {
    const model = makeLinear();
    const [first, second] = [...model].map((layer) => new GradientProbe(layer)) as [GradientProbe, GradientProbe];
    const input = tensor(x, [2, 2], { requiresGrad: true });
    model.call(input).sum().backward();
    const hidden = [...W2[0]!, ...W2[0]!];
    const summary = (values: number[]) => [values.length, norm(values), norm(values) / Math.sqrt(values.length)];
    const numbers = (probe: GradientProbe, place: "input" | "output") => Object.values(probe.last![place]!);
    expectClose(numbers(second, "output"), summary([1, 1]), tolerance);
    expectClose(numbers(second, "input"), summary(hidden), tolerance);
    expectClose(numbers(first, "output"), summary(hidden), tolerance);
    expectClose(numbers(first, "input"), summary([...towardsX, ...towardsX]), tolerance);
  });

  it("the gradient at an input is the sum over all ways to the loss", () => {
    const layer = makeLinear();
    const probe = new GradientProbe(layer);
    const input = tensor(x, [2, 2], { requiresGrad: true });
    layer.call(input).sum().add(input.sum().mul(10)).backward();
    const sums = towardsX.map((g) => g + 10);
    expectClose(probe.last!.input!.norm, norm([...sums, ...sums]), tolerance);
  });

  it(`with distribution, moments of the gradient within ${tolerance}`, () => {
    const model = makeLinear();
    const probe = new GradientProbe(model.at(0), { distribution: true });
    model.call(tensor(x)).sum().backward();
    const { mean, std, kurtosis } = probe.last!.output!;
    expectClose([mean!, std!, kurtosis!], [0.5, 1, 1], tolerance);
    expect(probe.last!.input).toBeNull();
  });
});

describe("a probe", () => {
  beforeEach(() => init());

  it("looks at every k-th run in training, and not at runs without gradients or of other instruments", () => {
    const model = makeLinear();
    const probe = new GradientProbe(model.at(0), { every: 3 });
    const loss = () => model.call(tensor(x)).sum();
    for (let i = 0; i < 7; i++) {
      noGrad(loss);
      alongGradient(model, loss, { etas: [0.1] });
      loss().backward();
    }
    expect(probe.records.map(({ pass }) => pass)).toEqual([0, 3, 6]);
    probe.clear();
    expect(probe.last).toBeNull();
  });

  it("notes a second backward pass over the same graph in a record of its own", () => {
    const model = makeLinear();
    const probe = new GradientProbe(model.at(1));
    const y = model.call(tensor(x)).sum();
    y.backward(undefined, { retainGraph: true });
    y.backward(tensor(2));
    expect(probe.records.map(({ pass }) => pass)).toEqual([0, 0]);
    expectClose(probe.records[1]!.input!.norm, 2 * probe.records[0]!.input!.norm, 1e-6);
  });

  it("notes nothing once it is detached, and a recorded step is recorded again", () => {
    const model = makeLinear();
    const step = compile((input: Tensor) => {
      model.zeroGrad();
      const y = model.call(input).sum();
      y.backward();
      return y;
    });
    const input = tensor(x);
    step(input);
    const probe = new GradientProbe(model.at(1));
    step(input);
    expect(probe.records.length).toBe(1);
    const y = model.call(input).sum();
    probe.detach();
    y.backward();
    step(input);
    step(input);
    expect(probe.records.length).toBe(1);
    expect(step.recordings).toBe(1);
  });

  it("refuses to look at every 0th run", () => {
    expect(() => new GradientProbe(makeLinear(), { every: 0 })).toThrow(
      "GradientProbe: expected every to be an integer of at least 1, got 0.",
    );
  });
});

/** Training in which values are used three and four times, so that an order of summation that changed would show. */
function train(isProbed: boolean) {
  manualSeed(5);
  const block = () => new nn.Sequential(new nn.Linear(6, 6), new nn.BatchNorm1d(6), new nn.ReLU(), new nn.Dropout(0.2));
  const model = new nn.Sequential(
    new nn.Linear(4, 6),
    new nn.Residual(new nn.Residual(new nn.Residual(block()), new nn.Linear(6, 6)), new nn.Identity()),
    new nn.Linear(6, 3),
  );
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const probes = isProbed ? model.modules().map((module) => new GradientProbe(module, { distribution: true })) : [];
  for (let i = 0; i < 6; i++) {
    const input = uniform([16, 4]);
    nn.crossEntropy(model.call(input), tensor(Int32Array.from({ length: 16 }, (_, k) => k % 3))).backward();
    optimizer.step();
    if (i < 5) optimizer.zeroGrad();
  }
  const state = [...model.parameters(), ...model.buffers(), ...model.parameters().map((p) => p.grad!)];
  return { probes, bits: state.map((t) => Array.from(t.data())) };
}

it("probes on every module of nested residual blocks change no bit of a training run", async () => {
  await init();
  const { bits, probes } = train(true);
  expect(bits).toEqual(train(false).bits);
  expect(new Set(probes.map(({ records }) => records.length))).toEqual(new Set([6]));
  expect(probes.every(({ last }) => last!.output!.norm > 0)).toBe(true);
});

it("a probe shows what grad() gives for the same value", async () => {
  await init({ backend: "reference" });
  const model = new nn.Sequential(new nn.Linear(4, 5), new nn.Tanh(), new nn.Linear(5, 2));
  const input = uniform([3, 4]);
  const hidden = model.at(1).call(model.at(0).call(input));
  const [g] = grad(model.at(2).call(hidden).square().sum(), [hidden]);
  const probe = new GradientProbe(model.at(1));
  model.call(input).square().sum().backward();
  expectClose(probe.last!.output!.norm, norm(Array.from(g!.data())), 1e-12);
});
