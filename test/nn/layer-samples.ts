import * as nn from "../../src/nn/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

/** A layer with options, and an input for it. */
export interface LayerSample {
  readonly title: string;
  readonly make: () => nn.Module;
  readonly shape: readonly number[];
  /** Mode in which derivatives are taken (default training). */
  readonly training?: boolean;
  /** Inputs after the first. */
  readonly further?: () => Tensor[];
  /** Whether it must see an input before it has parameters. */
  readonly warmUp?: boolean;
  /** What `toString` says, if not the name of the class. */
  readonly printed?: string;
}

const sample = (
  title: string,
  shape: readonly number[],
  make: () => nn.Module,
  rest: Partial<LayerSample> = {},
): LayerSample => ({
  title,
  shape,
  make,
  ...rest,
});
const mask = () => [tensor([1, 1, 0, 1, 1, 1, 1, 0, 1], [3, 3])];
const targets = () => [tensor(Int32Array.of(0, 2, 1), [3])];

/** What all layers that are batch normalization in evaluation take, as options. */
const batchNormOptions: readonly (readonly [string, nn.BatchNormLayerOptions])[] = [
  ["defaults", {}],
  ["eps", { eps: 0.1 }],
  ["momentum", { momentum: 0.7 }],
  ["momentum null", { momentum: null }],
  ["decay", { decay: 0.7 }],
  ["affine: false", { affine: false }],
  ["weight: false", { weight: false }],
  ["bias: false", { bias: false }],
  ["unbiasedRunningVar: false", { unbiasedRunningVar: false }],
  ['compat: "torch"', { compat: "torch" }],
];

/** With another running mean and variance than 0 and 1. */
function moved<T extends nn.BatchNorm>(layer: T): T {
  nn.init.constant(layer.runningMean!, 0.3);
  nn.init.constant(layer.runningVar!, 1.7);
  return layer;
}

function batchNorm(
  make: (options: nn.BatchNormLayerOptions) => nn.BatchNorm,
  shape: readonly number[],
  more: readonly (readonly [string, nn.BatchNormLayerOptions])[] = [],
): LayerSample[] {
  return [...batchNormOptions, ...more].flatMap(([title, options]) => {
    const training = sample(title, shape, () => make(options));
    if (options.trackRunningStats === false) return [training];
    return [training, sample(`${title}, evaluation`, shape, () => moved(make(options)), { training: false })];
  });
}

const untracked = [["trackRunningStats: false", { trackRunningStats: false }]] as const;

/** x + ReLU(BatchNorm(x)) beside x, by named edges. */
function residualGraph(): nn.Graph {
  return new nn.Graph({
    inputs: ["x"],
    nodes: [
      { name: "bn", module: moved(new nn.BatchNorm1d(3)), inputs: ["x"] },
      { name: "relu", module: new nn.ReLU(), inputs: ["bn"] },
      { name: "add", module: new nn.Add(), inputs: ["relu", "x"] },
      { name: "cat", module: new nn.Concat(), inputs: ["add", "x"] },
    ],
    outputs: ["cat"],
  });
}

export const layerSamples: Readonly<Record<string, readonly LayerSample[]>> = {
  BatchNorm1d: [
    ...batchNorm((o) => new nn.BatchNorm1d(3, o), [5, 3], untracked),
    sample("[N, C, L]", [3, 2, 3], () => new nn.BatchNorm1d(2)),
    sample("masked", [3, 2, 3], () => new nn.BatchNorm1d(2), { further: mask }),
    sample("frozen statistics", [4, 3], () => moved(new nn.BatchNorm1d(3)).freeze({ affine: false })),
    sample("frozen γ and β", [4, 3], () => new nn.BatchNorm1d(3).freeze({ stats: false })),
    sample("another set of statistics", [4, 3], () => moved(new nn.BatchNorm1d(3).use("other")), { training: false }),
  ],
  BatchNorm2d: batchNorm((o) => new nn.BatchNorm2d(2, o), [3, 2, 2, 2], untracked),
  BatchNorm3d: batchNorm((o) => new nn.BatchNorm3d(2, o), [2, 2, 1, 2, 2], untracked),
  LazyBatchNorm1d: [sample("defaults", [5, 3], () => new nn.LazyBatchNorm1d(), { warmUp: true, printed: "BatchNorm1d" })],
  LazyBatchNorm2d: [sample("defaults", [3, 2, 2, 2], () => new nn.LazyBatchNorm2d(), { warmUp: true, printed: "BatchNorm2d" })],
  LazyBatchNorm3d: [
    sample("options", [2, 2, 1, 2, 2], () => new nn.LazyBatchNorm3d({ bias: false }), { warmUp: true, printed: "BatchNorm3d" }),
  ],
  BatchRenorm: [
    // Both corrections are at their limits, or there are none: r and d are then constants of the function, too.
    ...batchNorm((o) => new nn.BatchRenorm(3, { ...o, rMax: 1, dMax: 0 }), [5, 3]),
    sample("at the limits", [5, 3], () => new nn.BatchRenorm(3, { rMax: 1.0001, dMax: 0.0001 })),
  ],
  GhostBatchNorm: batchNorm((o) => new nn.GhostBatchNorm(2, 3, o), [7, 2, 2], untracked),
  IterNorm: [
    sample("defaults", [6, 3], () => new nn.IterNorm(3)),
    sample("groups of 2", [4, 4, 2], () => new nn.IterNorm(4, { groupSize: 2 })),
    sample(
      "iterations, eps, no γ and β",
      [6, 3],
      () => new nn.IterNorm(3, { iterations: 2, eps: 0.1, affine: false, momentum: 0.5 }),
    ),
    sample("evaluation", [6, 3], () => new nn.IterNorm(3), { training: false }),
  ],
  LayerNorm: [
    sample("defaults", [4, 3], () => new nn.LayerNorm(3)),
    sample("two axes, eps", [2, 3, 2], () => new nn.LayerNorm([3, 2], { eps: 0.1 })),
    sample("without γ and β", [4, 3], () => new nn.LayerNorm(3, { elementwiseAffine: false })),
    sample("without β", [4, 3], () => new nn.LayerNorm(3, { bias: false })),
  ],
  RMSNorm: [
    sample("defaults", [4, 3], () => new nn.RMSNorm(3)),
    sample("two axes, eps", [2, 3, 2], () => new nn.RMSNorm([3, 2], { eps: 0.1 })),
    sample("without γ", [4, 3], () => new nn.RMSNorm(3, { elementwiseAffine: false })),
  ],
  GroupNorm: [
    sample("defaults", [2, 4, 3], () => new nn.GroupNorm(2, 4)),
    sample("eps, without γ and β", [2, 4, 3], () => new nn.GroupNorm(1, 4, { eps: 0.1, affine: false })),
  ],
  InstanceNorm1d: [
    sample("defaults", [2, 3, 4], () => new nn.InstanceNorm1d(3)),
    sample("γ and β, eps", [2, 3, 4], () => new nn.InstanceNorm1d(3, { affine: true, eps: 0.1 })),
    sample("running values", [2, 3, 4], () => new nn.InstanceNorm1d(3, { affine: true, trackRunningStats: true, momentum: 0.5 })),
    sample("running values in evaluation", [2, 3, 4], () => new nn.InstanceNorm1d(3, { trackRunningStats: true }), {
      training: false,
    }),
  ],
  InstanceNorm2d: [sample("γ and β", [2, 2, 2, 3], () => new nn.InstanceNorm2d(2, { affine: true }))],
  InstanceNorm3d: [sample("γ and β", [2, 2, 1, 2, 2], () => new nn.InstanceNorm3d(2, { affine: true }))],
  Linear: [
    sample("defaults", [3, 4], () => new nn.Linear(4, 2)),
    sample("without bias", [2, 2, 4], () => new nn.Linear(4, 2, { bias: false })),
  ],
  Conv1d: [
    sample("defaults", [2, 2, 5], () => new nn.Conv1d(2, 3, 3)),
    sample(
      "all options",
      [2, 2, 6],
      () => new nn.Conv1d(2, 4, 2, { stride: 2, padding: 1, dilation: 2, groups: 2, bias: false }),
    ),
  ],
  Conv2d: [
    sample("defaults", [1, 2, 4, 3], () => new nn.Conv2d(2, 3, [3, 2])),
    sample(
      "all options",
      [2, 2, 5, 5],
      () => new nn.Conv2d(2, 4, 2, { stride: 2, padding: 1, dilation: 2, groups: 2, bias: false }),
    ),
  ],
  Conv3d: [
    sample("defaults", [1, 2, 3, 3, 3], () => new nn.Conv3d(2, 2, 2)),
    sample(
      "all options",
      [1, 2, 3, 4, 3],
      () => new nn.Conv3d(2, 4, 2, { stride: 2, padding: 1, dilation: 2, groups: 2, bias: false }),
    ),
  ],
  ConvTranspose2d: [
    sample("defaults", [1, 2, 3, 2], () => new nn.ConvTranspose2d(2, 3, 2)),
    sample(
      "all options",
      [2, 2, 3, 3],
      () => new nn.ConvTranspose2d(2, 4, 2, { stride: 2, padding: 1, outputPadding: 1, dilation: 2, groups: 2, bias: false }),
    ),
  ],
  StdConv2d: [
    sample("defaults", [2, 2, 4, 4], () => new nn.StdConv2d(2, 3, 3)),
    sample("eps and stride", [2, 2, 4, 4], () => new nn.StdConv2d(2, 3, 3, { eps: 0.1, stride: 2, padding: 1, bias: false })),
  ],
  MaxPool2d: [
    sample("defaults", [1, 2, 4, 4], () => new nn.MaxPool2d(2)),
    sample("stride and padding", [1, 2, 5, 4], () => new nn.MaxPool2d(3, { stride: 2, padding: 1 })),
  ],
  AvgPool2d: [
    sample("defaults", [1, 2, 4, 4], () => new nn.AvgPool2d(2)),
    sample("all options", [1, 2, 5, 4], () => new nn.AvgPool2d(3, { stride: 2, padding: 1, countIncludePad: false })),
  ],
  AdaptiveAvgPool2d: [sample("[3, 2]", [1, 2, 5, 4], () => new nn.AdaptiveAvgPool2d([3, 2]))],
  Dropout: [
    sample("evaluation", [3, 4], () => new nn.Dropout(0.5), { training: false }),
    sample("p = 0", [3, 4], () => new nn.Dropout(0)),
  ],
  Flatten: [sample("defaults", [2, 3, 2], () => new nn.Flatten())],
  Identity: [sample("defaults", [2, 3], () => new nn.Identity())],
  ReLU: [sample("defaults", [3, 4], () => new nn.ReLU())],
  LeakyReLU: [sample("slope", [3, 4], () => new nn.LeakyReLU(0.3))],
  GELU: [sample("defaults", [3, 4], () => new nn.GELU())],
  SiLU: [sample("defaults", [3, 4], () => new nn.SiLU())],
  Sigmoid: [sample("defaults", [3, 4], () => new nn.Sigmoid())],
  Tanh: [sample("defaults", [3, 4], () => new nn.Tanh())],
  Softmax: [sample("axis 1", [3, 4], () => new nn.Softmax(1)), sample("axis 0", [3, 4], () => new nn.Softmax(0))],
  Residual: [
    sample("identity", [4, 3], () => new nn.Residual(new nn.BatchNorm1d(3))),
    sample("shortcut", [4, 3], () => new nn.Residual(new nn.Linear(3, 2), new nn.Linear(3, 2))),
  ],
  Sequential: [
    sample("batch normalization and ReLU as one", [5, 3], () => new nn.Sequential(new nn.BatchNorm1d(3), new nn.ReLU())),
    sample("the same in evaluation", [5, 3], () => new nn.Sequential(moved(new nn.BatchNorm1d(3)), new nn.ReLU()), {
      training: false,
    }),
  ],
  Add: [sample("two inputs", [3, 4], () => new nn.Add(), { further: () => [tensor([0.5, 1, 2, -1])] })],
  Concat: [sample("axis 1", [2, 2], () => new nn.Concat(), { further: () => [tensor([[0.5], [2]])] })],
  Graph: [
    sample("residual block", [5, 3], () => residualGraph()),
    sample("the same in evaluation", [5, 3], () => residualGraph(), { training: false }),
  ],
  CrossEntropyLoss: [
    sample("defaults", [3, 4], () => new nn.CrossEntropyLoss(), { further: targets }),
    sample(
      "all options",
      [3, 4],
      () => new nn.CrossEntropyLoss({ labelSmoothing: 0.1, ignoreIndex: 1, reduction: "sum", weight: tensor([1, 2, 0.5, 1]) }),
      { further: targets },
    ),
  ],
  MSELoss: [
    sample("defaults", [3], () => new nn.MSELoss(), { further: () => [tensor([1, 2, 3])] }),
    sample("none", [3], () => new nn.MSELoss({ reduction: "none" }), { further: () => [tensor([1, 2, 3])] }),
  ],
};
