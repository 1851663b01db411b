import * as ops from "../../../src/ops/index.js";
import { tensor } from "../../../src/tensor/create.js";
import type { Tensor } from "../../../src/tensor/tensor.js";
import { any, type Sample, type SampleTable, sample } from "./sample.js";

interface Parameters {
  weight: Tensor | null;
  bias: Tensor | null;
}

const parts = [
  { weight: true, bias: true },
  { weight: true, bias: false },
  { weight: false, bias: true },
  { weight: false, bias: false },
];

/** A call with each choice of parameters of a shape. */
function grid(
  title: string,
  shape: readonly number[],
  parameter: readonly number[],
  call: (x: Tensor, p: Parameters) => Tensor,
): Sample[] {
  return parts.map((has) => {
    const given = [has.weight, has.bias].filter(Boolean).map(() => any(...parameter));
    const with_ = [has.weight ? "weight" : "", has.bias ? "bias" : ""].filter((s) => s !== "").join(" and ");
    return sample(`${title} [${shape}], ${with_ || "no parameters"}`, [any(...shape), ...given], (x, ...rest) =>
      call(x, { weight: has.weight ? rest[0]! : null, bias: has.bias ? rest[has.weight ? 1 : 0]! : null }),
    );
  });
}

const layer = (shape: readonly number[], normalized: readonly number[]) =>
  grid(`over [${normalized}] of`, shape, normalized, (x, p) => ops.layerNorm(x, normalized, { ...p, eps: 1e-2 }));

const group = (shape: readonly number[], groups: number) =>
  grid(`${groups} groups of`, shape, [shape[1]!], (x, p) => ops.groupNorm(x, groups, { ...p, eps: 1e-2 }));

const instance = (shape: readonly number[], more: () => ops.InstanceNormOptions = () => ({}), what = "") =>
  grid(`each channel${what} of`, shape, [shape[1]!], (x, p) => ops.instanceNorm(x, { ...p, eps: 1e-2, ...more() }));

const rms = (shape: readonly number[], normalized: readonly number[]) =>
  [true, false].map((has) => {
    const title = `over [${normalized}] of [${shape}], ${has ? "weight" : "no parameters"}`;
    return sample(title, [any(...shape), ...(has ? [any(...normalized)] : [])], (x, weight) =>
      ops.rmsNorm(x, normalized, { weight: weight ?? null, eps: 1e-2 }),
    );
  });

export const rowNorm: SampleTable = {
  layerNorm: [
    ...layer([4, 3], [3]),
    ...layer([2, 3, 4], [3, 4]),
    ...layer([5], [5]),
    ...layer([3, 1], [1]),
    ...layer([0, 3], [3]),
    sample("with the default eps", [any(3, 4)], (x) => ops.layerNorm(x, 4)),
  ],
  groupNorm: [
    ...group([2, 6, 2, 3], 2),
    ...group([3, 4], 2),
    ...group([2, 3, 5], 3),
    ...group([1, 4, 2], 1),
    ...group([0, 4, 2], 2),
    ...group([2, 4, 0], 2),
  ],
  instanceNorm: [
    ...instance([2, 3, 4]),
    ...instance([3, 1, 2, 2]),
    ...instance([1, 2, 2, 1, 2]),
    ...instance([0, 2, 3]),
    ...instance([2, 3, 4], () => ({ runningMean: tensor([0, 1, 2]), runningVar: tensor([1, 2, 3]) }), " with running values"),
  ],
  rmsNorm: [
    ...rms([4, 3], [3]),
    ...rms([2, 2, 3], [2, 3]),
    ...rms([3, 1], [1]),
    ...rms([0, 3], [3]),
    sample("with the default eps", [any(3, 4)], (x) => ops.rmsNorm(x, 4)),
  ],
};
