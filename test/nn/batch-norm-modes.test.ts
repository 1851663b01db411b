import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { setWarningHandler } from "../../src/core/warnings.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as optim from "../../src/optim/index.js";
import { normal, ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { outside, startTargets } from "../fixtures/compare.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const wasm = targets[0]!.backend;

const numbers = (t: Tensor | null) => [...t!.data()];
/** Everything a layer remembers. */
const stateOf = (layer: nn.Module) => [...layer.namedBuffers(), ...layer.namedParameters()].map(([key, t]) => [key, ...t.data()]);

let warnings: string[] = [];
let restore: ReturnType<typeof setWarningHandler>;
beforeEach(() => {
  warnings = [];
  restore = setWarningHandler((text) => void warnings.push(text));
});
afterEach(() => void setWarningHandler(restore));

describe("freeze", () => {
  it("of statistics survives train(): the layer computes its evaluation and leaves the running values alone, bit for bit", () => {
    withBackend(wasm, () => {
      const bn = new nn.BatchNorm1d(3);
      bn.forward(normal([8, 3], 2, 3));
      const x = normal([8, 3], 1, 2);
      const evaluated = numbers(bn.eval().forward(x));
      bn.train().freeze({ affine: false }).train();
      const before = stateOf(bn);
      expect(numbers(bn.forward(x))).toEqual(evaluated);
      expect(stateOf(bn)).toEqual(before);
      expect([bn.training, bn.frozen]).toEqual([true, { stats: true, affine: false }]);
      expect(numbers(bn.unfreeze().forward(x))).not.toEqual(evaluated);
      expect(stateOf(bn)).not.toEqual(before);
    });
  });

  it("of γ and β stops their gradients, drops old ones, and an optimizer with weight decay leaves them alone", () => {
    withBackend(wasm, () => {
      const model = new nn.Sequential(new nn.Linear(2, 3), new nn.BatchNorm1d(3));
      const bn = model.at(1) as nn.BatchNorm1d;
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, weightDecay: 0.5 });
      model
        .call(normal([4, 2]))
        .square()
        .sum()
        .backward();
      expect(bn.weight!.grad).not.toBeNull();
      bn.freeze({ stats: false });
      expect([bn.weight!.grad, bn.bias!.grad]).toEqual([null, null]);
      model.requiresGrad_(true).train();
      model.zeroGrad();
      model
        .call(normal([4, 2]))
        .square()
        .sum()
        .backward();
      optimizer.step();
      expect([numbers(bn.weight), numbers(bn.bias)]).toEqual([
        [1, 1, 1],
        [0, 0, 0],
      ]);
      expect(model.parameters()[0]!.grad).not.toBeNull();
      expect(bn.numBatchesTracked!.item()).toBe(2);
    });
  });

  it("is in the state only while something is frozen, and a loaded state brings it along; PyTorch's keys unfreeze nothing", () => {
    withBackend(wasm, () => {
      const [a, b] = [new nn.BatchNorm2d(2), new nn.BatchNorm2d(2)];
      expect([...a.stateDict().keys()]).toEqual(["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
      const plain = a.stateDict();
      a.freeze();
      expect(a.stateDict().get("frozen")!.item()).toBe(3);
      b.loadStateDict(a.stateDict());
      expect(b.frozen).toEqual({ stats: true, affine: true });
      expect(b.toString()).toContain("frozen = stats and affine");
      b.loadStateDict(plain);
      expect(b.frozen).toEqual({ stats: true, affine: true });
      b.unfreeze();
      expect(b.toString()).not.toContain("frozen");
    });
  });

  it("refuses to freeze statistics that are not kept", () => {
    const bn = new nn.BatchNorm1d(2, { trackRunningStats: false });
    expect(() => bn.freeze()).toThrow("BatchNorm1d.freeze: the layer keeps no running statistics; pass { stats: false }.");
    expect(bn.frozen).toEqual({ stats: false, affine: false });
  });
});

describe("withoutStatsUpdate", () => {
  it("normalizes by the batch and moves nothing, ends with an error, and can be nested", () => {
    withBackend(wasm, () => {
      const bn = new nn.BatchNorm1d(2);
      const x = normal([5, 2], 3, 2);
      const before = stateOf(bn);
      const y = nn.withoutStatsUpdate(() => nn.withoutStatsUpdate(() => bn.forward(x)));
      expect(stateOf(bn)).toEqual(before);
      expect(() =>
        nn.withoutStatsUpdate(() => {
          throw new Error("stop");
        }),
      ).toThrow("stop");
      expect(numbers(bn.forward(x))).toEqual(numbers(y));
      expect(bn.numBatchesTracked!.item()).toBe(1);
    });
  });
});

describe("sets of running statistics", () => {
  it("are moved one at a time, share γ and β, and are saved and loaded under their names", () => {
    withBackend(wasm, () => {
      const bn = new nn.BatchNorm1d(2, { momentum: 1 });
      bn.forward(tensor([1, 2, 3, 6], [2, 2]));
      bn.use("target").forward(tensor([10, 20, 30, 60], [2, 2]));
      expect([bn.statsName, bn.statsNames]).toEqual(["target", ["default", "target"]]);
      expect(numbers(bn.runningMean)).toEqual([20, 40]);
      expect(numbers(bn.use().runningMean)).toEqual([2, 4]);
      expect(bn.parameters()).toHaveLength(2);
      const state = bn.stateDict();
      expect([...state.keys()]).toContain("running_var@target");

      const other = new nn.BatchNorm1d(2);
      other.loadStateDict(state);
      expect(numbers(other.use("target").runningMean)).toEqual([20, 40]);
      expect(other.toString()).toContain('statistics = "target" of default, target');
      expect(numbers(other.eval().forward(tensor([20, 40], [1, 2])))).toEqual([0, 0]);
    });
  });

  it("a state that is refused leaves no new set behind", () => {
    const bn = new nn.BatchNorm1d(2);
    const state = new Map(new nn.BatchNorm1d(2).use("t").stateDict());
    state.set("running_var@t", tensor([1, -1]));
    expect(() => bn.loadStateDict(state)).toThrow(/running_var@t: expected variances of at least 0, got -1 for channel 1/);
    expect([bn.statsNames, bn.buffers().length]).toEqual([["default"], 4]);
  });

  it("refuses odd names, and layers without running values", () => {
    expect(() => new nn.BatchNorm1d(2).use("a.b")).toThrow(
      'BatchNorm1d.use: expected a name of letters, digits, _ and -, got "a.b".',
    );
    expect(() => new nn.BatchNorm1d(2, { trackRunningStats: false }).use("a")).toThrow("keeps no running statistics");
  });
});

describe("options", () => {
  it("weight and bias are switched one by one; affine switches both", () => {
    const keys = (o: nn.BatchNormLayerOptions) => [...new nn.BatchNorm1d(2, o).namedParameters().keys()];
    expect(keys({ bias: false })).toEqual(["weight"]);
    expect(keys({ weight: false })).toEqual(["bias"]);
    expect(keys({ affine: false })).toEqual([]);
    expect(keys({ affine: false, bias: true })).toEqual(["bias"]);
    expect(new nn.BatchNorm1d(2, { bias: false }).toString()).toContain("weight = true, bias = false");
  });

  it("eps 0 warns; a constant channel then gives β in training", () => {
    const bn = new nn.BatchNorm1d(1, { eps: 0 });
    expect(warnings).toEqual(["BatchNorm1d: with eps = 0 a channel that does not vary gives NaN or Infinity in evaluation."]);
    expect(numbers(bn.forward(tensor([5, 5, 5], [3, 1])))).toEqual([0, 0, 0]);
  });

  it("a momentum of 30 leaves the running values finite for 40 batches: what would overflow is refused and counted", () => {
    withBackend(wasm, () => {
      const bn = new nn.BatchNorm1d(2, { momentum: 30 });
      for (let k = 0; k < 40; k++) bn.forward(normal([4, 2], 1e3, 1e3));
      expect([...numbers(bn.runningMean), ...numbers(bn.runningVar)].every(Number.isFinite)).toBe(true);
      expect(numbers(bn.rejected).every((n) => n > 0)).toBe(true);
      expect(bn.callTogether([])).toEqual([]);
    });
  });

  it('compat: "torch" lets NaN into the running values, counts empty batches, and counts a refused one', () => {
    withBackend(wasm, () => {
      const bn = new nn.BatchNorm1d(2, { compat: "torch" });
      bn.forward(zeros([0, 2]));
      expect(bn.numBatchesTracked!.item()).toBe(1);
      expect(() => bn.forward(ones([1, 2]))).toThrow("Expected more than 1 value per channel when training");
      expect(bn.numBatchesTracked!.item()).toBe(2);
      bn.forward(tensor([Number.NaN, 1, 1, 3], [2, 2]));
      expect(numbers(bn.runningMean).map(Number.isNaN)).toEqual([true, false]);
      expect(numbers(bn.rejected)).toEqual([0, 0]);
      expect(bn.toString()).toContain('compat = "torch"');
    });
    expect(() => new nn.BatchNorm1d(2, { compat: "keras" as "torch" })).toThrow('expected compat "torch" or null, got "keras"');
  });

  it("detachStats gives the gradient γ/σ·dy of constant statistics within 1e-6, and another one than the true", () => {
    withBackend(wasm, () => {
      manualSeed(3);
      const x = normal([16, 2], 1, 2);
      const dy = normal([16, 2]);
      const gradient = (detachStats: boolean) => {
        const leaf = x.detach();
        leaf.requiresGrad = true;
        new nn.BatchNorm1d(2, { detachStats }).forward(leaf).backward(dy);
        return leaf.grad!.data();
      };
      const { variance } = nn.batchNormWithStats(x, { training: true });
      const want = dy.data().map((d, i) => d / Math.sqrt(variance!.data()[i % 2]! + 1e-5));
      expect(outside("dx", gradient(true), want, 1e-6)).toBeNull();
      expect(outside("dx", gradient(false), want, 1e-2)).not.toBeNull();
    });
  });

  it("errors name the layer's place in the network", () => {
    const model = new nn.Sequential(new nn.Linear(4, 3), new nn.Residual(new nn.Sequential(new nn.BatchNorm1d(3))));
    expect(() => model.forward(uniform([1, 4]))).toThrow(
      'BatchNorm1d (layer "1.branch.0"): Expected more than 1 value per channel when training, got input size [1, 3]. ' +
        "Use a larger batch (a last batch of one can be dropped or merged: dropLast of the loader) or evaluation mode.",
    );
  });
});

describe("batchNormWithStats", () => {
  it("inPlace: false changes nothing and returns what the call would have written, bit for bit", () => {
    withBackend(wasm, () => {
      const x = normal([6, 3, 2], 5, 2);
      const make = () => ({ runningMean: zeros([3]), runningVar: ones([3]) });
      const [kept, written] = [make(), make()];
      const a = nn.batchNormWithStats(x, { ...kept, training: true, inPlace: false });
      const b = nn.batchNormWithStats(x, { ...written, training: true });
      expect([numbers(kept.runningMean), numbers(kept.runningVar)]).toEqual([
        [0, 0, 0],
        [1, 1, 1],
      ]);
      expect(numbers(a.runningMean)).toEqual(numbers(written.runningMean));
      expect(numbers(a.runningVar)).toEqual(numbers(written.runningVar));
      expect(numbers(a.y)).toEqual(numbers(b.y));
      expect([numbers(a.mean), numbers(a.variance)]).toEqual([numbers(b.mean), numbers(b.variance)]);
    });
  });

  it("in evaluation and of an empty batch there are no statistics of the batch", () => {
    const running = { runningMean: zeros([2]), runningVar: ones([2]) };
    for (const [x, training] of [
      [ones([3, 2]), false],
      [ones([0, 2]), true],
    ] as const) {
      const result = nn.batchNormWithStats(x, { ...running, training });
      expect([result.mean, result.variance, numbers(result.runningMean)]).toEqual([null, null, [0, 0]]);
    }
  });
});

describe("LazyBatchNorm", () => {
  it("becomes the layer of its first input's channels, with name, keys and texts", () => {
    const bn = new nn.LazyBatchNorm2d({ momentum: 0.5 });
    expect(bn.toString()).toContain("LazyBatchNorm2d(");
    expect(() => bn.parameters()).toThrow("LazyBatchNorm2d: expected numFeatures to be known before parameters or state");
    expect(() => bn.stateDict()).toThrow("run one batch through the network first");
    bn.forward(uniform([2, 5, 3, 3]));
    expect([bn.numFeatures, bn.typeName, bn.momentum]).toEqual([5, "BatchNorm2d", 0.5]);
    expect([...bn.stateDict().keys()]).toEqual([...new nn.BatchNorm2d(5).stateDict().keys()]);
    expect(() => bn.forward(uniform([2, 4, 3, 3]))).toThrow("BatchNorm2d: expected input [N, 5, H, W], got [2, 4, 3, 3].");
  });

  it("learns in a Sequential with a ReLU behind it, and from parts of a batch", () => {
    const x = normal([6, 3]);
    const whole = new nn.Sequential(new nn.LazyBatchNorm1d(), new nn.ReLU());
    expect(numbers(whole.call(x))).toEqual(numbers(new nn.BatchNorm1d(3).forward(x).relu()));
    const parted = new nn.Sequential(new nn.LazyBatchNorm1d(), new nn.ReLU());
    const parts = parted.callTogether([x.slice(0, 0, 2), x.slice(0, 2, 6)]);
    expect(outside("parts", parts.flatMap(numbers), whole.call(x).data(), 1e-5)).toBeNull();
    expect(new nn.Sequential(new nn.LazyBatchNorm1d()).callTogether([])).toEqual([]);
    expect(stateOf(parted).at(-1)).toEqual(["0.bias", 0, 0, 0]);
  });

  it("a first call that is refused leaves it undecided", () => {
    const bn = new nn.LazyBatchNorm1d();
    expect(() => bn.forward(ones([1, 7]))).toThrow("Expected more than 1 value per channel when training");
    expect(() => bn.forward(ones([2, 0]))).toThrow("expected at least one channel");
    expect(() => bn.forward(ones([2, 3, 4, 5]))).toThrow("expected 2D or 3D input (got 4D input): expected [N, C] or [N, C, L]");
    expect(bn.numFeatures).toBe(0);
    bn.forward(ones([2, 3]));
    expect(bn.numFeatures).toBe(3);
  });

  it("learns C from a state that is loaded, and forgets it if the state is refused", () => {
    const source = new nn.BatchNorm3d(4);
    source.forward(uniform([2, 4, 2, 2, 2]));
    const bn = new nn.LazyBatchNorm3d();
    const broken = new Map(source.stateDict());
    broken.delete("bias");
    expect(() => bn.loadStateDict(broken)).toThrow('Missing key(s) in state_dict: "bias"');
    expect(bn.numFeatures).toBe(0);
    bn.loadStateDict(source.stateDict());
    expect(numbers(bn.runningMean)).toEqual(numbers(source.runningMean));
    expect(stateOf(bn)).toEqual(stateOf(source));
  });
});
