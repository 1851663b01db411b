// Whatever an instrument does in the middle of a training run, the run goes on bit for bit as if it had not been there, and
// memory is what it was.
import { beforeEach, describe, expect, it } from "vitest";
import {
  compile,
  getRandomState,
  init,
  manualSeed,
  memory,
  nn,
  normal,
  optim,
  type Tensor,
  tensor,
  tidy,
  uniform,
} from "../../src/index.js";
import {
  alongGradient,
  describe as describeValues,
  effectiveLearningRate,
  effectiveRank,
  gradientDistribution,
  gradientNorms,
  hessianVectorProduct,
  histogram,
  largestCurvature,
  layerShift,
  saturation,
  scaleInvariantWeights,
  trainEvalGap,
  UpdateRatio,
  wasserstein1,
} from "../../src/instruments/index.js";

/** Adds noise in both modes, and counts its runs in a buffer that nobody knows about. */
class Noise extends nn.Module {
  readonly runs = this.buffer("runs", tensor(Int32Array.of(0)));

  forward(x: Tensor): Tensor {
    x.backend.call("addToInt", { cell: this.runs.storage, amount: 1, condition: null });
    return x.add(normal(x.shape, 0, 0.1));
  }
}

/** A network with everything that has a state, and a training step. */
function makeTraining() {
  manualSeed(3);
  const model = new nn.Sequential(
    new nn.Conv2d(1, 6, 3, { bias: false }),
    new nn.BatchNorm2d(6),
    new nn.ReLU(),
    new nn.Residual(new nn.Sequential(new nn.Conv2d(6, 6, 3, { padding: 1 }), new nn.BatchNorm2d(6, { momentum: null }))),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new Noise(),
    new nn.Dropout(0.3),
    new nn.Linear(54, 10),
  );
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  const x = uniform([12, 1, 8, 8]);
  const labels = tensor(Int32Array.from({ length: 12 }, (_, i) => i % 10));
  const loss = () => nn.crossEntropy(model.call(x), labels);
  const step = () => {
    const value = loss();
    value.backward();
    optimizer.step();
    return value;
  };
  return { model, optimizer, x, loss, step };
}

type Training = ReturnType<typeof makeTraining>;
type Use = (training: Training) => unknown;

/** Instruments that run passes of their own, as they are used between two steps. */
const running: Record<string, Use> = {
  alongGradient: ({ model, loss }) => alongGradient(model, loss, { etas: [0.1, 1] }),
  "layerShift with an optimizer": ({ model, loss, optimizer }) => layerShift(model, loss, optimizer),
  "layerShift with a learning rate": ({ model, loss }) => layerShift(model, loss, 0.1),
  "layerShift with a function": ({ model, loss }) =>
    layerShift(model, loss, () => {
      optim.clipGradNorm(model.parameters(), 0.1).dispose();
      const optimizer = new optim.SGD(model.parameters(), { lr: normal([1]).abs().item() });
      optimizer.step();
      optimizer.dispose();
      model.zeroGrad();
      model.eval();
    }),
  hessianVectorProduct: ({ model, loss }) => {
    const v = new Map([...model.namedParameters()].map(([key, p]) => [key, p.detach()]));
    for (const t of [...hessianVectorProduct(model, loss, v).values(), ...v.values()]) t.dispose();
  },
  largestCurvature: ({ model, loss }) => largestCurvature(model, loss, { iterations: 4 }),
};

/** Instruments that look at what is there. */
const looking: Record<string, Use> = {
  gradientNorms: ({ model }) => [gradientNorms(model), gradientNorms(model, { per: "layer" })],
  gradientDistribution: ({ model }) => gradientDistribution(model),
  "effectiveLearningRate of scaleInvariantWeights": ({ model }) =>
    scaleInvariantWeights(model).map(({ weight }) => effectiveLearningRate(weight, 0.1)),
  UpdateRatio: ({ model }) => {
    const updates = new UpdateRatio(model);
    updates.before();
    updates.after();
    updates.dispose();
  },
  trainEvalGap: ({ model, x }) => trainEvalGap(model, x),
  describe: ({ x }) => describeValues(x, { units: "channel" }),
  histogram: ({ x }) => histogram(x, { units: "channel" }),
  saturation: ({ x }) => saturation(x, { activation: "relu" }),
  effectiveRank: ({ model }) => effectiveRank(model.parameters().find((p) => p.rank === 2)!),
  wasserstein1: ({ x }) => wasserstein1(x, x),
};

const uses: Record<string, Use> = { ...running, ...looking };

const bits = (t: Tensor) => Array.from(t.data());

/** Losses of eight steps, and all that is left at the end. Gradients add up over two steps each, and then start anew. */
function run(isCompiled: boolean, use: Use | null) {
  const training = makeTraining();
  const { model, optimizer, step } = training;
  const compiled = compile(step);
  const losses = Array.from({ length: 8 }, (_, i) => {
    if (use !== null && (i === 1 || i === 4 || i === 5)) use(training);
    if (i % 2 === 0) optimizer.zeroGrad();
    return tidy(() => (isCompiled ? compiled() : step()).item());
  });
  const state = [...model.stateDict(), ...optimizer.stateDict().state.flatMap(({ tensors }) => [...tensors])];
  const buffers = model.buffers().map(bits);
  const grads = model.parameters().map((p) => bits(p.grad!));
  const steps = optimizer.stateDict().state.map((each) => each.step);
  const modes = model.modules().map((module) => module.training);
  const values = state.map(([, t]) => bits(t));
  return { losses, values, buffers, grads, steps, modes, random: getRandomState(), recordings: compiled.recordings };
}

describe.each(Object.keys(uses))("%s", (name) => {
  const use = uses[name]!;
  beforeEach(() => init());

  it.each([
    ["eager", false],
    ["recorded", true],
  ])("changes no bit of a run that is %s", (_, isCompiled) => {
    const alone = run(isCompiled, null);
    expect(run(isCompiled, use)).toEqual(alone);
    expect(alone.recordings).toBe(isCompiled ? 2 : 0);
  });

  it("changes no bit of a run on the reference backend", async () => {
    await init({ backend: "reference" });
    expect(run(false, use)).toEqual(run(false, null));
  });

  it("leaves memory as it was, inside tidy and outside", () => {
    const training = makeTraining();
    tidy(() => training.step().item());
    // Until the engine's own list of pending calls has found its size.
    for (let i = 0; i < 3; i++) use(training);
    const before = memory();
    for (let i = 0; i < 5; i++) use(training);
    expect(memory()).toEqual(before);
    tidy(() => void use(training));
    expect(memory()).toEqual(before);
  });

  it("is refused in a recorded step, which it would not be part of", () => {
    const training = makeTraining();
    const step = compile(() => {
      use(training);
      return training.step();
    });
    expect(() => step()).toThrow(
      /: an instrument cannot run in a recorded step, whose values it reads: call it between steps\.$/,
    );
  });
});

describe.each(Object.keys(running))("%s", (name) => {
  const use = running[name]!;
  beforeEach(() => init());

  it("leaves the model as it was when the last of its passes fails", () => {
    const training = makeTraining();
    tidy(() => training.step().item());
    const kept = () => ({
      values: training.model.parameters().concat(training.model.buffers()).map(bits),
      grads: training.model.parameters().map((p) => bits(p.grad!)),
      random: getRandomState(),
      steps: training.optimizer.stateDict().state.map((each) => each.step),
    });
    let calls = 0;
    let last = Infinity;
    const failing = () => {
      if (++calls === last) throw new Error("the loss failed");
      return training.loss();
    };
    use({ ...training, loss: failing });
    const before = { ...kept(), memory: memory().storages };
    [calls, last] = [0, calls];
    expect(() => use({ ...training, loss: failing })).toThrow("the loss failed");
    expect({ ...kept(), memory: memory().storages }).toEqual(before);
  });
});

it("the run in which all of this is tested has losses that dropout, batch norm and the optimizer's state change", async () => {
  await init();
  const { losses, random, steps, grads } = run(false, null);
  expect(new Set(losses).size).toBe(8);
  expect(Array.from(random)).not.toEqual([3, 0, 0, 0]);
  expect(new Set(steps)).toEqual(new Set([8]));
  expect(grads.flat().some((g) => g !== 0)).toBe(true);
});

it("a schedule that counts batches does not count the passes of instruments", async () => {
  await init();
  const asked: number[] = [];
  const rMax = (batch: number) => {
    asked.push(batch);
    return 2;
  };
  const model = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchRenorm(4, { rMax, dMax: 1 }));
  const x = uniform([6, 3]);
  const loss = () => model.call(x).square().sum();
  loss();
  alongGradient(model, loss, { etas: [0.1] });
  layerShift(model, loss, 0.1);
  trainEvalGap(model, x);
  loss();
  expect(Math.max(...asked)).toBe(1);
});
