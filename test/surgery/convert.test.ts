import { beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { OptionError } from "../../src/core/errors.js";
import { init } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { type ConvertTo, convert, freeze, inspect, unfreeze, WeightAverage } from "../../src/surgery/index.js";
import { normal, uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";

beforeAll(() => init());

/** A trained convolutional network with a residual block. */
function network(): nn.Sequential {
  manualSeed(9);
  const model = new nn.Sequential(
    new nn.Conv2d(1, 6, 3, { padding: 1, bias: false }),
    new nn.BatchNorm2d(6),
    new nn.ReLU(),
    new nn.Residual(
      new nn.Sequential(new nn.Conv2d(6, 6, 3, { padding: 1 }), new nn.BatchNorm2d(6, { eps: 1e-3, momentum: 0.2 })),
    ),
    new nn.Flatten(),
    new nn.Linear(96, 3),
  );
  for (let i = 0; i < 4; i++) noGrad(() => model.call(normal([8, 1, 4, 4], 1, 2)));
  return model;
}

const norms = (model: nn.Module) => model.modules().filter((m): m is nn.BatchNorm => m instanceof nn.BatchNorm);
const outputs = (model: nn.Module, x = uniform([3, 1, 4, 4])) => [...noGrad(() => model.call(x)).data()];

describe("convert", () => {
  it.each<[string, ConvertTo, string]>([
    ["ghost batch normalization", { to: "ghostBatchNorm", ghostSize: 4 }, "GhostBatchNorm"],
    ["batch renormalization", { to: "batchRenorm", rMax: 3, dMax: 5 }, "BatchRenorm"],
    ["frozen layers", { to: "frozen" }, "BatchNorm2d, frozen"],
  ])("to %s keeps state, keys, options, modes, and outputs in evaluation bit for bit", (_, kind, is) => {
    const model = network();
    model.at(1).eval();
    const x = uniform([3, 1, 4, 4]);
    const state = [...model.stateDict()].map(([key, t]) => [key, [...t.data()]]);
    const report = convert(model, kind, { probe: x });
    expect(report).toEqual({
      layers: [
        { path: "1", was: "BatchNorm2d", is },
        { path: "3.branch.1", was: "BatchNorm2d", is },
      ],
      change: 0,
    });
    const after = [...model.stateDict()].filter(([key]) => !key.endsWith("frozen")).map(([key, t]) => [key, [...t.data()]]);
    expect(after).toEqual(state);
    expect(norms(model).map(({ eps, momentum }) => [eps, momentum])).toEqual([
      [1e-5, 0.1],
      [1e-3, 0.2],
    ]);
    expect(norms(model).map(({ training }) => training)).toEqual([false, true]);
  });

  it("to GroupNorm carries γ and β, finds a number of groups that fits, and says how much the function changed", () => {
    const model = network();
    nn.init.constant(norms(model)[0]!.weight!, 1.5);
    const { change, layers } = convert(model, { to: "groupNorm", groups: 4 }, { probe: uniform([3, 1, 4, 4]) });
    const first = model.at(1) as nn.GroupNorm;
    expect(layers.map(({ is }) => is)).toEqual(["GroupNorm", "GroupNorm"]);
    expect([first.numGroups, first.numChannels, [...first.weight!.data()]]).toEqual([3, 6, Array(6).fill(1.5)]);
    expect(change).toBeGreaterThan(0.01);
    expect([...model.stateDict().keys()].filter((key) => key.includes("running"))).toEqual([]);
  });

  it("converts only the layers that a pattern names", () => {
    const model = network();
    convert(model, { to: "groupNorm" }, { layers: "3.**" });
    expect([model.at(1).typeName, (model.at(3) as nn.Residual).branch.children()[1]!.typeName]).toEqual([
      "BatchNorm2d",
      "GroupNorm",
    ]);
  });

  it("converts a layer that stands in two places once", () => {
    const shared = new nn.BatchNorm1d(4);
    const model = new nn.Sequential(shared, new nn.Linear(4, 4), shared);
    convert(model, { to: "batchRenorm" });
    expect(model.at(0)).toBe(model.at(2));
    expect(model.at(0)).toBeInstanceOf(nn.BatchRenorm);
  });

  it("keeps what is to be trained, named sets of statistics, and freezing", () => {
    const model = new nn.Sequential(new nn.BatchNorm1d(4));
    const bn = model.at(0) as nn.BatchNorm1d;
    bn.use("night");
    noGrad(() => model.call(normal([8, 4], 5)));
    bn.freeze({ affine: false });
    bn.bias!.requiresGrad = false;
    convert(model, { to: "ghostBatchNorm", ghostSize: 2 });
    const next = model.at(0) as nn.GhostBatchNorm;
    expect([next.statsName, next.statsNames, next.frozen]).toEqual([
      "night",
      ["default", "night"],
      { stats: true, affine: false },
    ]);
    expect([next.weight!.requiresGrad, next.bias!.requiresGrad]).toEqual([true, false]);
    expect([...next.runningMean!.data()]).toEqual([...bn.runningMean!.data()]);
  });

  it("changes nothing if a later layer cannot be converted", () => {
    const model = new nn.Sequential(new nn.BatchNorm1d(4), new nn.BatchNorm1d(4, { trackRunningStats: false }));
    const before = [...model];
    expect(() => convert(model, { to: "batchRenorm" })).toThrow(OptionError);
    expect([...model]).toEqual(before);
    expect(() => convert(model, { to: "frozen" })).toThrow("keeps no running statistics");
    expect((model.at(0) as nn.BatchNorm1d).frozen.stats).toBe(false);
  });

  it("refuses a model that is nothing but the layer", () => {
    expect(() => convert(new nn.BatchNorm1d(4), { to: "batchRenorm" })).toThrow("put it into a Sequential");
  });
});

describe("freeze and unfreeze", () => {
  it("by pattern, surviving train(), and back", () => {
    const model = network();
    expect(freeze(model, "3.**", { affine: false })).toEqual(["3.branch.1"]);
    model.train();
    const [first, second] = norms(model).map((m) => [...m.runningMean!.data()]);
    outputs(model);
    expect([...norms(model)[1]!.runningMean!.data()]).toEqual(second);
    expect([...norms(model)[0]!.runningMean!.data()]).not.toEqual(first);
    expect(unfreeze(model)).toEqual(["1", "3.branch.1"]);
    expect(norms(model).some((m) => m.frozen.stats)).toBe(false);
    expect(() => freeze(model, /encoder/)).toThrow('there are "1", "3.branch.1"');
  });

  it("freezes nothing if one of the layers keeps no statistics", () => {
    const model = new nn.Sequential(new nn.BatchNorm1d(4), new nn.BatchNorm1d(4, { trackRunningStats: false }));
    expect(() => freeze(model)).toThrow("keeps no running statistics");
    expect((model.at(0) as nn.BatchNorm1d).frozen).toEqual({ stats: false, affine: false });
  });
});

describe("WeightAverage", () => {
  const model = () => new nn.Sequential(new nn.Linear(2, 2, { bias: false }), new nn.BatchNorm1d(2));
  const set = (m: nn.Sequential, value: number) => void nn.init.constant((m.at(0) as nn.Linear).weight, value);

  it.each([
    ["swa", { kind: "swa" } as const, (1 + 2 + 6) / 3],
    ["ema", { kind: "ema", decay: 0.5 } as const, 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 6],
  ])("%s averages weights, takes statistics anew from batches, and puts everything back", (_, kind, expected) => {
    const net = model();
    const average = new WeightAverage(net, kind);
    for (const value of [1, 2, 6]) {
      set(net, value);
      average.update();
    }
    const before = [...net.stateDict()].map(([key, t]) => [key, [...t.data()]]);
    const x = normal([50, 2], 3);
    const { restore, recalibration } = average.apply([x]);
    const weight = (net.at(0) as nn.Linear).weight.data();
    expect([...weight]).toEqual(Array(4).fill(expected));
    const truth = [...noGrad(() => net.at(0).call(x)).data()];
    const mean = [0, 1].map((c) => truth.reduce((sum, v, i) => sum + (i % 2 === c ? v : 0), 0) / 50);
    expect([...(net.at(1) as nn.BatchNorm1d).runningMean!.data()]).toEqual(mean.map((v) => expect.closeTo(v, 4)));
    expect(recalibration!.layers).toHaveLength(1);
    restore();
    expect([...net.stateDict()].map(([key, t]) => [key, [...t.data()]])).toEqual(before);
  });

  it("refuses to go without batches where statistics are needed, changing nothing", () => {
    const net = model();
    const average = new WeightAverage(net);
    expect(() => average.values).toThrow("at least one update");
    average.update();
    set(net, 7);
    expect(() => average.apply(null)).toThrow("to be taken anew");
    expect((net.at(0) as nn.Linear).weight.data()[0]).toBe(7);
    expect(() => new WeightAverage(net, { kind: "ema", decay: 1 })).toThrow("decay from 0 to below 1");
  });

  it("does without batches where nothing is normalized by running statistics", () => {
    const net = new nn.Linear(2, 2);
    const average = new WeightAverage(net);
    average.update();
    expect(average.apply(null).recalibration).toBeNull();
  });
});

describe("inspect", () => {
  it("lists what computes, with what batch normalization has learned", () => {
    const model = network();
    nn.init.constant(norms(model)[0]!.runningVar!, 4);
    const rows = inspect(model);
    expect(rows.map(({ path, type }) => `${path} ${type}`)).toEqual([
      "0 Conv2d",
      "1 BatchNorm2d",
      "2 ReLU",
      "3.branch.0 Conv2d",
      "3.branch.1 BatchNorm2d",
      "4 Flatten",
      "5 Linear",
    ]);
    expect(rows[0]).toMatchObject({ parameters: { weight: [6, 1, 3, 3] }, size: 54, training: true, batchNorm: null });
    expect(rows[1]!.batchNorm).toMatchObject({
      numFeatures: 6,
      batches: 4,
      variance: { min: 4, max: 4 },
      weight: { min: 1, max: 1 },
    });
  });
});
