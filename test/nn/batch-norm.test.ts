import { afterAll, describe, expect, it } from "vitest";
import { BackendError, OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { setWarningHandler } from "../../src/core/warnings.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";

const targets = await startTargets();
const [wasm, reference] = targets.map(({ backend }) => backend);
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const bits = (t: Tensor | null) => [...t!.data()];
const stateOf = (layer: nn.BatchNorm) => layer.buffers().map(bits);

/** Calls `fn`, which must throw, and checks that the layer's buffers are what they were. */
function refusal(layer: nn.BatchNorm, fn: () => void): Error {
  const before = stateOf(layer);
  let thrown: unknown = null;
  try {
    fn();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(Error);
  expect(stateOf(layer)).toEqual(before);
  return thrown as Error;
}

describe("a call that is refused changes neither running values nor counters", () => {
  it.each([
    [
      new nn.BatchNorm1d(64),
      [64],
      "BatchNorm1d: expected 2D or 3D input (got 1D input): expected [N, 64] or [N, 64, L], got [64].",
    ],
    [
      new nn.BatchNorm1d(2),
      [1, 2, 3, 4],
      "expected 2D or 3D input (got 4D input): expected [N, 2] or [N, 2, L], got [1, 2, 3, 4].",
    ],
    [new nn.BatchNorm2d(2), [3, 2], "BatchNorm2d: expected 4D input (got 2D input): expected [N, 2, H, W], got [3, 2]."],
    [new nn.BatchNorm3d(2), [3, 2, 1, 1], "expected 5D input (got 4D input): expected [N, 2, D, H, W], got [3, 2, 1, 1]."],
    [
      new nn.BatchNorm1d(64),
      [32, 128],
      "BatchNorm1d: expected input [N, 64], got [32, 128]. The layer was built with numFeatures = 64.",
    ],
    [new nn.BatchNorm1d(3), [2, 4, 5], "expected input [N, 3, L], got [2, 4, 5]. The layer was built with numFeatures = 3."],
    [new nn.BatchNorm2d(3), [2, 0, 4, 4], "expected input [N, 3, H, W], got [2, 0, 4, 4]."],
  ] as const)("%s refuses %j as a shape", (layer, shape, text) => {
    const error = refusal(layer, () => layer.forward(zeros(shape)));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toContain(text);
  });

  it("one value per channel while training is refused; two are not, and evaluation takes one", () => {
    const layer = new nn.BatchNorm1d(3);
    const error = refusal(layer, () => layer.forward(ones([1, 3])));
    expect(error).toBeInstanceOf(TrainingError);
    expect(error.message).toContain("BatchNorm1d: Expected more than 1 value per channel when training, got input size [1, 3]");
    expect(layer.forward(ones([1, 3, 2])).shape).toEqual([1, 3, 2]);
    expect(layer.eval().forward(ones([1, 3])).shape).toEqual([1, 3]);
    const untracked = new nn.BatchNorm1d(3, { trackRunningStats: false }).eval();
    expect(() => untracked.forward(ones([1, 3]))).toThrow("Expected more than 1 value per channel");
  });

  it("int32 input, a disposed input and an input on another backend are refused", () => {
    const layer = withBackend(wasm!, () => new nn.BatchNorm1d(2));
    const int = withBackend(wasm!, () => tensor(Int32Array.of(1, 2, 3, 4), [2, 2]));
    const gone = withBackend(wasm!, () => ones([2, 2]));
    gone.dispose();
    const far = withBackend(reference!, () => ones([2, 2]));
    expect(refusal(layer, () => layer.forward(int)).name).toBe("DTypeError");
    expect(refusal(layer, () => layer.forward(gone)).name).toBe("DisposedError");
    expect(refusal(layer, () => layer.forward(far))).toBeInstanceOf(BackendError);
  });
});

describe("options", () => {
  it("defaults are PyTorch's", () => {
    const layer = new nn.BatchNorm2d(3);
    expect([layer.eps, layer.momentum, layer.affine, layer.trackRunningStats]).toEqual([1e-5, 0.1, true, true]);
    const values = [layer.weight, layer.bias, layer.runningMean, layer.runningVar].map(bits);
    expect(values).toEqual([Array(3).fill(1), Array(3).fill(0), Array(3).fill(0), Array(3).fill(1)]);
    expect([layer.numBatchesTracked!.shape, layer.numBatchesTracked!.dtype]).toEqual([[], "int32"]);
  });

  it("affine: false has no parameters, trackRunningStats: false no buffers", () => {
    expect(new nn.BatchNorm1d(3, { affine: false }).parameters()).toEqual([]);
    const untracked = new nn.BatchNorm1d(3, { trackRunningStats: false });
    expect(untracked.buffers()).toEqual([]);
    expect([...untracked.stateDict().keys()]).toEqual(["weight", "bias"]);
  });

  it("eps below 0 or not a number, numFeatures below 1, momentum that is no number, and momentum beside decay are refused", () => {
    for (const eps of [-1e-5, NaN]) expect(() => new nn.BatchNorm1d(3, { eps })).toThrow(OptionError);
    expect(() => new nn.BatchNorm1d(3, { eps: -1 })).toThrow("BatchNorm1d: expected eps of at least 0, got -1.");
    for (const n of [0, -1, 1.5])
      expect(() => new nn.BatchNorm2d(n)).toThrow("BatchNorm2d: expected numFeatures to be an integer");
    expect(() => new nn.BatchNorm1d(3, { momentum: NaN })).toThrow(OptionError);
    expect(() => new nn.BatchNorm1d(3, { momentum: 0.1, decay: 0.9 })).toThrow("expected momentum or decay, got both");
  });

  it("a momentum outside 0 to 1 warns once; 0, 1 and null do not", () => {
    const warnings: string[] = [];
    const previous = setWarningHandler((message) => void warnings.push(message));
    for (const momentum of [0, 1, null, 0.5]) new nn.BatchNorm1d(3, { momentum });
    expect(warnings).toEqual([]);
    for (let i = 0; i < 2; i++) new nn.BatchNorm1d(3, { momentum: 1.5 });
    new nn.BatchNorm1d(3, { momentum: -0.1 });
    setWarningHandler(previous);
    expect(warnings.map((text) => text.slice(0, 24))).toEqual(["BatchNorm1d: momentum is", "BatchNorm1d: momentum is"]);
  });

  it("decay 0.75 is momentum 0.25", () => {
    expect(new nn.BatchNorm1d(3, { decay: 0.75 }).momentum).toBe(0.25);
  });
});

describe.each(targets)("running values on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);
  const batch = () => tensor([1, 10, 3, 30], [2, 2]);

  it("by hand: one batch of 1, 3 and 10, 30 gives mean 0.2, 2 and variance 0.9 + 0.1 · 2, 0.9 + 0.1 · 200, within 1e-6", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2);
      layer.forward(batch());
      expect(outside("mean", layer.runningMean!.data(), [0.2, 2], 1e-6)).toBeNull();
      expect(outside("variance", layer.runningVar!.data(), [1.1, 20.9], 2e-6)).toBeNull();
      expect(layer.numBatchesTracked!.item()).toBe(1);
    });
  });

  it("unbiasedRunningVar: false moves towards the biased variance 1 and 100", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2, { momentum: 1, unbiasedRunningVar: false });
      layer.forward(batch());
      expect(bits(layer.runningVar)).toEqual([1, 100]);
    });
  });

  it("momentum null gives the mean of the batches' values, also after a reset", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(1, { momentum: null });
      const feed = () => {
        for (const shift of [0, 6, 3]) layer.forward(tensor([1 + shift, 3 + shift], [2, 1]));
        return [layer.runningMean!.item(), layer.runningVar!.item(), layer.numBatchesTracked!.item()];
      };
      const first = feed();
      expect(outside("values", first, [5, 2, 3], 1e-6)).toBeNull();
      layer.resetRunningStats();
      expect(stateOf(layer)).toEqual([[0], [1], [0], [0]]);
      expect(feed()).toEqual(first);
    });
  });

  it("evaluation changes nothing, gives the same bits twice, and treats every example alone", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(4);
      layer.forward(uniform([16, 4], -2, 3));
      layer.eval();
      const before = stateOf(layer);
      const x = uniform([6, 4]);
      const all = bits(layer.forward(x));
      expect(bits(layer.forward(x))).toEqual(all);
      expect(bits(layer.forward(x.slice(0, 2, 3)))).toEqual(all.slice(8, 12));
      expect(stateOf(layer)).toEqual(before);
    });
  });

  it("without running values evaluation gives the bits of training", () => {
    on(() => {
      const layer = new nn.BatchNorm2d(2, { trackRunningStats: false });
      const x = uniform([3, 2, 2, 2]);
      const trained = bits(layer.forward(x));
      expect(bits(layer.eval().forward(x))).toEqual(trained);
    });
  });

  it("trackRunningStats switched off later: training leaves the buffers alone, evaluation still uses them", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2);
      layer.forward(batch());
      const x = uniform([4, 2]);
      const want = bits(layer.eval().forward(x));
      const before = stateOf(layer);
      layer.train().trackRunningStats = false;
      layer.forward(uniform([5, 2]));
      expect(stateOf(layer)).toEqual(before);
      expect(bits(layer.eval().forward(x))).toEqual(want);
    });
  });

  it("NaN and Infinity reach y of their channel only, never the running values; each such channel is counted", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(3);
      const y = layer.forward(tensor([NaN, 1, Infinity, 0, 3, 0], [2, 3])).data();
      expect([...y].map(Number.isNaN)).toEqual([true, false, true, true, false, true]);
      expect(bits(layer.runningMean).filter((v) => v !== 0).length).toBe(1);
      expect(stateOf(layer).flat().every(Number.isFinite)).toBe(true);
      expect(bits(layer.rejected)).toEqual([1, 0, 1]);
      layer.resetRunningStats();
      expect(bits(layer.rejected)).toEqual([0, 0, 0]);
    });
  });

  it.each([[[0, 3, 2, 2]], [[2, 3, 0, 4]]])("an empty batch %j gives an empty y, zero gradients, and is not counted", (shape) => {
    on(() => {
      const layer = new nn.BatchNorm2d(3);
      const before = stateOf(layer);
      const x = zeros(shape, { requiresGrad: true });
      const y = layer.forward(x);
      y.backward(zeros(shape));
      expect([y.shape, x.grad!.shape]).toEqual([shape, shape]);
      expect([layer.weight, layer.bias].map((p) => bits(p!.grad))).toEqual([
        [0, 0, 0],
        [0, 0, 0],
      ]);
      expect(stateOf(layer)).toEqual(before);
    });
  });

  it("γ and β get gradients in evaluation, too, and none after requiresGrad_(false)", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2).eval();
      layer.forward(batch()).sum().backward();
      expect(bits(layer.bias!.grad)).toEqual([2, 2]);
      layer.zeroGrad();
      layer.requiresGrad_(false);
      expect(layer.forward(batch()).requiresGrad).toBe(false);
    });
  });

  it("a layer that is used twice before backward gives the gradients of both uses, within 1e-5", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2);
      const [a, b] = [uniform([4, 2], -1, 1, { requiresGrad: true }), uniform([4, 2], -1, 1)];
      const both = layer.forward(a).square().mul(3).sum().add(layer.forward(b).square().mul(a.detach()).sum());
      both.backward();
      const together = bits(layer.weight!.grad);
      layer.zeroGrad();
      layer.forward(a).square().mul(3).sum().backward();
      layer.forward(b).square().mul(a.detach()).sum().backward();
      expect(outside("dγ", together, layer.weight!.grad!.data(), 1e-5 * largest(together))).toBeNull();
      expect(layer.numBatchesTracked!.item()).toBe(4);
    });
  });

  it("y has mean β and variance γ² within 1e-5, Σ dx and Σ dx·x̂ are 0 within 1e-5·max|γ/σ|·Σ|dy|", () => {
    on(() => {
      const [n, c] = [50, 3];
      const layer = new nn.BatchNorm1d(c, { eps: 0 });
      layer.loadStateDict(
        new Map([
          ["weight", tensor([1, -2, 0.5])],
          ["bias", tensor([0, 3, -1])],
        ]),
        { strict: false },
      );
      const x = uniform([n, c], 5, 9, { requiresGrad: true });
      const y = layer.forward(x);
      const dy = uniform([n, c], -1, 1);
      y.backward(dy);
      const mean = y.mean(0);
      const variance = y.sub(mean).square().mean(0);
      expect(outside("mean", mean.data(), [0, 3, -1], 1e-5)).toBeNull();
      expect(outside("variance", variance.data(), [1, 4, 0.25], 4e-5)).toBeNull();
      const normalized = x.detach().sub(x.detach().mean(0));
      const limit = 1e-5 * 2 * dy.abs().sum().item();
      expect(outside("Σ dx", x.grad!.sum(0).data(), [0, 0, 0], limit)).toBeNull();
      expect(outside("Σ dx·x̂", x.grad!.mul(normalized).sum(0).data(), [0, 0, 0], limit)).toBeNull();
    });
  });

  it("resetParameters brings back the start", () => {
    on(() => {
      const layer = new nn.BatchNorm1d(2);
      const start = [...layer.stateDict()].map(([, t]) => bits(t));
      nn.init.constant(layer.weight!, 5);
      nn.init.constant(layer.bias!, 5);
      layer.forward(batch());
      layer.resetParameters();
      expect([...layer.stateDict()].map(([, t]) => bits(t))).toEqual(start);
    });
  });
});
