import { afterAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { OptionError, ShapeError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { conv2d, weightStandardization } from "../../src/ops/index.js";
import { full, normal, ones, tensor, uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { outside, startTargets } from "../fixtures/compare.js";
import { standardizedWeights } from "../reference/weight-standardization.js";

const targets = await startTargets();
const reference = targets[1]!.backend;
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** Rows of the values of each output channel. */
function channels(t: Tensor): number[][] {
  const values = [...t.data()];
  const size = values.length / t.shape[0]!;
  return Array.from({ length: t.shape[0]! }, (_, i) => values.slice(i * size, (i + 1) * size));
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe.each(targets)("weightStandardization on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);

  it.each([[[4, 3, 3, 3]], [[5, 7]], [[1, 2]], [[16, 32, 5, 5]]])(
    "of weights %j is within 1e-6 of the paper's equations in float64, at means 0, 1 and 1000",
    (shape) => {
      on(() => {
        manualSeed(1);
        for (const [mean, eps] of [[0, 1e-6] as const, [1, 1e-5] as const, [1000, 0.1] as const]) {
          const w = normal(shape, mean, 0.3);
          const want = standardizedWeights(w.data(), shape[0]!, eps);
          expect(outside("ŵ", weightStandardization(w, { eps }).data(), want, 1e-6)).toBeNull();
        }
      });
    },
  );

  it("eps is 1e-6 unless told otherwise, which shows in weights of 1e-3", () => {
    on(() => {
      const w = tensor([-1e-3, 1e-3], [1, 2]);
      expect(outside("ŵ", weightStandardization(w).data(), [-Math.SQRT1_2, Math.SQRT1_2], 1e-6)).toBeNull();
    });
  });

  it("each output channel has mean 0 within 1e-6 and variance 1 within 1e-5, and 3w + 5 has the same ŵ within 1e-5", () => {
    on(() => {
      manualSeed(2);
      const w = uniform([6, 4, 3, 3], -1, 2);
      const standardized = weightStandardization(w);
      for (const row of channels(standardized)) {
        expect(Math.abs(sum(row) / row.length)).toBeLessThan(1e-6);
        expect(Math.abs(sum(row.map((v) => v * v)) / row.length - 1)).toBeLessThan(1e-5);
      }
      const other = weightStandardization(w.mul(3).add(5));
      expect(outside("ŵ", other.data(), standardized.data(), 1e-5)).toBeNull();
    });
  });

  it("equal weights give exactly 0, and finite gradients", () => {
    on(() => {
      const w = full([2, 3, 2, 2], 0.1, { requiresGrad: true });
      const y = weightStandardization(w);
      y.backward(uniform(w.shape));
      expect([...y.data()].every((v) => v === 0)).toBe(true);
      expect([...w.grad!.data()].every(Number.isFinite)).toBe(true);
    });
  });

  it("the gradient of each channel sums to 0 and is orthogonal to the weights, within 1e-4", () => {
    on(() => {
      manualSeed(3);
      const w = uniform([3, 4, 3, 3], -1, 1, { requiresGrad: true });
      weightStandardization(w).backward(uniform(w.shape, -1, 1));
      const [gradients, weights] = [channels(w.grad!), channels(w)];
      gradients.forEach((row, i) => {
        expect(Math.abs(sum(row))).toBeLessThan(1e-4);
        expect(Math.abs(sum(row.map((g, j) => g * weights[i]![j]!)))).toBeLessThan(1e-4);
      });
    });
  });
});

describe("gradients", () => {
  it.each([[[2, 3, 2, 2]], [[3, 4]]])("of %j are within 1e-6 of difference quotients, first and second", (shape) => {
    withBackend(reference, () => {
      manualSeed(4);
      const w = normal(shape, 0, 1, { requiresGrad: true });
      gradcheck((t) => weightStandardization(t!), [w]);
      gradcheck((t) => weightStandardization(t!), [w], { createGraph: true });
      gradgradcheck((t) => weightStandardization(t!), [w]);
    });
  });

  it("of a StdConv2d with stride, padding and groups are within 1e-6 of difference quotients, for x, W and b", () => {
    withBackend(reference, () => {
      manualSeed(5);
      const layer = new nn.StdConv2d(4, 2, 3, { stride: 2, padding: 1, groups: 2 });
      const x = normal([2, 4, 3, 3], 0, 1, { requiresGrad: true });
      gradcheck((t) => layer.call(t!), [x, layer.weight, layer.bias!]);
    });
  });
});

describe("refused with a text", () => {
  it.each([
    [[3], "expected weight [O, …] with more than 1 weight per output channel, got [3]."],
    [[3, 1, 1, 1], "weightStandardization: expected weight [O, …] with more than 1 weight per output channel, got [3, 1, 1, 1]."],
  ])("weights %j", (shape, text) => {
    expect(() => weightStandardization(ones(shape))).toThrow(ShapeError);
    expect(() => weightStandardization(ones(shape))).toThrow(text);
  });

  it("eps that is not above 0, and int32 weights", () => {
    for (const eps of [0, -1, NaN, Infinity]) {
      expect(() => weightStandardization(ones([2, 2]), { eps })).toThrow(
        `weightStandardization: expected eps above 0, got ${eps}.`,
      );
      expect(() => new nn.StdConv2d(2, 2, 3, { eps })).toThrow(`StdConv2d: expected eps above 0, got ${eps}.`);
    }
    expect(() => weightStandardization(tensor(Int32Array.of(1, 2), [1, 2]))).toThrow("expected float32, got int32");
  });

  it("a layer with a single weight per output channel, and an input that does not fit", () => {
    expect(() => new nn.StdConv2d(4, 4, 1, { groups: 4 })).toThrow(OptionError);
    expect(() => new nn.StdConv2d(1, 3, 1)).toThrow(
      "StdConv2d: expected more than 1 weight per output channel, got weights [3, 1, 1, 1]. A single weight standardizes to 0: use Conv2d.",
    );
    const layer = new nn.StdConv2d(3, 4, 3);
    for (const shape of [
      [2, 4, 8, 8],
      [3, 8, 8],
    ]) {
      expect(() => layer.call(ones(shape))).toThrow(ShapeError);
      expect(() => layer.call(ones(shape))).toThrow(
        `StdConv2d: expected input [N, 3, H, W], got [${shape.join(", ")}]. The layer was built with inChannels = 3.`,
      );
    }
  });
});

describe.each(targets)("StdConv2d on $name", ({ backend }) => {
  const on = <T>(fn: () => T): T => withBackend(backend, fn);

  it("is a convolution with the paper's weights, within 1e-5, in training and evaluation", () => {
    on(() => {
      manualSeed(6);
      const layer = new nn.StdConv2d(3, 4, [3, 2], { stride: 2, padding: 1, dilation: [1, 2], eps: 1e-3 });
      const x = uniform([2, 3, 7, 6], -1, 1);
      const weight = tensor(standardizedWeights(layer.weight.data(), 4, 1e-3), layer.weight.shape);
      const want = conv2d(x, weight, layer.bias, { stride: 2, padding: 1, dilation: [1, 2] });
      const y = layer.call(x);
      expect(y.shape).toEqual(want.shape);
      expect(outside("y", y.data(), want.data(), 1e-5)).toBeNull();
      expect([...layer.eval().call(x).data()]).toEqual([...y.data()]);
    });
  });

  it("keeps nothing but its output where no gradient is asked for", () => {
    on(() => {
      const layer = new nn.StdConv2d(2, 2, 3).requiresGrad_(false);
      const x = uniform([1, 2, 4, 4]);
      const before = backend.memory().storages;
      const y = layer.call(x);
      expect(backend.memory().storages).toBe(before + 1);
      y.dispose();
    });
  });
});

it("StdConv2d has Conv2d's state keys and takes its weights, which stay as they are", () => {
  const plain = new nn.Conv2d(3, 4, 3);
  const layer = new nn.StdConv2d(3, 4, 3);
  expect([...layer.stateDict().keys()]).toEqual(["weight", "bias"]);
  layer.loadStateDict(plain.stateDict());
  layer.call(uniform([1, 3, 4, 4]));
  expect([...layer.weight.data()]).toEqual([...plain.weight.data()]);
  expect(layer).toBeInstanceOf(nn.Conv2d);
});

it("StdConv2d shows its options", () => {
  expect(String(new nn.StdConv2d(3, 8, 3, { padding: 1, bias: false, eps: 1e-3 }))).toBe(
    "StdConv2d(3, 8, kernelSize = 3, stride = 1, padding = 1, bias = false, eps = 0.001)",
  );
});
