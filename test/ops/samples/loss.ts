import * as ops from "../../../src/ops/index.js";
import { tensor } from "../../../src/tensor/create.js";
import { gradientOf } from "./gradient-of.js";
import { any, type Sample, type SampleTable, sample } from "./sample.js";

const reductions: readonly ops.Reduction[] = ["mean", "sum", "none"];

interface Variant {
  title: string;
  x: number[];
  labels: number[];
  weight?: number[];
  labelSmoothing?: number;
  ignoreIndex?: number;
}

const variants: readonly Variant[] = [
  { title: "plain", x: [4, 3], labels: [0, 2, 1, 2] },
  { title: "weights", x: [4, 3], labels: [0, 2, 1, 2], weight: [0.5, 2, 1.5] },
  { title: "smoothing", x: [3, 4], labels: [3, 0, 1], labelSmoothing: 0.2 },
  { title: "weights and smoothing", x: [3, 4], labels: [3, 0, 1], weight: [1, 0.5, 2, 0.25], labelSmoothing: 0.3 },
  { title: "smoothing of 1", x: [2, 3], labels: [0, 1], labelSmoothing: 1 },
  { title: "ignored labels", x: [4, 3], labels: [0, -100, 1, -100] },
  {
    title: "ignored label 1, weights and smoothing",
    x: [4, 3],
    labels: [0, 1, 1, 2],
    ignoreIndex: 1,
    weight: [2, 3, 0.5],
    labelSmoothing: 0.1,
  },
  { title: "images", x: [2, 3, 2, 2], labels: [0, 1, 2, 0, 1, 1, 2, -100], weight: [0.5, 1, 2] },
  { title: "one row of two", x: [1, 2], labels: [1] },
];

const crossEntropies = (): Sample[] =>
  variants.flatMap((v) =>
    reductions.map((reduction) => {
      const call: Sample["call"] = (x) => {
        const { labelSmoothing = 0, ignoreIndex = -100 } = v;
        const weight = v.weight ? { weight: tensor(v.weight) } : {};
        return ops.crossEntropy(x!, Int32Array.from(v.labels), { ...weight, labelSmoothing, ignoreIndex, reduction });
      };
      return sample(`${v.title}, ${reduction}`, [any(...v.x)], call);
    }),
  );

const softmaxes: readonly { title: string; shape: number[]; axis: number }[] = [
  { title: "rows", shape: [3, 4], axis: -1 },
  { title: "columns", shape: [3, 4], axis: 0 },
  { title: "the middle axis", shape: [2, 3, 2], axis: 1 },
  { title: "a vector", shape: [5], axis: 0 },
  { title: "one class", shape: [2, 1], axis: 1 },
];

const kinds = [
  { name: "softmax", call: ops.softmax },
  { name: "logSoftmax", call: ops.logSoftmax },
];

const softmaxSamples = (further: boolean): Sample[] =>
  kinds.flatMap(({ name, call }) =>
    softmaxes.map(({ title, shape, axis }) => {
      const f: Sample["call"] = (x) => call(x!, axis);
      return sample(
        `${name} of ${title}`,
        further ? [any(...shape), any(...shape)] : [any(...shape)],
        further ? gradientOf(f) : f,
      );
    }),
  );

export const loss: SampleTable = {
  softmax: softmaxSamples(false),
  softmaxBackward: softmaxSamples(true),
  crossEntropy: crossEntropies(),
};
