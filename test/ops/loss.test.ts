import { describe, expect, test } from "vitest";
import { DataError, DTypeError, GradientError, OptionError, ShapeError } from "../../src/core/errors.js";
import { grad, memory, ops, tensor, zeros } from "../../src/index.js";
import { expectClose } from "./close.js";

const logits = [
  [0.5, -1, 2],
  [3, 0, -0.5],
  [-2, -2, -2],
  [0.1, 0.2, 0.3],
];
const x = () => tensor(logits);
const labels = Int32Array.of(2, 1, 0, 2);

const softmax = (row: number[]) => {
  const sum = row.reduce((s, v) => s + Math.exp(v), 0);
  return row.map((v) => Math.exp(v) / sum);
};
/** −Σ_c w_c q_c log p_c, with q the smoothed label; as PyTorch defines it. */
function loss(row: number[], label: number, smoothing = 0, weight = row.map(() => 1)): number {
  const p = softmax(row);
  return -p.reduce((s, v, c) => s + weight[c]! * Math.log(v) * (smoothing / row.length + (c === label ? 1 - smoothing : 0)), 0);
}
const losses = (smoothing = 0, weight?: number[]) => logits.map((row, i) => loss(row, labels[i]!, smoothing, weight));
const sum = (list: number[]) => list.reduce((s, v) => s + v, 0);

describe("softmax", () => {
  test("and its logarithm are within 1e-6 of float64 along any axis", () => {
    expectClose(ops.softmax(x()), logits.flatMap(softmax));
    expectClose(
      ops.logSoftmax(x()),
      logits.flatMap((row) => softmax(row).map(Math.log)),
    );
    expectClose(ops.softmax(x().transpose(), 0).transpose(), logits.flatMap(softmax));
  });

  test("of large values is finite", () => {
    expectClose(ops.softmax(tensor([1000, 1000, -1000])), [0.5, 0.5, 0]);
    expectClose(ops.logSoftmax(tensor([1000, 0])), [0, -1000]);
  });

  test("of nothing is empty", () => {
    expect(ops.softmax(zeros([0, 3])).shape).toEqual([0, 3]);
    expect(ops.logSoftmax(zeros([2, 0])).shape).toEqual([2, 0]);
  });

  test("refuses axes out of range and integers", () => {
    expect(() => ops.softmax(x(), 2)).toThrow(new ShapeError("softmax: axis 2 is out of range for a tensor of rank 2."));
    expect(() => ops.logSoftmax(tensor(1))).toThrow(
      new ShapeError("logSoftmax: axis -1 is out of range for a tensor of rank 0."),
    );
    expect(() => ops.softmax(tensor(labels))).toThrow(new DTypeError("softmax: expected float32, got int32 of shape [4]."));
  });
});

describe("crossEntropy", () => {
  const weight = [0.5, 2, 1.25];

  test("of each reduction is within 1e-6 of float64", () => {
    expectClose(ops.crossEntropy(x(), labels), [sum(losses()) / 4]);
    expectClose(ops.crossEntropy(x(), labels, { reduction: "sum" }), [sum(losses())]);
    expectClose(ops.crossEntropy(x(), labels, { reduction: "none" }), losses());
  });

  test("with weights divides by the weights of the labels, within 1e-6", () => {
    const total = sum([...labels].map((label) => weight[label]!));
    expectClose(ops.crossEntropy(x(), labels, { weight: tensor(weight) }), [sum(losses(0, weight)) / total]);
    expectClose(ops.crossEntropy(x(), labels, { weight: tensor(weight), reduction: "none" }), losses(0, weight));
  });

  test("with smoothing, alone and with weights, is within 1e-6", () => {
    expectClose(ops.crossEntropy(x(), labels, { labelSmoothing: 0.2 }), [sum(losses(0.2)) / 4]);
    const total = sum([...labels].map((label) => weight[label]!));
    const got = ops.crossEntropy(x(), labels, { labelSmoothing: 0.3, weight: tensor(weight) });
    expectClose(got, [sum(losses(0.3, weight)) / total]);
  });

  test("leaves ignored labels out of the sum and of the count", () => {
    const some = Int32Array.of(2, -100, 0, -100);
    const kept = [losses()[0]!, losses()[2]!];
    expectClose(ops.crossEntropy(x(), some), [sum(kept) / 2]);
    expectClose(ops.crossEntropy(x(), some, { reduction: "none" }), [kept[0]!, 0, kept[1]!, 0]);
    expectClose(ops.crossEntropy(x(), labels, { ignoreIndex: 2, reduction: "sum" }), [losses()[1]! + losses()[2]!]);
  });

  test("takes images and labels that are tensors", () => {
    const images = x().reshape([2, 2, 3]).permute([0, 2, 1]);
    const target = tensor(labels, [2, 2]);
    expectClose(ops.crossEntropy(images, target), [sum(losses()) / 4]);
    expect(ops.crossEntropy(images, target, { reduction: "none" }).shape).toEqual([2, 2]);
    expect(target.isDisposed).toBe(false);
  });

  test("of an empty batch is NaN, 0 or empty; with nothing to count NaN", () => {
    const none = Int32Array.of();
    expect(ops.crossEntropy(zeros([0, 3]), none).item()).toBeNaN();
    expect(ops.crossEntropy(zeros([0, 3]), none, { reduction: "sum" }).item()).toBe(0);
    expect(ops.crossEntropy(zeros([0, 3]), none, { reduction: "none" }).shape).toEqual([0]);
    expect(ops.crossEntropy(zeros([1, 3]), Int32Array.of(-100)).item()).toBeNaN();
    const empty = zeros([0, 3], { requiresGrad: true });
    ops.crossEntropy(empty, none).backward();
    expect(empty.grad!.shape).toEqual([0, 3]);
  });

  test("ignored rows get a gradient of 0", () => {
    const t = tensor(logits, [4, 3], { requiresGrad: true });
    ops.crossEntropy(t, Int32Array.of(-100, 1, -100, -100)).backward();
    const p = softmax(logits[1]!);
    expectClose(t.grad!, [0, 0, 0, p[0]!, p[1]! - 1, p[2]!, 0, 0, 0, 0, 0, 0]);
  });

  test.each(["mean", "sum", "none"] as const)(
    "%s: with createGraph the gradient is the same within 1e-6, 0 where ignored and NaN where a trusted label is wrong",
    (reduction) => {
      const weight = tensor([0.5, 2, 1.5]);
      for (const target of [
        [2, 1, 0, 2],
        [2, 7, 1, 7],
        [7, 7, 7, 7],
        [0, 3, 7, 1],
      ]) {
        const gradient = (createGraph: boolean) => {
          const t = tensor(logits, [4, 3], { requiresGrad: true });
          const options = { weight, labelSmoothing: 0.1, ignoreIndex: 7, reduction };
          const y = ops.crossEntropy(t, tensor(Int32Array.from(target)), options);
          return grad(y, [t], { dy: tensor(reduction === "none" ? [1, -2, 3, 4] : 2.5, y.shape), createGraph })[0]!;
        };
        const want = gradient(false).data();
        target.forEach((label, row) => {
          const expected = label === 7 ? 0 : label === 3 ? NaN : want[3 * row]!;
          expect(want[3 * row]).toBe(expected);
        });
        expectClose(gradient(true), want);
      }
    },
  );

  test("second derivative: the diagonal of Σ loss is p (1 − p) within 1e-6", () => {
    const t = tensor(logits, [4, 3], { requiresGrad: true });
    const [first] = grad(ops.crossEntropy(t, labels, { reduction: "sum" }), [t], { createGraph: true });
    for (const c of [0, 1, 2]) {
      const [second] = grad(first!.slice(1, c, c + 1).sum(), [t], { retainGraph: true });
      expectClose(
        second!.slice(1, c, c + 1),
        logits.map((row) => softmax(row)[c]! * (1 - softmax(row)[c]!)),
      );
    }
  });

  const wrong: [() => unknown, Error][] = [
    [
      () => ops.crossEntropy(x(), Int32Array.of(0, 1, 3, 0)),
      new DataError("crossEntropy: Target 3 is out of bounds: label 2 must be from 0 to 2."),
    ],
    [
      () => ops.crossEntropy(x(), Int32Array.of(0, -1, 0, 0)),
      new DataError("crossEntropy: Target -1 is out of bounds: label 1 must be from 0 to 2."),
    ],
    [() => ops.crossEntropy(x(), Int32Array.of(0)), new ShapeError("crossEntropy: expected 4 labels for logits [4, 3], got 1.")],
    [
      () => ops.crossEntropy(x(), tensor(labels, [2, 2])),
      new ShapeError("crossEntropy: expected target [4] for logits [4, 3], got [2, 2]."),
    ],
    [() => ops.crossEntropy(x(), tensor([0, 1, 2, 0])), new DTypeError("crossEntropy: expected int32 labels, got float32.")],
    [() => ops.crossEntropy(tensor([1, 2]), labels), new ShapeError("crossEntropy: expected logits [N, C], got [2].")],
    [
      () => ops.crossEntropy(x(), labels, { weight: tensor([1, 2]) }),
      new ShapeError("crossEntropy: expected weight [3], got [2]."),
    ],
    [
      () => ops.crossEntropy(x(), labels, { labelSmoothing: 1.5 }),
      new OptionError("crossEntropy: expected labelSmoothing from 0 to 1, got 1.5."),
    ],
    [
      () => ops.crossEntropy(x(), labels, { labelSmoothing: NaN }),
      new OptionError("crossEntropy: expected labelSmoothing from 0 to 1, got NaN."),
    ],
    [
      () => ops.crossEntropy(x(), labels, { reduction: "avg" as never }),
      new OptionError('crossEntropy: expected reduction "mean", "sum" or "none", got "avg".'),
    ],
    [
      () => ops.crossEntropy(x(), labels, { weight: tensor([1, 1, 1], [3], { requiresGrad: true }) }),
      new GradientError("crossEntropy: class weights have no derivative here; pass weight.detach()."),
    ],
    [
      () => ops.crossEntropy(tensor(labels, [2, 2]), Int32Array.of(0, 0)),
      new DTypeError("crossEntropy: expected float32, got int32 of shape [2, 2]."),
    ],
  ];
  test.each(wrong)("refuses what does not fit (%#)", (call, error) => {
    expect(call).toThrow(error);
    expect(call).toThrow(error.constructor as never);
  });

  test("leaves no memory behind, whether it works or fails", () => {
    const t = x();
    const before = memory().storages;
    for (const reduction of ["mean", "sum", "none"] as const) ops.crossEntropy(t, labels, { reduction }).dispose();
    expect(() => ops.crossEntropy(t, Int32Array.of(9, 9, 9, 9))).toThrow();
    expect(memory().storages).toBe(before);
  });
});

test("mseLoss of each reduction, and what it refuses", () => {
  const [a, b] = [tensor([1, 2, 4]), tensor([0, 2, 1])];
  expectClose(ops.mseLoss(a, b), [10 / 3]);
  expectClose(ops.mseLoss(a, b, { reduction: "sum" }), [10]);
  expectClose(ops.mseLoss(a, b, { reduction: "none" }), [1, 0, 9]);
  expect(() => ops.mseLoss(a, tensor([[1, 2, 3]]))).toThrow(
    new ShapeError("mseLoss: expected a target of shape [3], got [1, 3]."),
  );
  expect(() => ops.mseLoss(a, b, { reduction: "max" as never })).toThrow(
    new OptionError('mseLoss: expected reduction "mean", "sum" or "none", got "max".'),
  );
  expect(() => ops.mseLoss(a, tensor(Int32Array.of(1, 2, 3)))).toThrow(
    new DTypeError("mseLoss: expected float32, got int32 of shape [3]."),
  );
});

test("dropout: the same values in evaluation, all 0 at p = 1, probabilities out of range refused", () => {
  const a = tensor([1, 2, 3]);
  expect(ops.dropout(a, 0.5, false).toArray()).toEqual([1, 2, 3]);
  expect(ops.dropout(a, 0).toArray()).toEqual([1, 2, 3]);
  expect(ops.dropout(a, 1).toArray()).toEqual([0, 0, 0]);
  expect(ops.dropout(zeros([0, 2]), 0.5).shape).toEqual([0, 2]);
  for (const p of [-0.1, 1.1, NaN]) {
    expect(() => ops.dropout(a, p)).toThrow(
      new OptionError(`dropout: dropout probability has to be between 0 and 1, but got ${p}.`),
    );
  }
  expect(() => ops.dropout(tensor(Int32Array.of(1)))).toThrow(
    new DTypeError("dropout: expected float32, got int32 of shape [1]."),
  );
});

test("dropout: gradients pass where values do, with the same factor", () => {
  const a = tensor(new Float32Array(1000).fill(1), [1000], { requiresGrad: true });
  const y = ops.dropout(a, 0.25);
  y.sum().backward();
  expect(a.grad!.data()).toEqual(y.data());
});
