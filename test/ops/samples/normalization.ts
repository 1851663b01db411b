import * as ops from "../../../src/ops/index.js";
import { tensor } from "../../../src/tensor/create.js";
import type { Tensor } from "../../../src/tensor/tensor.js";
import { any, type Sample, type SampleTable, sample } from "./sample.js";

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
  ],
  batchNormEval: grid("eval", [...shapes, [1, 3]], (c) => ({ ...running(c), eps: 1e-5 })),
  batchNormEmpty: grid(
    "empty",
    [
      [0, 3],
      [0, 2, 4],
    ],
    () => ({ training: true }),
  ),
};
