// E23: an expected null: do the parts of a gradient add up, or cancel, without normalization?

import { noGrad } from "../../autograd/mode.js";
import { DataLoader } from "../../data/loader.js";
import type { Linear } from "../../nn/linear.js";
import type { Sequential } from "../../nn/sequential.js";
import { crossEntropy } from "../../ops/loss.js";
import { tidy } from "../../tensor/scope.js";
import type { Tensor } from "../../tensor/tensor.js";
import { buildMlp, linearsOf, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment } from "../protocol.js";
import { mean, pairedRatio } from "../statistics.js";
import { dotsRow, exploratory, NORM_ROLES } from "../summary.js";
import { splitImages, trainModel } from "../training.js";

const ARMS = ["none", "layer", "batch"] as const satisfies readonly Norm[];
type Arm = (typeof ARMS)[number];
const STEPS = { full: 300, quick: 20 };
const BATCH = 128;

type Params = { arm: Arm; seed: number; steps: number };
/** Of the dense layers behind the first: mean over weights of Σ|gᵢ| over the mean of |Σgᵢ|, at the start and after training. */
type Result = { start: number[]; end: number[] };

const keyOf = (arm: Arm, seed: number) => `${arm}-${seed}`;

export const cancellation = defineExperiment<Params, Result>({
  id: "E23",
  title: "Expected null: gradients that do not cancel",
  claim:
    "Bjorck et al. report that without batch normalization the contributions of examples to a gradient add up instead of cancelling: in their deep convolutional network the sum is about a hundred times as large beside the parts as with it.",
  source: "Bjorck et al. 2018, Understanding Batch Normalization, section 3.2 and table 1 (arXiv 1806.02375)",
  refutedBy:
    "Nothing: reported for a small network, in which a trial had found a factor of about 2 instead of 100, and listed among the claims that are not seen at this size.",
  setting:
    "784-100-100-100-10 with ReLU, He's initialization, one batch of 128 before training and after 300 steps at learning rate 0.1. For each weight of the dense layers behind the first: the sum over examples of the sizes of their contributions to the gradient, beside the size of their sum. About 0.6 million samples.",
  shows: "How much of an example's gradient is cancelled by the others of its batch, with and without normalization.",
  doesNotShow:
    "What happens in deep convolutional networks, where the paper measured, and where sums run over positions as well.",
  formulas: ["\\frac{\\operatorname{mean}_w \\sum_i |g_{i,w}|}{\\operatorname{mean}_w \\bigl|\\sum_i g_{i,w}\\bigr|}"],
  exploratory: "2.4 times as much cancellation with BatchNorm",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) => ARMS.map((arm) => ({ key: keyOf(arm, seed), params: { arm, seed, steps: STEPS[mode] } }))),
  run({ arm, seed, steps }, { train }) {
    const model = buildMlp(seed, { norm: arm });
    const indices = splitImages(train).training;
    const loader = new DataLoader(train, { batchSize: BATCH, shuffle: true, seed: seed + 1000, flatten: true, indices });
    const { inputs, targets } = loader.tensors(loader.order(0).slice(0, BATCH));
    const look = () =>
      linearsOf(model)
        .slice(1)
        .map((layer) => cancelled(model, layer, inputs, targets));
    const start = look();
    trainModel(model, { set: train, seed, lr: 0.1, steps, batch: BATCH });
    return { start, end: look() };
  },
  conclude({ mode, seeds }, done) {
    const of = (arm: Arm, when: keyof Result) => seeds.map((seed) => mean(done.get(keyOf(arm, seed))![when]));
    const factor = pairedRatio(of("batch", "start"), of("none", "start"));
    const moments = [
      ["start", "before training"],
      ["end", `after ${STEPS[mode]} steps`],
    ] as const;
    return {
      metrics: [
        { ...factor, name: "cancellation before training, BatchNorm over none", unit: "times", role: "exploratory" },
        {
          ...pairedRatio(of("batch", "end"), of("none", "end")),
          name: `cancellation after ${STEPS[mode]} steps, BatchNorm over none`,
          unit: "times",
          role: "exploratory",
        },
        ...moments.flatMap(([when, words]) =>
          ARMS.map((arm) => exploratory(`parts over sum, ${words}, ${NORM_LABELS[arm]}`, "times", of(arm, when))),
        ),
      ],
      verdict: null,
      finding: `Beside their sum the parts are ${factor.estimate.toFixed(2)} times as large with BatchNorm as without before training: nothing like a hundred.`,
      figures: [
        {
          kind: "dots",
          name: "e23-cancellation",
          title: "How much of the gradient cancels",
          description: "Sum of sizes over size of the sum, for three normalizations, before and after training.",
          caption: `Mean over the weights of the dense layers behind the first, one batch of ${BATCH}; dots are ${seeds.length} seeds, bars 95 % intervals of the mean.`,
          x: { label: "sum of sizes / size of the sum" },
          rows: moments.flatMap(([when, words]) =>
            ARMS.map((arm) => dotsRow(NORM_LABELS[arm], NORM_ROLES[arm], of(arm, when), words)),
          ),
          rules: [],
        },
      ],
    };
  },
});

/** mean Σ|gᵢ| / mean |Σgᵢ| over the weights of a dense layer: a contribution is (∂L/∂y of an example) times its input. */
function cancelled(model: Sequential, layer: Linear, inputs: Tensor, targets: Tensor): number {
  const layers = [...model];
  const at = layers.indexOf(layer);
  return tidy(() => {
    const x = noGrad(() => layers.slice(0, at).reduce((h, one) => one.call(h), inputs));
    const y = layer.forward(x).detach();
    y.requiresGrad = true;
    crossEntropy(
      layers.slice(at + 1).reduce((h, one) => one.call(h), y),
      targets,
    ).backward();
    model.zeroGrad();
    const dy = y.grad!;
    const sizes = dy.abs().transpose().matmul(x.abs()).mean().item();
    return sizes / dy.transpose().matmul(x).abs().mean().item();
  });
}
