import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { SurgeryError } from "../../src/core/errors.js";
import { init, withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import * as nn from "../../src/nn/index.js";
import { fold } from "../../src/surgery/index.js";
import { uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

beforeAll(() => init());

/** Running statistics, γ and β away from where they start, and evaluation mode. */
function trained<M extends nn.Module>(model: M): M {
  for (const m of model.modules()) {
    if (!(m instanceof nn.BatchNorm)) continue;
    const fill = (t: Tensor | null, low: number, high: number) => t?.backend.write(t.storage, uniform(t.shape, low, high).data());
    fill(m.weight, -2, 2);
    fill(m.bias, -1, 1);
    fill(m.runningMean, -3, 3);
    fill(m.runningVar, 0.05, 4);
  }
  model.eval();
  return model;
}

const bn = { 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d };
const outputs = (model: nn.Module, x: Tensor) => noGrad(() => model.call(x).data());
const cases: [string, number[], () => nn.Module[]][] = [
  ["Linear", [4], () => [new nn.Linear(4, 6), new bn[1](6)]],
  ["Linear without bias", [4], () => [new nn.Linear(4, 6, { bias: false }), new bn[1](6)]],
  ["Conv1d", [4, 9], () => [new nn.Conv1d(4, 6, 3, { padding: 1, stride: 2 }), new bn[1](6)]],
  [
    "Conv2d with bias, groups, stride, dilation",
    [4, 9, 8],
    () => [new nn.Conv2d(4, 6, [3, 2], { groups: 2, stride: 2, padding: 1, dilation: 2 }), new bn[2](6)],
  ],
  ["depthwise Conv2d", [4, 6, 6], () => [new nn.Conv2d(4, 8, 3, { groups: 4, bias: false }), new bn[2](8)]],
  ["Conv3d", [2, 4, 5, 4], () => [new nn.Conv3d(2, 3, 2), new bn[3](3)]],
  [
    "ConvTranspose2d with groups",
    [4, 5, 5],
    () => [new nn.ConvTranspose2d(4, 6, 3, { groups: 2, stride: 2, outputPadding: 1 }), new bn[2](6)],
  ],
  ["γ alone", [4], () => [new nn.Linear(4, 6), new bn[1](6, { bias: false })]],
  ["neither γ nor β", [4], () => [new nn.Linear(4, 6), new bn[1](6, { affine: false })]],
  ["GhostBatchNorm", [4], () => [new nn.Linear(4, 6), new nn.GhostBatchNorm(6, 3)]],
  ["a layer behind", [4], () => [new bn[1](4), new nn.Linear(4, 6)]],
  ["a convolution behind, without padding, with groups", [4, 6, 6], () => [new bn[2](4), new nn.Conv2d(4, 6, 3, { groups: 2 })]],
  ["both sides of one layer", [4], () => [new bn[1](4), new nn.Linear(4, 6), new bn[1](6)]],
];

describe("fold", () => {
  it.each(cases)(
    "%s: the same outputs within 1e-5 of the largest, all layers folded, one bias, no statistics left",
    (_, shape, make) => {
      manualSeed(5);
      const model = trained(new nn.Sequential(...make(), new nn.ReLU()));
      const x = uniform([3, ...shape], -2, 2);
      const before = outputs(model, x);
      const report = fold(model, x);
      const largest = Math.max(...before.map(Math.abs));
      const after = outputs(model, x);
      const change = Math.max(...before.map((value, i) => Math.abs(value - after[i]!)));
      expect(change / largest).toBeLessThan(1e-5);
      expect(report.error.absolute).toBe(change);
      expect(report.layers.every(({ into }) => into !== null)).toBe(true);
      expect([...model.stateDict().keys()].filter((key) => key.includes("running"))).toEqual([]);
      expect([...model.stateDict().keys()].filter((key) => key.endsWith("bias"))).toHaveLength(1);
      expect(model.modules().some((m) => m.training)).toBe(false);
    },
  );

  it("in float64 changes outputs by 1e-6 of the largest at most: what remains is the rounding of the weights", () => {
    withBackend(new ReferenceBackend(), () => {
      for (const [, shape, make] of cases) {
        const model = trained(new nn.Sequential(...make()));
        expect(fold(model, uniform([3, ...shape])).error.relative).toBeLessThan(1e-6);
      }
    });
  });

  it("scales the bias of the convolution, which others have forgotten", () => {
    const conv = new nn.Conv2d(1, 1, 1);
    const model = new nn.Sequential(conv, new nn.BatchNorm2d(1, { eps: 0 })).eval();
    nn.init.constant(conv.bias!, 3);
    nn.init.constant((model.at(1) as nn.BatchNorm2d).runningVar!, 4);
    fold(model, uniform([1, 1, 2, 2]));
    expect((model.at(0) as nn.Conv2d).bias!.item()).toBe(1.5);
  });

  it("folds into nothing that padding would make wrong: behind a padded convolution the layer stays, with the reason", () => {
    const model = trained(new nn.Sequential(new nn.BatchNorm2d(2), new nn.Conv2d(2, 3, 3, { padding: 1 })));
    const { layers, error } = fold(model, uniform([2, 2, 5, 5]));
    expect(layers).toEqual([{ path: "0", into: null, reason: expect.stringContaining("the layer 1 behind it pads") }]);
    expect(error.absolute).toBe(0);
  });

  const block = () =>
    new nn.Graph({
      inputs: ["x"],
      nodes: [
        { name: "conv", module: new nn.Conv2d(2, 2, 3, { padding: 1 }), inputs: ["x"] },
        { name: "bn", module: new nn.BatchNorm2d(2), inputs: ["conv"] },
        { name: "add", module: new nn.Add(), inputs: ["bn", "conv"] },
      ],
      outputs: ["add"],
    });
  it("leaves a layer whose convolution is used elsewhere, too", () => {
    const { layers } = fold(trained(block()), uniform([2, 2, 5, 5]));
    expect(layers[0]!.reason).toContain("the output of conv is used elsewhere, too");
  });

  it("leaves a layer whose convolution runs twice", () => {
    const conv = new nn.Conv2d(2, 2, 1);
    const model = trained(new nn.Sequential(conv, new nn.BatchNorm2d(2), conv, new nn.BatchNorm2d(2)));
    const { layers, error } = fold(model, uniform([2, 2, 5, 5]));
    expect(layers.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("the layer 0 is used in several places"),
      expect.stringContaining("used in several places"),
    ]);
    expect(error.absolute).toBe(0);
  });

  it("leaves a layer over another axis than the features of the dense layer", () => {
    const model = trained(new nn.Sequential(new nn.Linear(4, 6), new nn.BatchNorm1d(6)));
    const { layers } = fold(model, uniform([2, 6, 4]));
    expect(layers[0]!.reason).toContain("not the features of the dense layer");
  });

  it("leaves layers without statistics, with statistics that are not finite, and under a hook", () => {
    const model = trained(
      new nn.Sequential(
        ...[new nn.Linear(4, 4), new nn.BatchNorm1d(4, { trackRunningStats: false })],
        ...[new nn.Linear(4, 4), new nn.BatchNorm1d(4)],
        ...[new nn.Linear(4, 4), new nn.BatchNorm1d(4)],
      ),
    );
    nn.init.constant((model.at(3) as nn.BatchNorm1d).runningVar!, NaN);
    const remove = model.at(4).registerForwardHook(() => undefined);
    const { layers } = fold(model, uniform([5, 4]));
    remove();
    expect(layers.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("keeps no running statistics"),
      expect.stringContaining("not finite"),
      expect.stringContaining("somebody looks at the layer 4"),
    ]);
  });

  it("folds inside a class of one's own where a Sequential runs as a whole", () => {
    class Net extends nn.Module {
      readonly features = this.child("features", new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4)));
      readonly head = this.child("head", new nn.BatchNorm1d(4));
      forward(x: Tensor) {
        return this.head.call(this.features.call(x));
      }
    }
    const { layers, error } = fold(trained(new Net()), uniform([5, 3]));
    expect(layers.map(({ path, into }) => [path, into])).toEqual([
      ["features.1", "features.0"],
      ["head", null],
    ]);
    expect(error.relative).toBeLessThan(1e-5);
  });

  it("refuses a model in training mode and names a layer", () => {
    const model = trained(new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4)));
    model.at(1).train();
    expect(() => fold(model, uniform([5, 3]))).toThrow(SurgeryError);
    expect(() => fold(model, uniform([5, 3]))).toThrow(/model\.eval\(\) first \(in training mode: 1\)/);
  });

  it("takes everything back if outputs change by more than the tolerance", () => {
    const model = trained(new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4)));
    const before = [...model.stateDict()].map(([key, t]) => [key, [...t.data()]]);
    expect(() => fold(model, uniform([5, 3]), { tolerance: -1 })).toThrow(/expected outputs within -1 .* Nothing was changed/);
    expect([...model.stateDict()].map(([key, t]) => [key, [...t.data()]])).toEqual(before);
    expect(model.at(1)).toBeInstanceOf(nn.BatchNorm1d);
  });

  it("keeps what is to be trained, and measures time when asked", () => {
    const model = trained(new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4)));
    model.at(0).requiresGrad_(false);
    const { time } = fold(model, uniform([5, 3]), { timed: true });
    expect(model.parameters().map((p) => p.requiresGrad)).toEqual([false, false]);
    expect(time!.before).toBeGreaterThan(0);
    expect(time!.after).toBeGreaterThan(0);
  });

  it("of any chain of dense layers, normalizations and activations keeps outputs within 1e-4 of the largest", () => {
    const kinds = fc.constantFrom("linear", "bn", "relu", "residual");
    fc.assert(
      fc.property(fc.array(kinds, { minLength: 1, maxLength: 8 }), fc.nat(1000), (list, seed) => {
        manualSeed(seed);
        const make: Record<string, () => nn.Module> = {
          linear: () => new nn.Linear(4, 4),
          bn: () => new nn.BatchNorm1d(4),
          relu: () => new nn.ReLU(),
          residual: () => new nn.Residual(new nn.Sequential(new nn.Linear(4, 4), new nn.BatchNorm1d(4))),
        };
        const model = trained(new nn.Sequential(new nn.BatchNorm1d(4), ...list.map((kind) => make[kind]!())));
        const { error } = fold(model, uniform([6, 4], -1, 1));
        expect(error.relative).toBeLessThan(1e-4);
      }),
      { numRuns: 60 },
    );
  });
});
