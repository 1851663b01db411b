// The properties of Keras 3's batch_normalization_test.py, as claims of our own. Keras's momentum m is our decay m; its running
// variance is the biased one (unbiasedRunningVar: false); its channels are last, ours are axis 1.
//
// Not here                     | why
// -----------------------------+----------------------------------------------------------------------------------------------
// five tests of renorm         | batch renormalization is another layer
// serialization, dtype policy  | configurations are not serialized; float32 is the only type of values
import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { outside, startTargets } from "../fixtures/compare.js";
import { channelMoments, channelOf, sizesOf } from "../reference/batch-norm.js";
import { expectNear, normals, numbers, Ports } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const ports = new Ports();

const layers = { 2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d } as const;
type Rank = keyof typeof layers;

/** Keras's data: 20 times a standard normal value, plus 3, with the channels at `axis`; given with channels at axis 1. */
function data(shape: readonly number[], axis: number): Tensor {
  const x = tensor(
    normals(1, shape).map((v) => 20 * v + 3),
    shape,
  );
  if (axis === 1) return x;
  const order = shape.map((_, i) => i);
  return x.permute([0, order.at(-1)!, ...order.slice(1, -1)]);
}

/** [N, C, …] as rows [values, C] of the positions where `mask`, [N, …], is not 0. */
function compacted(x: Tensor, mask: ArrayLike<number>): Tensor {
  const sizes = sizesOf(x.shape);
  const columns = Array.from({ length: sizes.c }, (_, c) => channelOf(x.data(), sizes, c));
  const there = Array.from(mask).flatMap((m, i) => (m === 0 ? [] : [i]));
  return tensor(
    there.flatMap((i) => columns.map((column) => column[i]!)),
    [there.length, sizes.c],
  );
}

describe.each(targets)("Keras on $name", ({ name, backend }) => {
  const tolerance = name === "wasm" ? 1e-5 : 1e-12;
  const port = (upstream: string, claim: string, run: () => void) =>
    ports.port(upstream, claim, () => withBackend(backend, () => tidy(run)));

  port(
    "test_bn_basics",
    "with center and scale 2 parameters, without none; 2 running values either way; y has the shape of x",
    () => {
      for (const on of [true, false]) {
        const layer = new nn.BatchNorm1d(3, { weight: on, bias: on });
        expect(layer.parameters()).toHaveLength(on ? 2 : 0);
        expect([...layer.stateDict().keys()].filter((key) => key.startsWith("running_"))).toHaveLength(2);
        for (const shape of [
          [2, 3],
          [2, 3, 3],
        ]) {
          expect(layer.forward(tensor(normals(2, shape), shape)).shape).toEqual(shape);
        }
      }
    },
  );

  for (const axis of [-1, 1]) {
    for (const shape of [
      [5, 3],
      [5, 2, 3],
      [5, 4, 4, 3],
      [3, 2, 4, 2, 3],
    ]) {
      for (const [mean, variance] of [
        [0, 1],
        [1, 0],
        [1, 1],
      ] as const) {
        const at = `axis ${axis}, [${shape}], running values from ${mean} and ${variance}`;
        const make = (x: Tensor) => {
          const layer = new layers[x.rank as Rank](x.shape[1]!, { decay: 0, unbiasedRunningVar: false, eps: 1e-5 });
          nn.init.constant(layer.runningMean!, mean);
          nn.init.constant(layer.runningVar!, variance);
          return layer;
        };

        port("test_correctness", `${at}: three passes give mean 0 within ${tolerance} and variance 1 within 3e-5`, () => {
          let x = data(shape, axis);
          const layer = make(x);
          for (let i = 0; i < 3; i++) x = layer.forward(x);
          const moments = channelMoments(x.data(), sizesOf(x.shape));
          expect(
            outside(
              "mean",
              moments.mean,
              moments.mean.map(() => 0),
              tolerance,
            ),
          ).toBeNull();
          expect(
            outside(
              "variance",
              moments.variance,
              moments.variance.map(() => 1),
              3e-5,
            ),
          ).toBeNull();
        });

        port(
          "test_correctness",
          `${at}: decay 0 makes evaluation after a step the training of that step, within ${tolerance}`,
          () => {
            const x = data(shape, axis);
            const layer = make(x);
            const before = layer.eval().forward(x);
            const trained = layer.train().forward(x);
            expect(outside("y", before.data(), trained.data(), 0.1)).not.toBeNull();
            expectNear("y", layer.eval().forward(x).data(), trained.data(), tolerance);
          },
        );
      }
    }
  }

  port(
    "test_input_fully_masked",
    "zeros [4, 5] of which none counts give exactly 0, in both modes, and leave the running values alone",
    () => {
      const layer = new nn.BatchNorm1d(5, { affine: false });
      for (const training of [true, false]) {
        const y = layer.train(training).forward(zeros([4, 5]), zeros([4]));
        expect(numbers(y)).toEqual(Array(20).fill(0));
      }
      expect([numbers(layer.runningMean), numbers(layer.runningVar)]).toEqual([Array(5).fill(0), Array(5).fill(1)]);
    },
  );

  // Ten equal sequences of four steps with two channels: 1, 5 and 2, 5, then padding.
  const steps = [
    [1, 2, 0, 0],
    [5, 5, 0, 0],
  ];
  const sequences = () => tensor(Array(10).fill(steps).flat(2), [10, 2, 4]);
  const padding = () => tensor(Array(10).fill([1, 1, 0, 0]).flat(), [10, 4]);

  port(
    "test_bachnorm_ignore_masked_values",
    "running mean [1.5, 5] within 1e-6, variance [0.25, 0] within 1e-6; y is 0 where masked",
    () => {
      const layer = new nn.BatchNorm1d(2, { decay: 0, unbiasedRunningVar: false });
      const y = layer.forward(sequences(), padding());
      expect(outside("mean", layer.runningMean!.data(), [1.5, 5], 1e-6)).toBeNull();
      expect(outside("variance", layer.runningVar!.data(), [0.25, 0], 1e-6)).toBeNull();
      const r = 0.5 / Math.sqrt(0.25 + 1e-5);
      expect(outside("y", y.data(), Array(10).fill([-r, r, 0, 0, 0, 0, 0, 0]).flat(), 1e-6)).toBeNull();
      expect(numbers(y).filter((v) => v === 0).length).toBeGreaterThanOrEqual(40);
    },
  );

  port(
    "test_trainable_behavior",
    "frozen with fresh statistics it gives x / √(1 + eps), in training, too, and moves nothing",
    () => {
      const layer = new nn.BatchNorm2d(3, { eps: 1e-3 }).freeze().train();
      const x = data([1, 4, 4, 3], -1);
      const before = layer.buffers().map(numbers);
      const y = layer.forward(x);
      expectNear(
        "y",
        y.data(),
        x.data().map((v) => v / Math.sqrt(1 + 1e-3)),
        name === "wasm" ? 1e-6 : 1e-15,
      );
      expect(layer.buffers().map(numbers)).toEqual(before);
      expect(y.requiresGrad).toBe(false);
    },
  );

  port("test_trainable_behavior", `set free again it gives mean 0 within ${tolerance} and variance 1 within 3e-5`, () => {
    const layer = new nn.BatchNorm2d(3, { decay: 0, eps: 1e-3 }).freeze();
    layer.unfreeze();
    const y = layer.forward(data([4, 4, 4, 3], -1));
    const moments = channelMoments(y.data(), sizesOf(y.shape));
    expect(outside("mean", moments.mean, [0, 0, 0], tolerance)).toBeNull();
    expect(outside("variance", moments.variance, [1, 1, 1], 3e-5)).toBeNull();
    expect(numbers(layer.runningMean).every((v) => v !== 0)).toBe(true);
  });

  port(
    "test_large_value_within_autocast_scope",
    "70000, which no 16-bit float holds, stays in the running variance and gives a finite y",
    () => {
      const layer = new nn.BatchNorm2d(3);
      const state = new Map(layer.stateDict());
      state.set("running_var", tensor([70000, 70000, 70000]));
      layer.loadStateDict(state);
      expect(numbers(layer.runningVar)).toEqual([70000, 70000, 70000]);
      const x = data([1, 4, 4, 3], -1);
      const want = x.data().map((v) => v / Math.sqrt(70000 + 1e-5));
      expectNear("y", layer.eval().forward(x).data(), want, tolerance);
      layer.train().forward(data([4, 4, 4, 3], -1));
      expect(numbers(layer.runningVar).every((v) => v > 0.9 * 70000)).toBe(true);
    },
  );

  port(
    "test_masked_broadcast_normalization",
    "a mask [N] spread over [N, L] is that of whole examples; unspread it is refused",
    () => {
      const shape = [6, 3, 4];
      const x = data(shape, 1);
      const examples = tensor([1, 0, 1, 1, 0, 1]);
      const mask = examples.reshape([6, 1]).expand([6, 4]);
      const [layer, compact] = [new nn.BatchNorm1d(3), new nn.BatchNorm1d(3)];
      const y = layer.forward(x, mask);
      const want = compact.forward(compacted(x, mask.data()));
      expectNear("y", compacted(y, mask.data()).data(), want.data(), tolerance);
      expectNear("mean", layer.runningMean!.data(), compact.runningMean!.data(), tolerance);
      expectNear("variance", layer.runningVar!.data(), compact.runningVar!.data(), tolerance);
      expect(() => layer.forward(x, examples)).toThrow(
        "expected mask [6, 4] (the input [6, 3, 4] without its channels), got [6].",
      );
    },
  );
});

it("portedTests of Keras: 7", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(7);
});
