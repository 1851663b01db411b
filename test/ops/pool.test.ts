import { expect, test } from "vitest";
import { DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import { grad, ops, tensor, zeros } from "../../src/index.js";
import { expectClose } from "./close.js";

const x = tensor([1, 5, 2, 0, 7, 3, 4, 4, 6], [1, 1, 3, 3]);

test("maxPool2d takes the largest value of each window", () => {
  expect(ops.maxPool2d(x, { kernelSize: 2, stride: 1 }).toArray()).toEqual([
    [
      [
        [7, 7],
        [7, 7],
      ],
    ],
  ]);
  expect(ops.maxPool2d(x, { kernelSize: 2 }).toArray()).toEqual([[[[7]]]]);
  expect(ops.maxPool2d(x, { kernelSize: [1, 3] }).toArray()).toEqual([[[[5], [7], [6]]]]);
});

test("maxPool2d never takes padding, even if all values are negative", () => {
  const y = ops.maxPool2d(ops.neg(x.add(1)), { kernelSize: 3, stride: 2, padding: 1 });
  expect(y.toArray()).toEqual([
    [
      [
        [-1, -3],
        [-1, -4],
      ],
    ],
  ]);
});

test("maxPool2d passes NaN on, and gives the gradient to the first of equals", () => {
  expect(ops.maxPool2d(tensor([1, NaN, 3, 2], [1, 1, 2, 2]), { kernelSize: 2 }).item()).toBeNaN();
  const t = tensor([3, 3, 1, 3], [1, 1, 2, 2], { requiresGrad: true });
  ops.maxPool2d(t, { kernelSize: 2 }).backward(tensor([5], [1, 1, 1, 1]));
  expect([...t.grad!.data()]).toEqual([5, 0, 0, 0]);
});

test("overlapping windows add up their gradients", () => {
  const t = tensor([...x.data()], [1, 1, 3, 3], { requiresGrad: true });
  ops.maxPool2d(t, { kernelSize: 2, stride: 1 }).sum().backward();
  expect([...t.grad!.data()]).toEqual([0, 0, 0, 0, 4, 0, 0, 0, 0]);
});

test("maxPool2d has second derivatives: those of a penalty on the gradient of y³ are 36 y³, where the largest value is", () => {
  const t = tensor([1, 3, 2, -2, 0, 1, 1, -1], [2, 1, 2, 2], { requiresGrad: true });
  const [first] = grad(ops.maxPool2d(t, { kernelSize: 2 }).pow(3).sum(), [t], { createGraph: true });
  expect([...first!.data()]).toEqual([0, 27, 0, 0, 0, 3, 0, 0]);
  first!.square().sum().backward();
  expectClose(t.grad!, [0, 36 * 27, 0, 0, 0, 36, 0, 0]);
});

test("avgPool2d averages, with padding counted or not, within 1e-6", () => {
  expectClose(ops.avgPool2d(x, { kernelSize: 2, stride: 1 }), [13 / 4, 17 / 4, 15 / 4, 20 / 4]);
  const padded = { kernelSize: 2, stride: 2, padding: 1 };
  expectClose(ops.avgPool2d(x, padded), [1 / 4, 7 / 4, 4 / 4, 20 / 4]);
  expectClose(ops.avgPool2d(x, { ...padded, countIncludePad: false }), [1, 7 / 2, 4 / 2, 20 / 4]);
});

test("adaptiveAvgPool2d averages bins that may overlap, within 1e-6", () => {
  expectClose(ops.adaptiveAvgPool2d(x, 1), [32 / 9]);
  expectClose(ops.adaptiveAvgPool2d(x, 2), [13 / 4, 17 / 4, 15 / 4, 20 / 4]);
  expectClose(ops.adaptiveAvgPool2d(x, [3, 1]), [8 / 3, 10 / 3, 14 / 3]);
  expectClose(ops.adaptiveAvgPool2d(x, 3), x.data());
});

test("images and channels stay apart", () => {
  const images = tensor(
    Array.from({ length: 16 }, (_, i) => i),
    [2, 2, 2, 2],
  );
  expect(ops.maxPool2d(images, { kernelSize: 2 }).toArray()).toEqual([
    [[[3]], [[7]]],
    [[[11]], [[15]]],
  ]);
  expectClose(ops.adaptiveAvgPool2d(images, 1), [1.5, 5.5, 9.5, 13.5]);
});

test("no images give none, forward and backward", () => {
  for (const op of [
    (t: typeof x) => ops.maxPool2d(t, { kernelSize: 2 }),
    (t: typeof x) => ops.avgPool2d(t, { kernelSize: 2 }),
    (t: typeof x) => ops.adaptiveAvgPool2d(t, 2),
  ]) {
    const empty = zeros([0, 3, 4, 4], { requiresGrad: true });
    const y = op(empty);
    expect(y.shape).toEqual([0, 3, 2, 2]);
    y.sum().backward();
    expect(empty.grad!.shape).toEqual([0, 3, 4, 4]);
  }
});

const wrong: [() => unknown, Error][] = [
  [() => ops.maxPool2d(zeros([3, 3]), { kernelSize: 2 }), new ShapeError("maxPool2d: expected input [N, C, H, W], got [3, 3].")],
  [
    () => ops.maxPool2d(x, { kernelSize: 4 }),
    new ShapeError("maxPool2d: the window [4, 4] is larger than the padded input [1, 1, 3, 3]."),
  ],
  [
    () => ops.avgPool2d(x, { kernelSize: 3, padding: 2 }),
    new OptionError("avgPool2d: pad should be at most half of effective kernel size, got padding [2, 2] for windows [3, 3]."),
  ],
  [
    () => ops.avgPool2d(x, { kernelSize: 0 }),
    new OptionError("avgPool2d: expected kernelSize to be an integer of at least 1 or a pair of them, got 0."),
  ],
  [
    () => ops.maxPool2d(x, { kernelSize: 2, stride: [1, 0] }),
    new OptionError("maxPool2d: expected stride to be an integer of at least 1 or a pair of them, got [1,0]."),
  ],
  [
    () => ops.adaptiveAvgPool2d(x, 0),
    new OptionError("adaptiveAvgPool2d: expected outputSize to be an integer of at least 1 or a pair of them, got 0."),
  ],
  [
    () => ops.adaptiveAvgPool2d(zeros([1, 1, 0, 2]), 1),
    new ShapeError("adaptiveAvgPool2d: expected images with pixels, got [1, 1, 0, 2]."),
  ],
  [
    () => ops.maxPool2d(tensor(new Int32Array(4), [1, 1, 2, 2]), { kernelSize: 1 }),
    new DTypeError("maxPool2d: expected float32, got int32 of shape [1, 1, 2, 2]."),
  ],
];
test.each(wrong)("pools refuse what does not fit (%#)", (call, error) => {
  expect(call).toThrow(error);
  expect(call).toThrow(error.constructor as never);
});
