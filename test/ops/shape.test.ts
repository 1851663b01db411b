import { describe, expect, test } from "vitest";
import { DTypeError, ShapeError } from "../../src/core/errors.js";
import { memory, ops, type Tensor, tensor, zeros } from "../../src/index.js";
import { expectClose } from "./close.js";

const count = (n: number) => Array.from({ length: n }, (_, i) => i);
const grid = (...shape: number[]) => tensor(count(shape.reduce((p, q) => p * q, 1)), shape);

describe("values", () => {
  test("reshape, flatten and −1", () => {
    expect(grid(6).reshape([2, 3]).toArray()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(grid(2, 3, 4).reshape([4, -1]).shape).toEqual([4, 6]);
    expect(grid(2, 3).reshape([-1]).shape).toEqual([6]);
    expect(zeros([0, 3]).reshape([-1, 3]).shape).toEqual([0, 3]);
    expect(grid(2, 3, 4).flatten().shape).toEqual([2, 12]);
    expect(grid(2, 3, 4).flatten(0).shape).toEqual([24]);
    expect(grid(2, 3, 4).flatten(-2).shape).toEqual([2, 12]);
    expect(tensor(5).flatten().shape).toEqual([1]);
  });

  test("permute and transpose", () => {
    expect(grid(2, 3).transpose().toArray()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    const y = grid(2, 3, 4).permute([2, 0, 1]);
    expect(y.shape).toEqual([4, 2, 3]);
    expectClose(
      y,
      count(4).flatMap((k) => count(2).flatMap((i) => count(3).map((j) => i * 12 + j * 4 + k))),
    );
    expect(grid(2, 3, 4).transpose(0, -1).shape).toEqual([4, 3, 2]);
    expect(grid(2, 1, 3).transpose(1, 1).shape).toEqual([2, 1, 3]);
  });

  test("expand repeats", () => {
    expect(tensor([1, 2], [2, 1]).expand([2, 3]).toArray()).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ]);
    expect(tensor([1, 2]).expand([2, 2]).toArray()).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect(tensor(7).expand([3]).toArray()).toEqual([7, 7, 7]);
    expect(zeros([1, 3]).expand([0, 3]).shape).toEqual([0, 3]);
  });

  test("slice, with positions from the end", () => {
    expect(grid(5).slice(0, 1, 3).toArray()).toEqual([1, 2]);
    expect(grid(5).slice(0, -2, 5).toArray()).toEqual([3, 4]);
    expect(grid(5).slice(0, -4, -1).toArray()).toEqual([1, 2, 3]);
    expect(grid(2, 3).slice(-1, 1, 2).toArray()).toEqual([[1], [4]]);
    expect(grid(5).slice(0, 2, 2).shape).toEqual([0]);
    expect(grid(2, 0).slice(0, 0, 1).shape).toEqual([1, 0]);
  });

  test("cat, with empty parts", () => {
    expect(ops.cat([grid(1, 2), grid(2, 2)]).toArray()).toEqual([
      [0, 1],
      [0, 1],
      [2, 3],
    ]);
    expect(ops.cat([grid(2, 1), grid(2, 2)], -1).toArray()).toEqual([
      [0, 0, 1],
      [1, 2, 3],
    ]);
    expect(ops.cat([zeros([0, 2]), grid(1, 2)]).toArray()).toEqual([[0, 1]]);
    expect(ops.cat([zeros([0]), zeros([0])]).shape).toEqual([0]);
  });

  test("integers keep their type", () => {
    const i = tensor(new Int32Array([1, 2, 3, 4]), [2, 2]);
    const results = [i.reshape([4]), i.transpose(), i.slice(0, 0, 1), ops.cat([i, i]), i.reshape([1, 2, 2]).expand([2, 2, 2])];
    expect(results.map((t) => t.dtype)).toEqual(Array(5).fill("int32"));
    expect(results[1]!.data()).toEqual(new Int32Array([1, 3, 2, 4]));
  });
});

test("reshape, flatten and a sum over no axes are views; the others own their memory", () => {
  const x = grid(2, 3);
  for (const y of [x.reshape([6]), x.flatten(0), x.expand([2, 3]), x.sum([])]) expect(y.storage).toBe(x.storage);
  for (const y of [x.transpose(), x.slice(0, 0, 2), ops.cat([x]), x.reshape([1, 2, 3]).expand([2, 2, 3])]) {
    expect(y.storage).not.toBe(x.storage);
  }
});

const wrong: [string, () => unknown, string][] = [
  ["reshape", () => grid(2, 3).reshape([4]), "reshape: shape [2, 3] with 6 values cannot become [4]."],
  ["reshape", () => grid(2, 3).reshape([4, -1]), "reshape: shape [2, 3] with 6 values cannot become [4, -1]."],
  ["reshape", () => grid(2, 3).reshape([-1, -1]), "reshape: shape [2, 3] with 6 values cannot become [-1, -1]."],
  ["reshape", () => zeros([0]).reshape([0, -1]), "reshape: shape [0] with 0 values cannot become [0, -1]."],
  ["reshape", () => grid(2, 3).reshape([-2, -3]), "reshape: expected a shape of non-negative integers, got [-2, -3]."],
  ["flatten", () => grid(2, 3).flatten(2), "flatten: axis 2 is out of range for a tensor of rank 2."],
  ["permute", () => grid(2, 3).permute([0]), "permute: expected each of the 2 axes once, got [0]."],
  ["permute", () => grid(2, 3).permute([1, 1]), "permute: expected each of the 2 axes once, got [1, 1]."],
  ["permute", () => grid(2, 3).permute([0, 2]), "permute: axis 2 is out of range for a tensor of rank 2."],
  ["transpose", () => grid(3).transpose(), "transpose: axis -2 is out of range for a tensor of rank 1."],
  ["expand", () => grid(2).expand([3]), "expand: shape [2] cannot be broadcast to [3]."],
  ["expand", () => grid(1, 2).expand([2]), "expand: shape [1, 2] cannot be broadcast to [2]."],
  ["expand", () => grid(1).expand([-1]), "expand: expected a shape of non-negative integers, got [-1]."],
  ["slice", () => grid(3).slice(0, 2, 1), "slice: [2, 1) is not a range of axis 0, whose size is 3."],
  ["slice", () => grid(3).slice(0, 0, 4), "slice: [0, 4) is not a range of axis 0, whose size is 3."],
  ["slice", () => grid(3).slice(0, -4, 2), "slice: [-4, 2) is not a range of axis 0, whose size is 3."],
  ["slice", () => grid(3).slice(0, 0.5, 2), "slice: [0.5, 2) is not a range of axis 0, whose size is 3."],
  ["slice", () => tensor(1).slice(0, 0, 1), "slice: axis 0 is out of range for a tensor of rank 0."],
  ["cat", () => ops.cat([]), "cat: expected at least one tensor, got none."],
  [
    "cat",
    () => ops.cat([grid(2, 3), grid(2, 2)]),
    "cat: expected tensors that agree outside axis 0, got [2, 3] float32 and [2, 2] float32.",
  ],
  [
    "cat",
    () => ops.cat([grid(2), tensor(new Int32Array(2))]),
    "cat: expected tensors that agree outside axis 0, got [2] float32 and [2] int32.",
  ],
  ["sum", () => grid(2).sum(1), "sum: axis 1 is out of range for a tensor of rank 1."],
  ["mean", () => grid(2).mean([0, -2]), "mean: axis -2 is out of range for a tensor of rank 1."],
  ["argmax", () => zeros([2, 0]).argmax(), "argmax: axis 1 of shape [2, 0] is empty."],
  ["sumChannels", () => ops.sumChannels(grid(3)), "sumChannels: expected [N, C] or [N, C, …], got [3]."],
];

test.each(wrong)("%s says what is wrong and takes no memory (%#)", (_, call, text) => {
  expect(call).toThrow(new ShapeError(text));
  expect(call).toThrow(ShapeError);
});

test("a refused call takes no memory", () => {
  const x = grid(2, 3);
  const before = memory().storages;
  const calls = [
    () => x.reshape([5]),
    () => x.permute([0]),
    () => x.expand([3]),
    () => x.slice(0, 2, 1),
    () => ops.cat([x, x.view([6])], 1),
  ];
  for (const call of calls) expect(call).toThrow();
  // The view of the last call is another handle on x, no storage.
  expect(memory().storages).toBe(before);
});

describe("reductions", () => {
  test("sum and mean over all, some and no axes", () => {
    const x = grid(2, 3, 2);
    expect(x.sum().item()).toBe(66);
    expect(x.mean().item()).toBe(5.5);
    expect(x.sum(0).toArray()).toEqual([
      [6, 8],
      [10, 12],
      [14, 16],
    ]);
    expect(x.sum([0, 2]).toArray()).toEqual([14, 22, 30]);
    expect(x.sum([0, 2], true).shape).toEqual([1, 3, 1]);
    expect(x.sum([2, 0, -1]).toArray()).toEqual([14, 22, 30]);
    expect(x.mean([-1]).toArray()).toEqual([
      [0.5, 2.5, 4.5],
      [6.5, 8.5, 10.5],
    ]);
    expect(tensor(4).sum().item()).toBe(4);
    expect(x.sum([]).shape).toEqual([2, 3, 2]);
  });

  test("of nothing: the sum is 0, the mean NaN, and an empty result stays empty", () => {
    expect(zeros([0]).sum().item()).toBe(0);
    expect(zeros([0]).mean().item()).toBeNaN();
    expect(zeros([3, 0]).sum(1).toArray()).toEqual([0, 0, 0]);
    expect(zeros([3, 0]).sum(0).shape).toEqual([0]);
    expect(zeros([0, 2]).sum(0, true).toArray()).toEqual([[0, 0]]);
    expect(ops.sumChannels(zeros([0, 2, 3])).toArray()).toEqual([0, 0]);
    expect(ops.sumChannels(zeros([2, 0])).shape).toEqual([0]);
    expect(zeros([0, 3]).argmax().shape).toEqual([0]);
  });

  test("the sum of a million times 0.1 is within 1e-7 of float64, relative", () => {
    const x = tensor(new Float32Array(1_000_000).fill(0.1));
    expect(Math.abs(x.sum().item() / (1e6 * Math.fround(0.1)) - 1)).toBeLessThan(1e-7);
  });

  test("argmax takes the first of equals", () => {
    const x = tensor([
      [1, 5, 5],
      [7, 2, 7],
    ]);
    expect(x.argmax().data()).toEqual(new Int32Array([1, 0]));
    expect(x.argmax(0).data()).toEqual(new Int32Array([1, 0, 1]));
  });

  test("sumTo undoes broadcasting", () => {
    expect(grid(2, 3).sumTo([3]).toArray()).toEqual([3, 5, 7]);
    expect(grid(2, 3).sumTo([2, 1]).toArray()).toEqual([[3], [12]]);
    expect(grid(2, 3).sumTo([]).item()).toBe(15);
  });

  test("sumChannels sums all axes but the second", () => {
    expect(ops.sumChannels(grid(2, 3, 2)).toArray()).toEqual([14, 22, 30]);
  });

  test("integers are refused by name", () => {
    const i = tensor(new Int32Array([1, 2]), [2, 1]);
    const calls: [string, (t: Tensor) => Tensor][] = [
      ["sum", ops.sum],
      ["mean", ops.mean],
      ["argmax", ops.argmax],
      ["sumChannels", ops.sumChannels],
    ];
    for (const [name, op] of calls) {
      expect(() => op(i)).toThrow(new DTypeError(`${name}: expected float32, got int32 of shape [2, 1].`));
    }
  });

  test("results made of several ops leave no memory behind", () => {
    const x = grid(2, 3);
    const before = memory().storages;
    const made = [x.sum(), x.sum(0), x.mean(), x.mean([0]), x.sumTo([3]), ops.mseLoss(x, x), ops.dropout(x, 0.5)];
    made.push(ops.linear(x.view([1, 2, 3]), x.view([2, 3])), ops.linear(grid(3), x.view([2, 3])));
    const state = memory().storages - before - made.length;
    for (const t of made) t.dispose();
    // What is left is the input of the last call, and the state of random numbers where this is its first use.
    expect(memory().storages).toBe(before + state);
    expect(state).toBeLessThanOrEqual(2);
  });
});
