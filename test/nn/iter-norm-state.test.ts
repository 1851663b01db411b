import { afterAll, describe, expect, it } from "vitest";
import { BackendError, OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { withoutStatsUpdate } from "../../src/nn/stats-update.js";
import { iterNorm } from "../../src/ops/index.js";
import { ones, tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import { startTargets } from "../fixtures/compare.js";
import { batch, bits, layerOf, stateOf } from "./iter-norm-inputs.js";

const targets = await startTargets();
const [wasm, reference] = targets.map(({ backend }) => backend);
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

describe.each(targets)("state of IterNorm on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);

  it("evaluation changes nothing, gives the same bits twice, treats every example alone, and takes a single one", () => {
    on(() => {
      const layer = layerOf(4, { groupSize: 2 });
      layer.forward(batch([16, 4, 2], 30, 2));
      layer.eval();
      const before = stateOf(layer);
      const x = batch([6, 4, 3], 31);
      const all = bits(layer.forward(x));
      expect(bits(layer.forward(x))).toEqual(all);
      expect(bits(layer.forward(x.slice(0, 2, 3)))).toEqual(all.slice(24, 36));
      expect(stateOf(layer)).toEqual(before);
    });
  });

  it.each([NaN, Infinity, -Infinity])(
    "%d reaches y of its group only, and the running values of no group but the others'",
    (bad) => {
      on(() => {
        const layer = new nn.IterNorm(4, { groupSize: 2 });
        layer.forward(batch([8, 4], 35, 1));
        const [mean, wm] = stateOf(layer);
        const values = bits(batch([8, 4], 36));
        values[5] = bad;
        const y = layer.forward(tensor(values, [8, 4]));
        const columns = [0, 1, 2, 3].map((c) => bits(y.slice(1, c, c + 1)).every(Number.isFinite));
        expect(columns).toEqual([false, false, true, true]);
        const [nextMean, nextWm] = stateOf(layer);
        expect([nextMean!.slice(0, 2), nextWm!.slice(0, 4)]).toEqual([mean!.slice(0, 2), wm!.slice(0, 4)]);
        expect([...nextMean!, ...nextWm!].every(Number.isFinite)).toBe(true);
        for (const i of [2, 3]) expect(nextMean![i]).not.toBe(mean![i]);
        for (const i of [4, 5, 6, 7]) expect(nextWm![i]).not.toBe(wm![i]);
      });
    },
  );

  it.each([[[0, 4, 2]], [[3, 4, 0]], [[0, 4]]])(
    "an empty batch %j gives an empty y, zero gradients, and moves nothing",
    (shape) => {
      on(() => {
        const layer = new nn.IterNorm(4);
        const before = stateOf(layer);
        for (const training of [true, false]) {
          layer.train(training).zeroGrad();
          const x = zeros(shape, { requiresGrad: true });
          const y = layer.forward(x);
          y.backward(zeros(shape));
          expect([y.shape, x.grad!.shape]).toEqual([shape, shape]);
          expect([bits(layer.weight!.grad!), bits(layer.bias!.grad!)]).toEqual([
            [0, 0, 0, 0],
            [0, 0, 0, 0],
          ]);
        }
        expect(stateOf(layer)).toEqual(before);
      });
    },
  );

  it("a step of training leaves no memory behind, and a forward pass without gradients only its output", () => {
    on(() => {
      const layer = new nn.IterNorm(4, { groupSize: 2 });
      const x = batch([6, 4, 2], 37);
      const before = backend.memory().storages;
      tidy(() => layer.forward(x).square().sum().backward());
      layer.zeroGrad();
      expect(backend.memory().storages).toBe(before);
      layer.requiresGrad_(false);
      const y = layer.forward(x);
      expect([y.requiresGrad, backend.memory().storages]).toEqual([false, before + 1]);
    });
  });

  it("withoutStatsUpdate a forward pass of training gives the same bits and moves no running values", () => {
    on(() => {
      const layer = new nn.IterNorm(4);
      const x = batch([6, 4], 39, 1);
      const before = stateOf(layer);
      const y = withoutStatsUpdate(() => bits(layer.forward(x)));
      expect(stateOf(layer)).toEqual(before);
      expect(bits(layer.forward(x))).toEqual(y);
      expect(stateOf(layer)).not.toEqual(before);
    });
  });

  it("resetParameters brings back the start, which is mean 0 and the identity", () => {
    on(() => {
      const layer = layerOf(4, { groupSize: 2 });
      layer.forward(batch([6, 4], 38, 1));
      layer.resetParameters();
      expect([...layer.stateDict().values()].map(bits)).toEqual([
        [1, 1, 1, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 1, 1, 0, 0, 1],
      ]);
    });
  });
});

/** Calls `fn`, which must throw, and checks that the layer's buffers are what they were. */
function refusal(layer: nn.IterNorm, fn: () => void): Error {
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

describe("a call that is refused changes no running values", () => {
  it.each([[[8]], [[2, 4]], [[2, 0, 3]], [[]]])("input %j does not fit", (shape) => {
    const layer = new nn.IterNorm(8);
    const error = refusal(layer, () => layer.forward(zeros(shape)));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toBe(
      `IterNorm: expected input [N, 8] or [N, 8, …], got [${shape.join(", ")}]. The layer was built with numFeatures = 8.`,
    );
  });

  it("one value per channel while training is refused; two are not", () => {
    const layer = new nn.IterNorm(3);
    for (const shape of [
      [1, 3],
      [1, 3, 1, 1],
    ]) {
      const error = refusal(layer, () => layer.forward(ones(shape)));
      expect(error).toBeInstanceOf(TrainingError);
      expect(error.message).toContain(
        `IterNorm: Expected more than 1 value per channel when training, got input size [${shape.join(", ")}].`,
      );
    }
    expect(layer.forward(ones([1, 3, 2])).shape).toEqual([1, 3, 2]);
  });

  it("int32 input, a disposed input, an input on another backend, and a momentum that became impossible", () => {
    const layer = withBackend(wasm!, () => new nn.IterNorm(2));
    const int = withBackend(wasm!, () => tensor(Int32Array.of(1, 2, 3, 4), [2, 2]));
    const [gone, good] = withBackend(wasm!, () => [ones([2, 2]), ones([2, 2])]);
    gone!.dispose();
    const far = withBackend(reference!, () => ones([2, 2]));
    expect(refusal(layer, () => layer.forward(int)).name).toBe("DTypeError");
    expect(refusal(layer, () => layer.forward(gone!)).name).toBe("DisposedError");
    expect(refusal(layer, () => layer.forward(far))).toBeInstanceOf(BackendError);
    layer.momentum = NaN;
    const error = refusal(layer, () => layer.forward(good!));
    expect(error.message).toBe("IterNorm: expected momentum to be a number from 0 to 1, got NaN.");
  });
});

it("mixes the examples of a batch in training only, and names its place in a network in errors", () => {
  const layer = new nn.IterNorm(8);
  const model = new nn.Sequential(new nn.ReLU(), layer);
  expect([layer.mixesExamples, layer.eval().mixesExamples]).toEqual([true, false]);
  expect(() => model.call(zeros([2, 4]))).toThrow('IterNorm (layer "1"): expected input [N, 8] or [N, 8, …], got [2, 4].');
});

describe("options", () => {
  it("defaults: all channels up to 64 in one group, else the largest divisor; T = 5, eps = 1e-5, momentum = 0.1, affine", () => {
    const layer = new nn.IterNorm(3);
    expect([layer.iterations, layer.eps, layer.momentum, layer.affine]).toEqual([5, 1e-5, 0.1, true]);
    const sizes = [1, 16, 64, 128, 96, 67].map((channels) => new nn.IterNorm(channels).groupSize);
    expect(sizes).toEqual([1, 16, 64, 64, 48, 1]);
  });

  it("state keys are weight, bias, running_mean and running_wm, and a saved state gives the same evaluation bits", () => {
    const layer = layerOf(6, { groupSize: 3 });
    const state = layer.stateDict();
    expect([...state].map(([key, t]) => [key, t.shape])).toEqual([
      ["weight", [6]],
      ["bias", [6]],
      ["running_mean", [2, 3, 1]],
      ["running_wm", [2, 3, 3]],
    ]);
    layer.forward(batch([8, 6], 50));
    const other = new nn.IterNorm(6, { groupSize: 3 });
    other.loadStateDict(layer.stateDict());
    const x = batch([3, 6], 51);
    expect(bits(other.eval().forward(x))).toEqual(bits(layer.eval().forward(x)));
    expect([...new nn.IterNorm(2, { affine: false }).stateDict().keys()]).toEqual(["running_mean", "running_wm"]);
  });

  it.each([
    [{ groupSize: 4 }, "IterNorm: expected groupSize to divide the 6 channels, got 4."],
    [{ groupSize: 0 }, "expected groupSize to divide the 6 channels, got 0."],
    [{ groupSize: 1.5 }, "expected groupSize to divide the 6 channels, got 1.5."],
    [{ iterations: -1 }, "IterNorm: expected iterations to be an integer of at least 0, got -1."],
    [{ iterations: 2.5 }, "expected iterations to be an integer of at least 0, got 2.5."],
    [{ eps: 0 }, "IterNorm: expected eps above 0, got 0."],
    [{ eps: NaN }, "expected eps above 0, got NaN."],
    [{ momentum: 1.5 }, "IterNorm: expected momentum to be a number from 0 to 1, got 1.5."],
  ])("%j is refused", (options, text) => {
    expect(() => new nn.IterNorm(6, options)).toThrow(OptionError);
    expect(() => new nn.IterNorm(6, options)).toThrow(text);
  });

  it("numFeatures must be an integer of at least 1", () => {
    expect(() => new nn.IterNorm(0)).toThrow("IterNorm: expected numFeatures to be an integer of at least 1, got 0.");
  });

  it("toString shows them", () => {
    expect(String(new nn.IterNorm(8, { groupSize: 4, affine: false }))).toBe(
      "IterNorm(8, groupSize = 4, iterations = 5, eps = 0.00001, momentum = 0.1, affine = false)",
    );
  });
});

describe("iterNorm, the function,", () => {
  const x = () => ones([4, 2]);
  it.each([
    [() => iterNorm(ones([4])), "iterNorm: expected input [N, C] or [N, C, …], got [4]."],
    [() => iterNorm(ones([4, 0])), "iterNorm: expected at least one channel at axis 1, got [4, 0]."],
    [() => iterNorm(x()), "iterNorm: running_mean must be defined in evaluation mode: pass runningMean and runningWm."],
    [
      () => iterNorm(x(), { runningMean: zeros([1, 2, 1]) }),
      "iterNorm: expected runningMean and runningWm both or neither, got only runningMean.",
    ],
    [
      () => iterNorm(x(), { runningMean: zeros([2]), runningWm: zeros([1, 2, 2]) }),
      "iterNorm: expected running_mean [1, 2, 1] for input [4, 2], got [2].",
    ],
    [
      () => iterNorm(x(), { runningMean: zeros([1, 2, 1]), runningWm: zeros([2, 2]) }),
      "iterNorm: expected running_wm [1, 2, 2] for input [4, 2], got [2, 2].",
    ],
    [() => iterNorm(x(), { training: true, weight: ones([3]) }), "iterNorm: expected weight [2] for input [4, 2], got [3]."],
    [() => iterNorm(x(), { training: true, bias: ones([1, 2]) }), "iterNorm: expected bias [2] for input [4, 2], got [1, 2]."],
  ])("refuses what does not fit (%#)", (call, text) => {
    expect(call).toThrow(text);
  });
});
