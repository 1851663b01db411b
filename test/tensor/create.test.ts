import { describe, expect, test } from "vitest";
import { DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import { full, memory, normal, ones, Tensor, tensor, uniform, zeros } from "../../src/index.js";

describe("tensor", () => {
  test("takes numbers, flat and nested arrays and typed arrays", () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor(3).item()).toBe(3);
    expect(tensor([1, 2, 3]).shape).toEqual([3]);
    expect(
      tensor([
        [1, 2],
        [3, 4],
        [5, 6],
      ]).toArray(),
    ).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(tensor([1, 2, 3, 4], [2, 2]).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor(new Float64Array([0.5, 2])).toArray()).toEqual([0.5, 2]);
    expect(tensor(new Uint8Array([7, 255])).dtype).toBe("float32");
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    expect(tensor([[], []]).toArray()).toEqual([[], []]);
  });

  test("is int32 for an Int32Array or when asked, else float32", () => {
    expect(tensor(new Int32Array([1, -2])).dtype).toBe("int32");
    expect(tensor([1, 2], [2], { dtype: "int32" }).data()).toEqual(new Int32Array([1, 2]));
    expect(tensor(new Int32Array([1, 2]), [2], { dtype: "float32" }).data()).toEqual(new Float32Array([1, 2]));
  });

  test("copies: neither the source nor what is read changes it", () => {
    const source = new Float32Array([1, 2]);
    const t = tensor(source);
    source[0] = 9;
    t.data()[1] = 9;
    expect(t.toArray()).toEqual([1, 2]);
  });

  test("its shape does not follow the array it was given", () => {
    const shape = [2, 1];
    const t = tensor([1, 2], shape);
    shape[0] = 5;
    expect(t.shape).toEqual([2, 1]);
  });

  const wrong: [string, () => unknown, Error][] = [
    ["too few values", () => tensor([1, 2, 3], [2, 2]), new ShapeError("tensor: shape [2, 2] needs 4 values, got 3.")],
    ["a negative size", () => tensor([1], [-1]), new ShapeError("tensor: expected a shape of non-negative integers, got [-1].")],
    ["a fraction", () => tensor([1], [0.5]), new ShapeError("tensor: expected a shape of non-negative integers, got [0.5].")],
    [
      "ragged rows",
      () => tensor([[1, 2], [3]]),
      new ShapeError("tensor: nested arrays of unequal length; expected shape [2, 2]."),
    ],
    [
      "unequal depth",
      () => tensor([[1, 2], 3]),
      new ShapeError("tensor: nested arrays of unequal depth; expected shape [2, 2]."),
    ],
    [
      "another dtype",
      () => tensor([1], [1], { dtype: "float64" as never }),
      new DTypeError('tensor: expected dtype "float32" or "int32", got "float64".'),
    ],
    [
      "an int32 tensor with gradients",
      () => tensor(new Int32Array([1]), [1], { requiresGrad: true }),
      new DTypeError("requiresGrad: expected a float32 tensor, got int32."),
    ],
    [
      "full: a negative size",
      () => full([2, -1], 0),
      new ShapeError("full: expected a shape of non-negative integers, got [2, -1]."),
    ],
    [
      "full: another dtype",
      () => full([1], 0, { dtype: "uint8" as never }),
      new DTypeError('full: expected dtype "float32" or "int32", got "uint8".'),
    ],
    [
      "zeros: int32 with gradients",
      () => zeros([1], { dtype: "int32", requiresGrad: true }),
      new DTypeError("requiresGrad: expected a float32 tensor, got int32."),
    ],
    [
      "uniform: integers",
      () => uniform([1], 0, 1, { dtype: "int32" }),
      new DTypeError('uniform: expected dtype "float32", got "int32".'),
    ],
    ["normal: a fraction", () => normal([1.5]), new ShapeError("normal: expected a shape of non-negative integers, got [1.5].")],
  ];

  test.each(wrong)("refuses %s and takes no memory", (_, make, error) => {
    const before = memory();
    expect(make).toThrow(error);
    expect(make).toThrow(error.constructor as never);
    expect(memory().used).toBe(before.used);
    expect(memory().storages).toBe(before.storages);
  });
});

test("full, zeros and ones fill, also with integers, and may be empty", () => {
  expect(full([2, 2], 1.5).toArray()).toEqual([
    [1.5, 1.5],
    [1.5, 1.5],
  ]);
  expect(full([2], -3, { dtype: "int32" }).data()).toEqual(new Int32Array([-3, -3]));
  expect(zeros([3]).toArray()).toEqual([0, 0, 0]);
  expect(ones([]).item()).toBe(1);
  expect(zeros([0, 4]).data()).toEqual(new Float32Array(0));
});

test("item wants one element", () => {
  expect(tensor([[7]]).item()).toBe(7);
  expect(() => tensor([1, 2]).item()).toThrow(new ShapeError("item: expected a tensor with one element, got shape [2]."));
  expect(() => tensor([]).item()).toThrow(ShapeError);
});

test("read gives what data gives", async () => {
  const t = tensor([1, 2, 3]);
  expect(await t.read()).toEqual(t.data());
});

test("a seed that is not an integer from 0 to 2⁵³ − 1 is refused", async () => {
  const { manualSeed, setRandomState } = await import("../../src/index.js");
  for (const seed of [-1, 1.5, NaN, 2 ** 53]) {
    expect(() => manualSeed(seed)).toThrow(new OptionError(`manualSeed: expected an integer from 0 to 2^53 - 1, got ${seed}.`));
  }
  expect(() => setRandomState(new Int32Array(3))).toThrow(new OptionError("setRandomState: expected 4 integers, got 3."));
});

describe("printing", () => {
  const text = (t: Tensor) => String(t);

  test("shows shape, type and values with five digits", () => {
    expect(text(tensor(2.5))).toBe("Tensor [] float32\n2.5");
    expect(text(tensor([1, 1 / 3, -0.25]))).toBe("Tensor [3] float32\n[1, 0.33333, -0.25]");
    expect(text(tensor([1e-7, 123456.5, NaN, Infinity]))).toBe("Tensor [4] float32\n[1.000e-7, 1.235e+5, NaN, Infinity]");
    expect(text(tensor(new Int32Array([1, -2])))).toBe("Tensor [2] int32\n[1, -2]");
    expect(text(tensor([1], [1], { requiresGrad: true }))).toBe("Tensor [1] float32, requiresGrad\n[1]");
    expect(text(zeros([0]))).toBe("Tensor [0] float32\n[]");
    expect(text(zeros([2, 0]))).toBe("Tensor [2, 0] float32\n[[],\n []]");
  });

  test("sets rows under each other", () => {
    expect(
      text(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ),
    ).toBe("Tensor [2, 2] float32\n[[1, 2],\n [3, 4]]");
    expect(text(tensor([1, 2, 3, 4], [2, 1, 2]))).toBe("Tensor [2, 1, 2] float32\n[[[1, 2]],\n [[3, 4]]]");
  });

  test("shows the first and last three of more than eight", () => {
    expect(text(tensor(Array.from({ length: 8 }, (_, i) => i)))).toContain("[0, 1, 2, 3, 4, 5, 6, 7]");
    expect(text(tensor(Array.from({ length: 9 }, (_, i) => i)))).toBe("Tensor [9] float32\n[0, 1, 2, …, 6, 7, 8]");
  });

  test("says so when the tensor was disposed of, and is what console.log shows", async () => {
    const { inspect } = await import("node:util");
    const t = tensor([1, 2]);
    expect(inspect(t)).toBe("Tensor [2] float32\n[1, 2]");
    t.dispose();
    expect(inspect(t)).toBe("Tensor [2] float32, disposed of");
  });

  test("a tensor is a Tensor", () => {
    expect(tensor(1)).toBeInstanceOf(Tensor);
  });
});
