import { describe, expect, test } from "vitest";
import { DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import { Random } from "../../src/core/random.js";
import { memory, ops, type Tensor, tensor, zeros } from "../../src/index.js";
import type { Conv2dOptions } from "../../src/ops/index.js";
import { expectClose } from "./close.js";

const random = new Random(3);
/** Normal values that float32 has, too. */
const values = (n: number) => Float64Array.from({ length: n }, () => Math.fround(random.normal()));
const ints = (...shape: number[]) => tensor(new Int32Array(shape.reduce((p, q) => p * q, 1)), shape);

/** [m, k] · [k, n] in float64. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, m: number, k: number, n: number): Float64Array {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) for (let t = 0; t < k; t++) y[i * n + j]! += a[i * k + t]! * b[t * n + j]!;
  }
  return y;
}

describe("matmul", () => {
  test.each([
    [1, 1, 1],
    [2, 3, 4],
    [5, 7, 9],
    [17, 65, 33],
    [4, 300, 8],
  ])("[%i, %i] · [·, %i] is within 1e-5 of float64, with any operand transposed", (m, k, n) => {
    const [a, b] = [values(m * k), values(k * n)];
    const want = product(a, b, m, k, n);
    const [x, y] = [tensor(a, [m, k]), tensor(b, [k, n])];
    expectClose(x.matmul(y), want, 1e-5);
    expectClose(ops.matmul(x.transpose(), y, { transA: true }), want, 1e-5);
    expectClose(ops.matmul(x, y.transpose(), { transB: true }), want, 1e-5);
    expectClose(ops.matmul(x.transpose(), y.transpose(), { transA: true, transB: true }), want, 1e-5);
  });

  test("a batch axis may be on either side or on both, within 1e-5 of float64", () => {
    const [a, b] = [values(2 * 3 * 4), values(2 * 4 * 5)];
    const want = (ai: number, bi: number) => [...product(a.slice(ai * 12), b.slice(bi * 20), 3, 4, 5)];
    const [x, y] = [tensor(a, [2, 3, 4]), tensor(b, [2, 4, 5])];
    expectClose(ops.matmul(x, y), [...want(0, 0), ...want(1, 1)], 1e-5);
    expectClose(ops.matmul(x, tensor(b.slice(20), [4, 5])), [...want(0, 1), ...want(1, 1)], 1e-5);
    expectClose(ops.matmul(tensor(a.slice(12), [3, 4]), y), [...want(1, 0), ...want(1, 1)], 1e-5);
  });

  test("over an empty sum is 0, and empty results stay empty, with gradients", () => {
    expect(
      zeros([2, 0])
        .matmul(zeros([0, 3]))
        .toArray(),
    ).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(zeros([0, 2]).matmul(zeros([2, 3])).shape).toEqual([0, 3]);
    expect(zeros([0, 2, 3]).matmul(zeros([3, 4])).shape).toEqual([0, 2, 4]);
    const w = tensor([[1, 2]], [1, 2], { requiresGrad: true });
    zeros([0, 1]).matmul(w).sum().backward();
    expect(w.grad!.toArray()).toEqual([[0, 0]]);
    w.grad = null;
    zeros([0, 3, 1]).matmul(w).sum().backward();
    expect(w.grad!.toArray()).toEqual([[0, 0]]);
  });

  const wrong: [() => unknown, Error][] = [
    [
      () => zeros([2, 3]).matmul(zeros([4, 5])),
      new ShapeError("matmul: expected matrices [M, K] and [K, N], got [2, 3] and [4, 5]: 3 and 4 differ."),
    ],
    [
      () => ops.matmul(zeros([2, 3]), zeros([2, 3]), { transA: true, transB: true }),
      new ShapeError("matmul: expected matrices [M, K] and [K, N], got [2, 3]ᵀ and [2, 3]ᵀ: 2 and 3 differ."),
    ],
    [
      () => zeros([3]).matmul(zeros([3, 1])),
      new ShapeError("matmul: expected matrices [M, K] and [K, N], with or without a batch axis in front, got [3] and [3, 1]."),
    ],
    [() => zeros([2, 1, 1]).matmul(zeros([3, 1, 1])), new ShapeError("matmul: batch sizes differ, got [2, 1, 1] and [3, 1, 1].")],
    [() => ints(1, 1).matmul(zeros([1, 1])), new DTypeError("matmul: expected float32, got int32 of shape [1, 1].")],
  ];
  test.each(wrong)("refuses what does not fit (%#)", (call, error) => {
    expect(call).toThrow(error);
    expect(call).toThrow(error.constructor as never);
  });
});

describe("linear", () => {
  test("is x Wᵀ + b for vectors, matrices and further axes", () => {
    const w = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const b = tensor([10, 20, 30]);
    expect(
      ops
        .linear(
          tensor([
            [1, 1],
            [0, 2],
          ]),
          w,
          b,
        )
        .toArray(),
    ).toEqual([
      [13, 27, 41],
      [14, 28, 42],
    ]);
    expect(ops.linear(tensor([1, 1]), w).toArray()).toEqual([3, 7, 11]);
    expect(ops.linear(zeros([2, 4, 2]), w, b).shape).toEqual([2, 4, 3]);
  });

  test("takes nothing: no rows, no features", () => {
    expect(ops.linear(zeros([0, 2]), zeros([3, 2])).shape).toEqual([0, 3]);
    expect(ops.linear(zeros([2, 0, 2]), zeros([3, 2])).shape).toEqual([2, 0, 3]);
    for (const shape of [[2, 0], [0], [2, 1, 0]]) {
      const y = ops.linear(zeros(shape), zeros([3, 0]), tensor([1, 2, 3]));
      expect(y.shape).toEqual([...shape.slice(0, -1), 3]);
      expect([...y.data()].slice(0, 3)).toEqual([1, 2, 3]);
    }
  });

  const wrong: [() => unknown, string][] = [
    [() => ops.linear(zeros([2, 3]), zeros([4, 2])), "linear: expected input [..., 2], got [2, 3]: the weight is [4, 2]."],
    [() => ops.linear(zeros([]), zeros([4, 2])), "linear: expected input [..., 2], got []: the weight is [4, 2]."],
    [() => ops.linear(zeros([2]), zeros([2])), "linear: expected weight [out, in], got [2]."],
    [() => ops.linear(zeros([1, 2]), zeros([4, 2]), zeros([3])), "linear: expected bias [4], got [3]."],
  ];
  test.each(wrong)("refuses what does not fit (%#)", (call, text) => {
    expect(call).toThrow(new ShapeError(text));
    expect(call).toThrow(ShapeError);
  });

  test("refuses integers in every place", () => {
    const error = (shape: string) => new DTypeError(`linear: expected float32, got int32 of shape ${shape}.`);
    expect(() => ops.linear(ints(1, 2), zeros([1, 2]))).toThrow(error("[1, 2]"));
    expect(() => ops.linear(zeros([1, 2]), ints(1, 2))).toThrow(error("[1, 2]"));
    expect(() => ops.linear(zeros([1, 2]), zeros([1, 2]), ints(1))).toThrow(error("[1]"));
  });
});

interface Case extends Conv2dOptions {
  x: [number, number, number, number];
  w: [number, number, number, number];
}

const pair = (p: number | readonly [number, number] = 1): readonly [number, number] => (typeof p === "number" ? [p, p] : p);

/** The convolution in float64, straight from its definition. */
function convolve(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  b: ArrayLike<number> | null,
  c: Case,
  oh: number,
  ow: number,
): number[] {
  const [n, ci, h, width] = c.x;
  const [co, inG, kh, kw] = c.w;
  const [[sh, sw], [ph, pw], [dh, dw]] = [pair(c.stride), pair(c.padding ?? 0), pair(c.dilation)];
  const y: number[] = [];
  const at = (i: number, k: number, r: number, s: number) =>
    r < 0 || s < 0 || r >= h || s >= width ? 0 : x[((i * ci + k) * h + r) * width + s]!;
  for (let i = 0; i < n; i++) {
    for (let o = 0; o < co; o++) {
      const first = Math.floor(o / (co / (c.groups ?? 1))) * inG;
      for (let r = 0; r < oh; r++) {
        for (let s = 0; s < ow; s++) {
          let sum = b ? b[o]! : 0;
          for (let k = 0; k < inG; k++) {
            for (let p = 0; p < kh; p++) {
              for (let q = 0; q < kw; q++) {
                sum += w[((o * inG + k) * kh + p) * kw + q]! * at(i, first + k, r * sh + p * dh - ph, s * sw + q * dw - pw);
              }
            }
          }
          y.push(sum);
        }
      }
    }
  }
  return y;
}

describe("conv2d", () => {
  const cases: (Case & { out: [number, number] })[] = [
    { x: [2, 3, 7, 6], w: [5, 3, 3, 3], out: [5, 4] },
    { x: [1, 2, 5, 9], w: [3, 2, 2, 4], stride: [2, 3], padding: [1, 2], out: [3, 4] },
    { x: [2, 4, 9, 8], w: [6, 2, 3, 2], groups: 2, dilation: [2, 3], padding: 2, out: [9, 9] },
    { x: [3, 6, 5, 5], w: [6, 1, 3, 3], groups: 6, padding: 1, out: [5, 5] },
    { x: [1, 17, 4, 4], w: [9, 17, 1, 1], out: [4, 4] },
    { x: [1, 1, 28, 28], w: [6, 1, 5, 5], stride: 2, padding: 2, out: [14, 14] },
  ];
  test.each(cases)("of $x with $w is within 1e-5 of float64, with and without bias", (c) => {
    const size = (s: number[]) => s.reduce((p, q) => p * q, 1);
    const [x, w, b] = [values(size(c.x)), values(size(c.w)), values(c.w[0])];
    const y = ops.conv2d(tensor(x, c.x), tensor(w, c.w), tensor(b), c);
    expect(y.shape).toEqual([c.x[0], c.w[0], ...c.out]);
    expectClose(y, convolve(x, w, b, c, ...c.out), 1e-5);
    expectClose(ops.conv2d(tensor(x, c.x), tensor(w, c.w), null, c), convolve(x, w, null, c, ...c.out), 1e-5);
  });

  test("of no images is empty, and gives gradients of 0", () => {
    const w = tensor(values(18), [1, 2, 3, 3], { requiresGrad: true });
    const b = tensor([1], [1], { requiresGrad: true });
    const y = ops.conv2d(zeros([0, 2, 5, 5]), w, b);
    expect(y.shape).toEqual([0, 1, 3, 3]);
    y.sum().backward();
    expect([...w.grad!.data(), ...b.grad!.data()]).toEqual(Array(19).fill(0));
  });

  test("of an image without rows but with padding is the bias", () => {
    const y = ops.conv2d(zeros([1, 1, 0, 1]), tensor(values(9), [1, 1, 3, 3]), tensor([4]), { padding: [2, 1] });
    expect(y.toArray()).toEqual([[[[4], [4]]]]);
  });

  test("refuses no input channels, no output channels and no taps, whose kernels would write nothing", () => {
    const sizes = [
      [
        [1, 0, 2, 2],
        [2, 0, 1, 1],
      ],
      [
        [1, 2, 2, 2],
        [0, 2, 1, 1],
      ],
      [
        [1, 2, 2, 2],
        [2, 2, 0, 1],
      ],
    ] as const;
    for (const [p, q] of sizes) {
      const text = `conv2d: expected at least one channel and one tap, got input [${p.join(", ")}] and weight [${q.join(", ")}].`;
      expect(() => ops.conv2d(zeros(p), zeros(q))).toThrow(new ShapeError(text));
    }
  });

  const x = [1, 2, 5, 5];
  const wrong: [() => unknown, Error][] = [
    [
      () => ops.conv2d(zeros([2, 5, 5]), zeros([1, 2, 3, 3])),
      new ShapeError("conv2d: expected input [N, C, H, W] and weight [O, C / groups, kH, kW], got [2, 5, 5] and [1, 2, 3, 3]."),
    ],
    [
      () => ops.conv2d(zeros(x), zeros([1, 3, 3, 3])),
      new ShapeError("conv2d: expected input [N, 3, H, W], got [1, 2, 5, 5]: the weight is [1, 3, 3, 3], groups 1."),
    ],
    [
      () => ops.conv2d(zeros(x), zeros([1, 2, 7, 3]), null, { padding: [0, 1] }),
      new ShapeError("conv2d: the kernel [7, 3] is larger than the padded input: got [1, 2, 5, 5], padding [0, 1]."),
    ],
    [() => ops.conv2d(zeros(x), zeros([1, 2, 3, 3]), zeros([2])), new ShapeError("conv2d: expected bias [1], got [2].")],
    [
      () => ops.conv2d(zeros(x), zeros([3, 1, 3, 3]), null, { groups: 2 }),
      new OptionError("conv2d: expected groups to divide the 2 input and 3 output channels, got 2."),
    ],
    [
      () => ops.conv2d(zeros(x), zeros([1, 2, 3, 3]), null, { stride: 0 }),
      new OptionError("conv2d: expected stride to be an integer of at least 1 or a pair of them, got 0."),
    ],
    [
      () => ops.conv2d(zeros(x), zeros([1, 2, 3, 3]), null, { padding: [1, -1] }),
      new OptionError("conv2d: expected padding to be an integer of at least 0 or a pair of them, got [1,-1]."),
    ],
    [
      () => ops.conv2d(zeros(x), zeros([1, 2, 3, 3]), null, { dilation: 1.5 }),
      new OptionError("conv2d: expected dilation to be an integer of at least 1 or a pair of them, got 1.5."),
    ],
    [
      () => ops.conv2d(ints(1, 2, 5, 5), zeros([1, 2, 3, 3])),
      new DTypeError("conv2d: expected float32, got int32 of shape [1, 2, 5, 5]."),
    ],
  ];
  test.each(wrong)("refuses what does not fit (%#)", (call, error) => {
    expect(call).toThrow(error);
    expect(call).toThrow(error.constructor as never);
  });

  test("a refused call takes no memory", () => {
    const [t, w] = [zeros(x), zeros([1, 3, 3, 3])];
    const before = memory().storages;
    const calls: (() => Tensor)[] = [() => ops.conv2d(t, w), () => ops.linear(t, w), () => t.matmul(w)];
    for (const call of calls) expect(call).toThrow();
    expect(memory().storages).toBe(before);
  });
});
