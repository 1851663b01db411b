import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackendError, DTypeError, OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { ops, type Tensor, tensor, zeros } from "../../src/index.js";
import { expectClose } from "./close.js";

// Two channels of four values: means 2.5 and 25, biased variances 1.25 and 125.
const x = () =>
  tensor([
    [1, 10],
    [2, 20],
    [3, 30],
    [4, 40],
  ]);
const ints = (...values: number[]) => tensor(Int32Array.from(values));

/** (v − mean) / √(variance + eps) of the values above. */
const normalized = (eps: number) =>
  [1, 2, 3, 4].flatMap((v) => [(v - 2.5) / Math.sqrt(1.25 + eps), (10 * v - 25) / Math.sqrt(125 + eps)]);

describe("training", () => {
  test("normalizes each channel with its biased variance, within 1e-6", () => {
    expectClose(ops.batchNorm(x(), { training: true }), normalized(1e-5));
    expectClose(ops.batchNorm(x(), { training: true, eps: 1 }), normalized(1));
  });

  test("scales by weight and shifts by bias, alone or together, within 1e-6", () => {
    const [weight, bias] = [tensor([2, -1]), tensor([10, 20])];
    const want = (w: number[], b: number[]) => normalized(1e-5).map((v, i) => v * w[i % 2]! + b[i % 2]!);
    expectClose(ops.batchNorm(x(), { training: true, weight, bias }), want([2, -1], [10, 20]));
    expectClose(ops.batchNorm(x(), { training: true, weight }), want([2, -1], [0, 0]));
    expectClose(ops.batchNorm(x(), { training: true, bias }), want([1, 1], [10, 20]));
  });

  test("takes statistics over all axes but the second: images, volumes, and the same values as a matrix", () => {
    const flat = x().transpose();
    for (const shape of [
      [1, 2, 4],
      [1, 2, 2, 2],
      [1, 2, 1, 2, 2],
    ]) {
      const y = ops.batchNorm(flat.reshape(shape), { training: true });
      expect(y.shape).toEqual(shape);
      expectClose(y.reshape([2, 4]).transpose(), normalized(1e-5));
    }
  });

  test("moves the running mean and the unbiased variance by momentum, within 1e-6", () => {
    const [runningMean, runningVar] = [tensor([1, 1]), tensor([1, 1])];
    ops.batchNorm(x(), { training: true, runningMean, runningVar, momentum: 0.25 });
    expectClose(runningMean, [0.75 + 0.25 * 2.5, 0.75 + 0.25 * 25]);
    expectClose(runningVar, [0.75 + (0.25 * 5) / 3, 0.75 + (0.25 * 500) / 3]);
  });

  test("moves by the biased variance if told so", () => {
    const [runningMean, runningVar] = [tensor([0, 0]), tensor([0, 0])];
    ops.batchNorm(x(), { training: true, runningMean, runningVar, momentum: 1, unbiasedRunningVar: false });
    expectClose(runningVar, [1.25, 125]);
  });

  test("averages all batches alike without momentum, by the counter", () => {
    const [runningMean, runningVar, counter] = [tensor([0, 0]), tensor([1, 1]), ints(4)];
    ops.batchNorm(x(), { training: true, runningMean, runningVar, momentum: null, counter });
    expectClose(runningMean, [2.5 / 4, 25 / 4]);
    expect([...counter.data()]).toEqual([4]);
  });

  test("keeps statistics that are not finite out of the running values and counts them", () => {
    const [runningMean, runningVar, rejected] = [tensor([1, 1]), tensor([2, 2]), ints(5, 5)];
    ops.batchNorm(
      tensor([
        [NaN, 1],
        [0, 3],
      ]),
      { training: true, runningMean, runningVar, rejected, momentum: 0.5 },
    );
    expectClose(runningMean, [1, 1.5]);
    expectClose(runningVar, [2, 2]);
    expect([...rejected.data()]).toEqual([6, 5]);
  });

  test("gives exactly the bias for a constant channel, at offset 1e6 too", () => {
    const y = ops.batchNorm(
      tensor([
        [3, 1e6],
        [3, 1e6],
        [3, 1e6],
      ]),
      { training: true, bias: tensor([0.5, -2]) },
    );
    expect(y.toArray()).toEqual([
      [0.5, -2],
      [0.5, -2],
      [0.5, -2],
    ]);
  });

  test("of an empty batch is empty, leaves running values alone, and gives gradients of 0", () => {
    const [runningMean, runningVar] = [tensor([1, 2]), tensor([3, 4])];
    const weight = tensor([1, 1], [2], { requiresGrad: true });
    const bias = tensor([1, 1], [2], { requiresGrad: true });
    const y = ops.batchNorm(zeros([0, 2, 3]), { training: true, runningMean, runningVar, weight, bias });
    expect(y.shape).toEqual([0, 2, 3]);
    y.sum().backward();
    for (const t of [weight, bias]) expect(t.grad!.toArray()).toEqual([0, 0]);
    expect([...runningMean.data(), ...runningVar.data()]).toEqual([1, 2, 3, 4]);
    expect(ops.batchNorm(zeros([2, 2, 0]), { training: true, runningMean, runningVar }).shape).toEqual([2, 2, 0]);
  });
});

describe("evaluation", () => {
  test("uses the running values and changes none, within 1e-6", () => {
    const [runningMean, runningVar] = [tensor([1, 2]), tensor([4, 9])];
    const y = ops.batchNorm(x(), { runningMean, runningVar, eps: 0, weight: tensor([2, 3]), bias: tensor([1, 0]) });
    expectClose(
      y,
      [1, 2, 3, 4].flatMap((v) => [v - 1 + 1, 10 * v - 2]),
    );
    expect([...runningMean.data(), ...runningVar.data()]).toEqual([1, 2, 4, 9]);
  });

  test("takes one value per channel", () => {
    const options = { runningMean: tensor([1, 2]), runningVar: tensor([1, 1]), eps: 0 };
    expect(ops.batchNorm(tensor([[3, 4]]), options).toArray()).toEqual([[2, 2]]);
  });

  test("its gradients are those of the running values at the time of the call", () => {
    const [runningMean, runningVar] = [tensor([0, 0]), tensor([4, 4])];
    const t = tensor(
      [
        [1, 1],
        [2, 2],
      ],
      [2, 2],
      { requiresGrad: true },
    );
    const y = ops.batchNorm(t, { runningMean, runningVar, eps: 0 });
    ops.batchNorm(x(), { training: true, runningMean, runningVar, momentum: 1 });
    y.sum().backward();
    expectClose(t.grad!, [0.5, 0.5, 0.5, 0.5]);
  });
});

describe("refused", () => {
  const stats = () => ({ runningMean: tensor([1, 2]), runningVar: tensor([3, 4]) });
  let kept: { runningMean: Tensor; runningVar: Tensor };
  beforeEach(() => {
    kept = stats();
  });
  afterEach(() => {
    expect([...kept.runningMean.data(), ...kept.runningVar.data()]).toEqual([1, 2, 3, 4]);
  });

  const training = true;
  const wrong: [string, () => unknown, Error][] = [
    [
      "vectors",
      () => ops.batchNorm(zeros([3]), { training, ...kept }),
      new ShapeError("batchNorm: expected input [N, C] or [N, C, …], got [3]."),
    ],
    [
      "no channels",
      () => ops.batchNorm(zeros([3, 0]), { training }),
      new ShapeError("batchNorm: expected at least one channel at axis 1, got [3, 0]."),
    ],
    [
      "one value per channel",
      () => ops.batchNorm(zeros([1, 2]), { training, ...kept }),
      new TrainingError(
        "batchNorm: Expected more than 1 value per channel when training, got input size [1, 2]. " +
          "Use a larger batch (a last batch of one can be dropped or merged: dropLast of the loader) or evaluation mode.",
      ),
    ],
    [
      "other channels",
      () => ops.batchNorm(zeros([4, 3]), { training, ...kept, who: "BatchNorm1d" }),
      new ShapeError(
        "BatchNorm1d: running_mean should contain 3 elements not 2: the input is [4, 3], its axis 1 has 3 channels.",
      ),
    ],
    [
      "a weight of the wrong size",
      () => ops.batchNorm(x(), { training, ...kept, weight: tensor([1]) }),
      new ShapeError("batchNorm: weight should contain 2 elements not 1: the input is [4, 2], its axis 1 has 2 channels."),
    ],
    [
      "a bias of the wrong rank",
      () => ops.batchNorm(x(), { training, ...kept, bias: tensor([[1, 2]]) }),
      new ShapeError("batchNorm: bias should contain 2 elements not 2: the input is [4, 2], its axis 1 has 2 channels."),
    ],
    [
      "a running mean alone",
      () => ops.batchNorm(x(), { training, runningMean: kept.runningMean }),
      new OptionError("batchNorm: expected runningMean and runningVar both or neither, got only runningMean."),
    ],
    [
      "evaluation without statistics",
      () => ops.batchNorm(x()),
      new TrainingError("batchNorm: running_mean must be defined in evaluation mode: pass runningMean and runningVar."),
    ],
    [
      "eps below 0",
      () => ops.batchNorm(x(), { training, ...kept, eps: -1 }),
      new OptionError("batchNorm: expected eps of at least 0, got -1."),
    ],
    [
      "eps of NaN",
      () => ops.batchNorm(x(), { training, ...kept, eps: NaN }),
      new OptionError("batchNorm: expected eps of at least 0, got NaN."),
    ],
    [
      "no momentum and no counter",
      () => ops.batchNorm(x(), { training, ...kept, momentum: null }),
      new OptionError("batchNorm: expected momentum to be a number, or null with a counter of batches, got null."),
    ],
    [
      "a counter that is no integer",
      () => ops.batchNorm(x(), { training, ...kept, momentum: null, counter: tensor([1]) }),
      new DTypeError("batchNorm: expected counter to be one int32, got float32 of shape [1]."),
    ],
    [
      "integers",
      () => ops.batchNorm(tensor(new Int32Array(4), [2, 2]), { training, ...kept }),
      new DTypeError("batchNorm: expected float32, got int32 of shape [2, 2]."),
    ],
  ];
  test.each(wrong)("%s, and the running values stay", (_, call, error) => {
    expect(call).toThrow(error);
    expect(call).toThrow(error.constructor as never);
  });

  test("tensors of another backend, and the running values stay", () => {
    const other = new ReferenceBackend();
    const weight = withBackend(other, () => tensor([1, 1]));
    expect(() => ops.batchNorm(x(), { training, ...kept, weight })).toThrow(BackendError);
    other.dispose();
  });
});
