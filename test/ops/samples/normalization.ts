import { checkpoint } from "../../../src/autograd/checkpoint.js";
import * as ops from "../../../src/ops/index.js";
import { tensor } from "../../../src/tensor/create.js";
import type { Tensor } from "../../../src/tensor/tensor.js";
import { any, constant, positive, type Sample, type SampleTable, sample } from "./sample.js";

const shapes = [
  [4, 3],
  [3, 2, 4],
  [2, 3, 2, 3],
  [2, 2, 1, 2, 2],
  [2, 1],
  [1, 2, 3],
];

const parts = [
  { weight: true, bias: true },
  { weight: true, bias: false },
  { weight: false, bias: true },
  { weight: false, bias: false },
];

type Options = (channels: number) => ops.BatchNormOptions;

function grid(title: string, list: readonly (readonly number[])[], options: Options): Sample[] {
  return list.flatMap((shape) =>
    parts.map((has) => {
      const c = shape[1]!;
      const inputs = [any(...shape), ...(has.weight ? [any(c)] : []), ...(has.bias ? [any(c)] : [])];
      const call = (x: Tensor, ...rest: Tensor[]) => {
        const weight = has.weight ? rest[0]! : null;
        const bias = has.bias ? rest[has.weight ? 1 : 0]! : null;
        return ops.batchNorm(x, { ...options(c), weight, bias });
      };
      const with_ = [has.weight ? "weight" : "", has.bias ? "bias" : ""].filter((s) => s !== "").join(" and ");
      return sample(`${title} [${shape}], ${with_ || "no parameters"}`, inputs, call);
    }),
  );
}

const running = (c: number) => ({
  runningMean: tensor(Float64Array.from({ length: c }, (_, i) => 0.3 * i - 0.2)),
  runningVar: tensor(Float64Array.from({ length: c }, (_, i) => 0.5 + i)),
});

export const normalization: SampleTable = {
  batchNormTrain: [
    ...grid("train", shapes, () => ({ training: true, eps: 1e-2 })),
    ...grid("train with running statistics", [[3, 2, 2]], (c) => ({ training: true, eps: 1e-3, ...running(c) })),
    ...grid(
      "train with ReLU",
      [
        [4, 3],
        [3, 2, 2],
      ],
      () => ({ training: true, eps: 1e-2, activation: "relu" }),
    ),
  ],
  batchNormEval: [
    ...grid("eval", [...shapes, [1, 3]], (c) => ({ ...running(c), eps: 1e-5 })),
    ...grid(
      "eval with ReLU",
      [
        [4, 3],
        [3, 2, 2],
      ],
      (c) => ({ ...running(c), activation: "relu" }),
    ),
  ],
  channelMoments: [
    sample("one part", [any(4, 3)], (x) => ops.channelMoments([x])),
    sample("three parts", [any(2, 2, 3), any(1, 2, 3), any(3, 2, 3)], (...xs) => ops.channelMoments(xs)),
    sample("parts of several lengths, one empty", [any(2, 2, 3), any(0, 2, 3), any(1, 2, 1)], (...xs) => ops.channelMoments(xs)),
  ],
  batchNormByMoments: [
    ...parts.map((has) => {
      const inputs = [any(3, 2, 2), positive(3, 2), ...(has.weight ? [any(2)] : []), ...(has.bias ? [any(2)] : [])];
      const call = (x: Tensor, moments: Tensor, ...rest: Tensor[]) =>
        ops.batchNormByMoments(x, moments, {
          weight: has.weight ? rest[0]! : null,
          bias: has.bias ? rest[has.weight ? 1 : 0]! : null,
          eps: 1e-2,
        });
      return sample(`weight: ${has.weight}, bias: ${has.bias}`, inputs, call);
    }),
    sample("moments of the input itself", [any(4, 3), any(3)], (x, weight) =>
      ops.batchNormByMoments(x, ops.channelMoments([x]), { weight, activation: "relu" }),
    ),
  ],
  maskedMoments: [
    sample("[N, C, L]", [any(3, 2, 3), any(2), any(2)], (x, weight, bias) =>
      ops.batchNorm(x, { training: true, mask: tensor([1, 0, 1, 1, 1, 0, 2, 1, 1], [3, 3]), weight, bias, eps: 1e-2 }),
    ),
    sample("[N, C]", [any(4, 3)], (x) => ops.batchNorm(x, { training: true, mask: tensor([1, 0, 1, 1]), eps: 1e-2 })),
  ],
  checkpoint: [
    sample("one input", [any(3, 2)], (x) => checkpoint((t) => t.square().mul(t), [x])),
    sample("two inputs and a parameter", [any(3, 2), any(2), any(3, 1)], (x, y, w) =>
      checkpoint((a, b) => a.mul(b!).tanh().mul(w), [x, y], [w]),
    ),
    sample("an input that needs no gradient", [constant(any(3)), any(3)], (x, y) => checkpoint((a, b) => a.mul(b!), [x, y])),
  ],
  batchNormEmpty: grid(
    "empty",
    [
      [0, 3],
      [0, 2, 4],
    ],
    () => ({ training: true }),
  ),
};
