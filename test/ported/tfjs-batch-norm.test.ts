// The cases of TensorFlow.js's batchnorm_test.ts (tfjs-core 4.22.0, Apache-2.0, dist/ops/batchnorm_test.js of the npm package):
// its inputs and explicit numbers, which it compares within 1e-3. There statistics are inputs: evaluation with running values
// here, and batchNormByMoments for gradients by mean and variance. tfjs's channels are last: inputs are permuted.
//
// Not here: "accepts a tensor-like object" ×3, "throws when passed … as a non-tensor" ×5 and "… is a string tensor" ×5: types.
import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as ops from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { outside, startTargets } from "../fixtures/compare.js";
import { leaf, Ports } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const ports = new Ports();

const EPS = 1e-3;
/** 2 / √2.001 as the file rounds it. */
const SLOPE = 1414 / 1000;

/** Channels last → channels at axis 1. */
function channelsSecond(t: Tensor): Tensor {
  const axes = t.shape.map((_, i) => i);
  return t.permute([0, axes.at(-1)!, ...axes.slice(1, -1)]);
}

/** Channels at axis 1 → channels last. */
function channelsLast(t: Tensor): Tensor {
  const axes = t.shape.map((_, i) => i);
  return t.permute([0, ...axes.slice(2), 1]);
}

const shapes = { batchNorm2D: [2, 2], batchNorm3D: [2, 1, 2], batchNorm4D: [2, 1, 1, 2] } as const;

/** What "matches tensorflow" is given and gives. */
const tensorflow = [
  {
    name: "batchnorm2D matches tensorflow, 3x3",
    shape: [3, 3],
    x: [0.3136892, 0.92389025, 0.594782, 0.05021042, 0.67545404, 0.93910035, 0.13277993, 0.96474269, 0.88608916],
    mean: [0.19526312, 0.74857256, 0.45166398],
    variance: [0.22963001, 0.61521992, 0.46623685],
    offset: [0.43098484, 0.77712237, 0.47916298],
    scale: [0.62186907, 0.85673736, 0.19201061],
    y: [0.58433646, 0.96846228, 0.51936529, 0.24315402, 0.69732157, 0.61608542, 0.35007446, 1.01304821, 0.60119441],
  },
  {
    name: "batchnorm matches tensorflow, 2x3x3",
    shape: [2, 3, 3],
    x: [
      0.49955603, 0.04158615, -1.09440524, 2.03854165, -0.61578344, 2.87533573, 1.18105987, 0.807462, 1.87888837, 2.26563962,
      -0.37040935, 1.35848753, -0.75347094, 0.15683117, 0.91925946, 0.34121279, 0.92717143, 1.89683965,
    ],
    mean: [0.39745062, -0.48062894, 0.4847822],
    variance: [0.32375343, 0.67117643, 1.08334653],
    offset: [0.69398749, -1.29056387, 0.9429723],
    scale: [-0.5607271, 0.9878457, 0.25181573],
    y: [
      0.59352049, -0.66135202, 0.5610874, -0.92077015, -1.45341019, 1.52106473, -0.07704776, 0.26144429, 1.28010017, -1.14422404,
      -1.15776136, 1.15425493, 1.82644104, -0.52249442, 1.04803919, 0.74932291, 0.40568101, 1.2844412,
    ],
  },
] as const;

/** All gradients of batchNormByMoments, by mean and variance, too. */
function gradients(
  given: Record<"x" | "mean" | "variance" | "offset" | "scale" | "dy", readonly number[]>,
  shape: readonly number[],
) {
  const c = given.mean.length;
  const [x, offset, scale] = [leaf(given.x, shape), leaf(given.offset), leaf(given.scale)];
  const moments = leaf([...given.mean, ...Array(c).fill(0), ...given.variance], [3, c]);
  const y = ops.batchNormByMoments(channelsSecond(x), moments, { weight: scale, bias: offset, eps: EPS });
  y.backward(channelsSecond(tensor(given.dy, shape)));
  const statistics = moments.grad!.data();
  return {
    x: x.grad!.data(),
    mean: statistics.slice(0, c),
    variance: statistics.slice(2 * c),
    offset: offset.grad!.data(),
    scale: scale.grad!.data(),
  };
}

function expectGradients(
  got: ReturnType<typeof gradients>,
  want: { [K in keyof ReturnType<typeof gradients>]: readonly number[] },
) {
  const found = Object.entries(want).map(([key, values]) => outside(key, got[key as keyof typeof got], values, 1e-3));
  expect(found.filter((line) => line !== null)).toEqual([]);
}

describe.each(targets)("tfjs on $name", ({ name, backend }) => {
  const tolerance = name === "wasm" ? 2e-5 : 1e-13;
  const port = (upstream: string, claim: string, run: () => void) =>
    ports.port(upstream, claim, () => withBackend(backend, () => tidy(run)));

  const x = [2, 4, 9, 23];
  const [mean, variance, scale] = [
    [1, 2],
    [2, 3],
    [4, 5],
  ];
  const options = [
    ["no offset or scale", null, null],
    ["no offset", null, scale],
    ["no scale", [4, 5], null],
    ["offset and scale", [3, 4], scale],
  ] as const;
  for (const [kind, shape] of Object.entries(shapes)) {
    for (const [what, offset, weight] of options) {
      port(`simple ${kind}, ${what}`, `is (x − mean) · scale / √(variance + 0.001) + offset within ${tolerance}`, () => {
        const given = {
          weight: weight && tensor(weight),
          bias: offset && tensor(offset),
          eps: EPS,
        };
        const input = channelsSecond(tensor(x, shape));
        const want = x.map((v, i) => {
          const c = i % 2;
          return ((v - mean[c]!) * (weight?.[c] ?? 1)) / Math.sqrt(variance[c]! + EPS) + (offset?.[c] ?? 0);
        });
        const evaluated = ops.batchNorm(input, { ...given, runningMean: tensor(mean), runningVar: tensor(variance) });
        const byMoments = ops.batchNormByMoments(input, tensor([...mean, 0, 0, ...variance], [3, 2]), given);
        for (const y of [evaluated, byMoments]) expect(outside("y", channelsLast(y).data(), want, tolerance)).toBeNull();
      });
    }

    // dy is −1 in four dimensions, 1 in the others.
    const sign = kind === "batchNorm4D" ? -1 : 1;
    const times = (values: readonly number[]) => values.map((v) => sign * v);
    port(`simple ${kind} gradients`, "by x, mean, variance, offset and scale are tfjs's numbers within its 1e-3", () => {
      const given = { x, mean, variance, offset: [3, 4], scale: [2, 5], dy: times([1, 1, 1, 1]) };
      expectGradients(gradients(given, shape), {
        x: times([SLOPE, 2.887, SLOPE, 2.887]),
        mean: times([-2.828, -5.773]),
        variance: times([-3.18, -11.06]),
        offset: times([2, 2]),
        scale: times([6.362, 13.277]),
      });
    });

    port(
      `${kind} gradients, same shapes in x, mean and variance`,
      "with a channel for each value, as rows [1, 4], are tfjs's within 1e-3",
      () => {
        const given = {
          x: [10, 20, 30, 40],
          mean: [0, 5, 10, 15],
          variance: [2, 4, 6, 8],
          scale: [2, 5, 2, 5],
          offset: [0, 0, 0, 0],
          dy: times([1, 1, 1, 1]),
        };
        expectGradients(gradients(given, [1, 4]), {
          x: times([SLOPE, 2.5, 0.816, 1.768]),
          mean: times([-SLOPE, -2.5, -0.816, -1.768]),
          variance: times([-3.533, -4.686, -1.36, -2.762]),
          offset: times([1, 1, 1, 1]),
          scale: times([7.069, 7.499, 8.164, 8.838]),
        });
      },
    );
  }

  port(
    "batchnorm3D, x,mean,var,offset,scale are all 3D",
    `with a channel for each value is the formula within ${tolerance}`,
    () => {
      const [means, variances, offsets, scales] = [1, 2, 3, 4].map((start) => [0, 1, 2, 3].map((i) => start + i)) as number[][];
      const y = ops.batchNorm(tensor(x, [1, 4]), {
        runningMean: tensor(means!),
        runningVar: tensor(variances!),
        weight: tensor(scales!),
        bias: tensor(offsets!),
        eps: EPS,
      });
      const want = x.map((v, i) => offsets![i]! + ((v - means![i]!) * scales![i]!) / Math.sqrt(variances![i]! + EPS));
      expect(outside("y", y.data(), want, tolerance)).toBeNull();
    },
  );

  for (const { shape, y, ...given } of tensorflow) {
    port(given.name, "y is TensorFlow's within 1e-6", () => {
      const input = channelsSecond(tensor(given.x, shape));
      const result = ops.batchNorm(input, {
        runningMean: tensor(given.mean),
        runningVar: tensor(given.variance),
        weight: tensor(given.scale),
        bias: tensor(given.offset),
        eps: EPS,
      });
      expect(outside("y", channelsLast(result).data(), y, 1e-6)).toBeNull();
    });
  }

  port("gradient with clones batchnorm2D", "through copies of all inputs and of y the gradients are the same numbers", () => {
    const [input, offset, gamma] = [leaf(x, [2, 2]), leaf([3, 4]), leaf([2, 5])];
    const moments = leaf([1, 2, 0, 0, 2, 3], [3, 2]);
    const copy = (t: Tensor) => t.mul(1);
    const y = ops.batchNormByMoments(copy(input), copy(moments), { weight: copy(gamma), bias: copy(offset), eps: EPS });
    copy(y).backward(tensor([1, 1, 1, 1], [2, 2]));
    const statistics = moments.grad!.data();
    expectGradients(
      {
        x: input.grad!.data(),
        mean: statistics.slice(0, 2),
        variance: statistics.slice(4),
        offset: offset.grad!.data(),
        scale: gamma.grad!.data(),
      },
      {
        x: [SLOPE, 2.887, SLOPE, 2.887],
        mean: [-2.828, -5.773],
        variance: [-3.18, -11.06],
        offset: [2, 2],
        scale: [6.362, 13.277],
      },
    );
  });

  port(
    "gradient with clones",
    "all inputs 0: gradients are finite, those by x, mean, variance and scale 0, that by offset 1",
    () => {
      const zero = [0, 0, 0, 0];
      const given = { x: zero, mean: zero, variance: zero, offset: zero, scale: zero, dy: [1, 1, 1, 1] };
      expectGradients(gradients(given, [1, 4]), { x: zero, mean: zero, variance: zero, offset: [1, 1, 1, 1], scale: zero });
    },
  );
});

it("portedTests of tfjs: 23", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(23);
});
