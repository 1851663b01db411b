import { beforeEach, describe, expect, it } from "vitest";
import {
  compile,
  getRandomState,
  init,
  manualSeed,
  memory,
  nn,
  noGrad,
  optim,
  type Tensor,
  tensor,
  tidy,
  uniform,
} from "../../src/index.js";
import {
  ActivationProbe,
  type ActivationProbeOptions,
  alongGradient,
  describe as describeValues,
  histogram,
} from "../../src/instruments/index.js";
import { backends } from "./support.js";

beforeEach(() => init());

/** A network in which fused layers, random numbers and running values would show any change, and its training step. */
function makeTraining() {
  manualSeed(5);
  const block = (from: number) => [new nn.Linear(from, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Dropout(0.2)];
  const model = new nn.Sequential(...block(6), new nn.Residual(new nn.Sequential(...block(8))), new nn.Linear(8, 3));
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  const x = uniform([16, 6]);
  const labels = tensor(Int32Array.from({ length: 16 }, (_, k) => k % 3));
  const step = (input: Tensor) => {
    optimizer.zeroGrad();
    const loss = nn.crossEntropy(model.call(input), labels);
    loss.backward();
    optimizer.step();
    return loss;
  };
  return { model, optimizer, x, step };
}

/** All bits of twelve steps of a training, with probes on every module or without. */
function run(isCompiled: boolean, options: ActivationProbeOptions | null) {
  const { model, optimizer, x, step } = makeTraining();
  const compiled = compile(step);
  const probes = options ? model.modules().map((module) => new ActivationProbe(module, options)) : [];
  const losses = Array.from({ length: 12 }, () => tidy(() => (isCompiled ? compiled(x) : step(x)).item()));
  const tensors = [...model.stateDict().values(), ...optimizer.stateDict().state.flatMap(({ tensors }) => [...tensors.values()])];
  return {
    probes,
    recordings: compiled.recordings,
    bits: { losses, state: tensors.map((t) => Array.from(t.data())), random: Array.from(getRandomState()) },
  };
}

describe.each(backends)("an activation probe on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("notes what describe and histogram give for the output, or for the input", () => {
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.ReLU());
    const options = { percentiles: [10, 90], units: "channel" } as const;
    const output = new ActivationProbe(model.at(1), { ...options, histogram: { bins: 3, range: [0, 1] } });
    const input = new ActivationProbe(model.at(1), { ...options, at: "input", histogram: true });
    const x = uniform([5, 3]);
    const hidden = model.at(0).call(x);
    const y = model.call(x);
    expect(output.records).toEqual([
      {
        pass: 0,
        training: true,
        ...describeValues(y, options),
        histogram: histogram(y, { bins: 3, range: [0, 1], units: "channel" }),
      },
    ]);
    expect(input.last).toEqual({
      pass: 0,
      training: true,
      ...describeValues(hidden, options),
      histogram: histogram(hidden, { units: "channel" }),
    });
  });

  it("on every module it changes no bit of a run, and takes no memory that stays", () => {
    const probed = run(false, { units: "channel", histogram: true });
    expect(probed.bits).toEqual(run(false, null).bits);
    expect(new Set(probed.probes.map(({ records }) => records.length))).toEqual(new Set([12]));
    const { model, x } = makeTraining();
    tidy(() => void model.call(x).sum().item());
    new ActivationProbe(model.at(1), { histogram: true });
    tidy(() => void model.call(x).sum().item());
    const before = memory().storages;
    tidy(() => void model.call(x).sum().item());
    expect(memory().storages).toBe(before);
  });
});

describe("in recorded steps", () => {
  it.each([1, 4, 5])("every: %i changes no bit, and notes the same as in a run that is not recorded", (every) => {
    const alone = run(true, null);
    const recorded = run(true, { every });
    expect(recorded.bits).toEqual(alone.bits);
    const eager = run(false, { every });
    expect(recorded.probes.map(({ records }) => records)).toEqual(eager.probes.map(({ records }) => records));
    expect(recorded.probes[0]!.records.map(({ pass }) => pass)).toEqual(
      Array.from({ length: Math.ceil(12 / every) }, (_, i) => i * every),
    );
    expect(recorded.recordings).toBe(every === 1 ? 0 : 1);
  });

  it("the function runs for samples and for one recording, and is repeated else", () => {
    const { model, x, step } = makeTraining();
    let runs = 0;
    const compiled = compile((input: Tensor) => {
      runs++;
      return step(input);
    });
    for (let i = 0; i < 3; i++) compiled(x);
    expect(runs).toBe(1);
    const probe = new ActivationProbe(model.at(1), { every: 10 });
    for (let i = 0; i < 30; i++) compiled(x);
    // Three samples; the first also tries to record, and finds the probe.
    expect(runs).toBe(1 + 3 + 1);
    expect(probe.records.map(({ pass }) => pass)).toEqual([0, 10, 20]);
    probe.detach();
    for (let i = 0; i < 3; i++) compiled(x);
    expect(runs).toBe(5);
    expect(probe.records.length).toBe(3);
  });

  it("probes with different intervals each keep to their own", () => {
    const { model, x, step } = makeTraining();
    const compiled = compile(step);
    const probes = [2, 3].map((every, i) => new ActivationProbe(model.at(i), { every }));
    for (let i = 0; i < 9; i++) compiled(x);
    expect(probes.map(({ records }) => records.map(({ pass }) => pass))).toEqual([
      [0, 2, 4, 6, 8],
      [0, 3, 6],
    ]);
  });

  it("profile counts as a run", () => {
    const { model, x, step } = makeTraining();
    const compiled = compile(step);
    const probe = new ActivationProbe(model.at(0), { every: 3 });
    compiled(x);
    compiled(x);
    compiled.profile(x);
    compiled(x);
    expect(probe.records.map(({ pass }) => pass)).toEqual([0, 3]);
  });
});

describe("a probe", () => {
  it("looks at every k-th run, and not at runs of other instruments", () => {
    const { model, x } = makeTraining();
    const probe = new ActivationProbe(model.at(0), { every: 3 });
    for (let i = 0; i < 7; i++) {
      alongGradient(model, () => model.call(x).sum(), { etas: [0.1] });
      model.call(x);
    }
    expect(probe.records.map(({ pass }) => pass)).toEqual([0, 3, 6]);
    probe.clear();
    expect(probe.last).toBeNull();
  });

  it.each([
    ["training", [true, true, true]],
    ["evaluation", [false, false]],
    ["both", [true, false, true, false, true]],
  ] as const)("in mode %s it counts and notes these runs only, recorded or not", (mode, wanted) => {
    const { model, x } = makeTraining();
    const evaluation = compile((input: Tensor) => noGrad(() => model.call(input)));
    const probe = new ActivationProbe(model.at(0), { mode });
    for (let i = 0; i < 5; i++) {
      model.train(i % 2 === 0);
      evaluation(x);
    }
    expect(probe.records.map(({ training }) => training)).toEqual(wanted);
    expect(probe.records.map(({ pass }) => pass)).toEqual(wanted.map((_, i) => i));
  });

  it("notes nothing once it is detached", () => {
    const { model, x } = makeTraining();
    {
      using probe = new ActivationProbe(model.at(0));
      model.call(x);
      expect(probe.records.length).toBe(1);
    }
    const probe = new ActivationProbe(model.at(0));
    probe.detach();
    probe.detach();
    model.call(x);
    expect(probe.records.length).toBe(0);
  });

  it("refuses options out of range when it is made, and units of what has none when it looks", () => {
    const { model, x } = makeTraining();
    const make = (options: object) => () => new ActivationProbe(model.at(0), options);
    expect(make({ every: 0 })).toThrow("ActivationProbe: expected every to be an integer of at least 1, got 0.");
    expect(make({ at: "middle" })).toThrow('ActivationProbe: expected at to be input, output, got "middle".');
    expect(make({ mode: "train" })).toThrow('ActivationProbe: expected mode to be training, evaluation, both, got "train".');
    expect(make({ units: "rows" })).toThrow('ActivationProbe: expected units to be pooled, channel, got "rows".');
    expect(make({ percentiles: [-1] })).toThrow("ActivationProbe: expected percentiles from 0 to 100, got -1.");
    expect(make({ histogram: { bins: 0 } })).toThrow("ActivationProbe: expected bins to be an integer");
    const flat = new nn.Identity();
    new ActivationProbe(flat, { units: "channel" });
    expect(() => flat.call(x.reshape([x.size]))).toThrow("ActivationProbe: expected [N, C, …] to have the units on axis 1");
  });
});
