// Edges of batch normalization at which its parts must agree: masks and none, one pass and recorded derivatives, whole batches
// and parts, moments as inputs; found beside the properties.
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../src/autograd/backward.js";
import { OptionError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { full, ones, tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { startTargets } from "../fixtures/compare.js";
import { Properties } from "./support.js";

const targets = await startTargets();
const wasm = targets[0]!.backend;
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const properties = new Properties();

const bits = (t: Tensor | null | undefined) => [...t!.data()];

describe("statistics that float32 cannot hold", () => {
  it.each([[[2, 1, 2]], [[128, 1]], [[2, 1, 1200]]])(
    "%j values of ±1e20, whose variance is 1e40, do not enter the running values and are counted",
    (shape) => {
      withBackend(wasm, () => {
        const layer = new nn.BatchNorm1d(1);
        const size = shape.reduce((a, b) => a * b);
        layer.forward(
          tensor(
            Float32Array.from({ length: size }, (_, i) => (2 * i < size ? 1e20 : -1e20)),
            shape,
          ),
        );
        expect([bits(layer.runningMean), bits(layer.runningVar), layer.rejected!.item()]).toEqual([[0], [1], 1]);
      });
    },
  );

  it("an unbiased variance above 3.4e38 of a biased one below it does not enter them either, in parts", () => {
    withBackend(wasm, () => {
      const layer = new nn.BatchNorm1d(1, { momentum: 1 });
      layer.callTogether([tensor([1.5e19], [1, 1]), tensor([-1.5e19], [1, 1])]);
      expect([bits(layer.runningVar), layer.rejected!.item()]).toEqual([[1], 1]);
    });
  });
});

describe.each(targets)("edges on $name", ({ backend }) => {
  const test = (claim: string, run: () => void) => it(claim, () => withBackend(backend, () => tidy(run)));

  test("a batch of nothing but padding is an empty batch: it is not counted, and an average of batches does not know of it", () => {
    const layer = new nn.BatchNorm1d(1, { momentum: null });
    layer.forward(ones([4, 1]), zeros([4]));
    const counted = layer.numBatchesTracked!.item();
    layer.forward(tensor([1, 3], [2, 1]));
    expect([counted, bits(layer.runningMean), bits(layer.runningVar)]).toEqual([0, [2], [2]]);
  });

  test("without momentum the running values are the average of the batches that entered, not of refused ones and the start", () => {
    const layer = new nn.BatchNorm1d(1, { momentum: null });
    layer.forward(tensor([Number.NaN, 1], [2, 1]));
    layer.forward(tensor([1, 3], [2, 1]));
    expect([bits(layer.runningMean), bits(layer.runningVar), layer.rejected!.item()]).toEqual([[2], [2], 1]);
  });

  test("the same after a load of a new layer's state, which has no refused batches: the average is the next batch's alone", () => {
    const layer = new nn.BatchNorm1d(1, { momentum: null });
    layer.forward(tensor([Number.NaN, 1], [2, 1]));
    layer.loadStateDict(new nn.BatchNorm1d(1).stateDict());
    layer.forward(tensor([1, 3], [2, 1]));
    expect([bits(layer.runningMean), bits(layer.runningVar)]).toEqual([[2], [2]]);
  });

  test("batchNormWithStats with inPlace: false changes nothing, the count of refused channels included", () => {
    const kept = { runningMean: zeros([2]), runningVar: ones([2]), rejected: full([2], 0, { dtype: "int32" }) };
    const x = tensor([Number.NaN, 1, 2, 3], [2, 2]);
    ops.batchNormWithStats(x, { ...kept, training: true, inPlace: false });
    expect(Object.values(kept).map(bits)).toEqual([
      [0, 0],
      [1, 1],
      [0, 0],
    ]);
  });

  const constants = fc.record({
    count: fc.integer({ min: 2, max: 60 }),
    constant: fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e30), max: Math.fround(1e30) }),
  });
  properties.property("a constant channel gives exactly β under a mask, too", 300, constants, ({ count, constant }) => {
    withBackend(backend, () =>
      tidy(() => {
        const mask = tensor([...Array(count).fill(1), 0]);
        const y = ops.batchNorm(full([count + 1, 1], constant), { training: true, bias: tensor([0.5]), mask });
        expect(bits(y)).toEqual([...Array(count).fill(0.5), 0]);
      }),
    );
  });

  test("a constant channel with eps 0 gives β under a mask as without one", () => {
    const run = (mask: Tensor | null) =>
      bits(ops.batchNorm(full([3, 1], 5), { training: true, eps: 0, bias: tensor([0.5]), mask }));
    expect(run(null)).toEqual([0.5, 0.5, 0.5]);
    expect(run(ones([3]))).toEqual([0.5, 0.5, 0.5]);
  });

  test("a constant channel with eps 0 has a gradient of 0 also if the backward pass is recorded", () => {
    const x = tensor([3, 1, 3, 2], [2, 2], { requiresGrad: true });
    const run = (createGraph: boolean) => {
      const y = ops.batchNorm(x, { training: true, eps: 0 });
      return grad(y.pow(3).sum(), [x], { createGraph })[0]!;
    };
    expect([...bits(run(false))].map((v) => v + 0)).toEqual([0, 0, 0, 0]);
    expect([...bits(run(true))].map((v) => v + 0)).toEqual([0, 0, 0, 0]);
  });

  test("batchNormByMoments refuses eps below 0 and eps that is no number, as batchNorm does", () => {
    for (const eps of [-1e-9, Number.NaN]) {
      expect(() => ops.batchNormByMoments(ones([2, 1]), ones([3, 1]), { eps })).toThrow(OptionError);
    }
  });

  test("batchNormByMoments of an empty part gives γ and β gradients of 0, as batchNorm does", () => {
    const [weight, bias] = [tensor([1, 1], [2], { requiresGrad: true }), tensor([0, 0], [2], { requiresGrad: true })];
    const y = ops.batchNormByMoments(zeros([0, 2]), ones([3, 2]), { weight, bias });
    y.backward(zeros([0, 2]));
    expect([weight.grad, bias.grad].map((g) => g && bits(g))).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test("a state whose frozen flag asks for frozen statistics is refused by a layer that keeps none, as freeze is", () => {
    const layer = new nn.BatchNorm1d(2, { trackRunningStats: false });
    const state = new Map(layer.stateDict()).set("frozen", full([], 1, { dtype: "int32" }));
    expect(() => layer.freeze({ affine: false })).toThrow(OptionError);
    expect(() => layer.loadStateDict(state)).toThrow("frozen");
    expect(layer.frozen).toEqual({ stats: false, affine: false });
  });

  test('compat: "torch" counts a batch in parts that is refused, as it counts a whole one', () => {
    const [whole, parts] = [0, 1].map(() => new nn.BatchNorm1d(1, { compat: "torch" })) as [nn.BatchNorm1d, nn.BatchNorm1d];
    expect(() => whole.forward(ones([1, 1]))).toThrow("Expected more than 1 value per channel");
    expect(() => parts.callTogether([ones([1, 1])])).toThrow("Expected more than 1 value per channel");
    expect([whole, parts].map((layer) => layer.numBatchesTracked!.item())).toEqual([1, 1]);
  });
});

it("300 random cases on each of two backends: 600 in all", () => {
  expect(properties.declared).toBe(2 * 300);
});
