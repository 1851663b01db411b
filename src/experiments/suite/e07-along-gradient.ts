// E7: how far along a step the gradient keeps its word.
import { DataLoader } from "../../data/loader.js";
import { alongGradient } from "../../instruments/along-gradient.js";
import { layerShift } from "../../instruments/layer-shift.js";
import { crossEntropy } from "../../ops/loss.js";
import { tidy } from "../../tensor/scope.js";
import type { DotsFigure, LinesFigure, Role } from "../figure.js";
import { LpNorm } from "../lp-norm.js";
import { buildMlp } from "../networks.js";
import { defineExperiment, type Metric } from "../protocol.js";
import { above, interval, mean, pairedDifference } from "../statistics.js";
import { bandPoint, dotsRow, exploratory } from "../summary.js";
import { batches, splitImages, trainModel } from "../training.js";

const ARMS = ["none", "layer", "batch", "l1", "linf"] as const;
type Arm = (typeof ARMS)[number];
const ACTIVATIONS = ["relu", "sigmoid"] as const;
type Activation = (typeof ACTIVATIONS)[number];
const LABELS: Readonly<Record<Arm, string>> = {
  none: "none",
  layer: "LayerNorm",
  batch: "BatchNorm",
  l1: "batch, mean |x − μ|",
  linf: "batch, largest |x − μ|",
};
const ROLES: Readonly<Record<Arm, Role>> = {
  none: "plain",
  layer: "layer-norm",
  batch: "batch-norm",
  l1: "other",
  linf: "other",
};
const RATE = 0.1;
/** 0.5 to 4 times the learning rate. */
const ETAS = [0.05, 0.1, 0.2, 0.4];
const STEPS = { full: 300, quick: 20 };
const EVERY = 10;
const BATCH = 128;

type Params = { arm: Arm; activation: Activation; seed: number; steps: number };
/** Every few steps, along the gradient of a batch that is not trained on next; and the change of the gradients of hidden layers. */
type Result = { cosine: number[]; range: number[]; change: number[]; beta: number[]; shift: number[]; shiftCosine: number[] };

const keyOf = (arm: Arm, activation: Activation, seed: number) => `${activation}-${arm}-${seed}`;

export const alongTheGradient = defineExperiment<Params, Result>({
  id: "E7",
  title: "Following the gradient's word",
  claim:
    "A gradient says where the loss falls, right here. With normalization it still points the same way after a long step; without, it may point back.",
  source: "Santurkar, Tsipras, Ilyas & Mądry 2018, sections 3.1 and 3.3, figure 4 (arXiv 1805.11604)",
  refutedBy:
    "A least cosine between the gradients at the start and along the step, averaged over training, that is less than 0.3 higher with BatchNorm than without (ReLU).",
  setting:
    "784-100-100-100-10 with ReLU and, reported, sigmoids; learning rate 0.1, batch 128, 300 steps; every 10 steps the gradient of a further batch is followed for 0.5 to 4 times the learning rate. About 1.9 million training samples, and 1 million along the gradients.",
  shows: "Over which distance a step can be trusted, measured without a unit, so that losses of different size compare.",
  doesNotShow:
    "That this is why training is faster, nor that it takes the standard deviation: two other measures of spread over the batch are beside it, and LayerNorm, which measures over the units. A small range of the loss alone says nothing: a network of sigmoids that does not learn has the smoothest loss of all.",
  formulas: ["\\min_{\\eta} \\cos\\bigl(\\nabla L(w),\\ \\nabla L(w - \\eta \\nabla L(w))\\bigr)"],
  exploratory: "least cosine, ReLU: −0.51 without, +0.34 with BatchNorm; sigmoids −0.78 and +0.70",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) =>
      ACTIVATIONS.flatMap((activation) =>
        ARMS.map((arm) => ({ key: keyOf(arm, activation, seed), params: { arm, activation, seed, steps: STEPS[mode] } })),
      ),
    ),
  run({ arm, activation, seed, steps }, { train }) {
    const norm = arm === "l1" || arm === "linf" ? (width: number) => new LpNorm(width, arm) : arm;
    const model = buildMlp(seed, { norm, activation });
    const loader = new DataLoader(train, {
      batchSize: BATCH,
      shuffle: true,
      seed: seed + 1000,
      flatten: true,
      indices: splitImages(train).training,
    });
    const further = batches(loader);
    const result: Result = { cosine: [], range: [], change: [], beta: [], shift: [], shiftCosine: [] };
    const look = () =>
      tidy(() => {
        const { inputs, targets } = loader.tensors(further.next().value);
        const loss = () => crossEntropy(model.call(inputs), targets);
        const found = alongGradient(model, loss, { etas: ETAS });
        result.cosine.push(found.minCosine);
        result.range.push(found.lossRange);
        result.change.push(found.gradientPredictiveness);
        result.beta.push(found.effectiveSmoothness);
        // Dense layers behind the first, which nothing comes before; normalizations have parameters of their own.
        const dense = layerShift(model, loss, RATE)
          .filter(({ name }) => name !== "0")
          .filter(({ size }) => size > 200);
        result.shift.push(mean(dense.map(({ relative }) => relative)));
        result.shiftCosine.push(mean(dense.map(({ cosine }) => cosine)));
      });
    look();
    trainModel(model, {
      set: train,
      seed,
      lr: RATE,
      steps,
      batch: BATCH,
      afterStep: (step) => {
        if (step % EVERY === 0) look();
        return false;
      },
    });
    return result;
  },
  conclude({ seeds, mode }, done) {
    const of = (arm: Arm, activation: Activation, what: keyof Result) =>
      seeds.map((seed) => mean(done.get(keyOf(arm, activation, seed))![what]));
    const compare = (activation: Activation) => ({
      ...pairedDifference(of("batch", activation, "cosine"), of("none", activation, "cosine")),
      values: of("batch", activation, "cosine").map((x, i) => x - of("none", activation, "cosine")[i]!),
    });
    const primary = compare("relu");
    const verdict = above(primary, 0.3);
    const both = (what: keyof Result, name: string) =>
      (["none", "batch"] as const).map((arm) => exploratory(`${name}, ReLU, ${LABELS[arm]}`, "", of(arm, "relu", what)));
    const metrics: Metric[] = [
      {
        ...primary,
        name: "least cosine along the gradient, BatchNorm minus none, ReLU",
        unit: "",
        role: "primary",
        criterion: "interval above 0.3",
        verdict,
      },
      { ...compare("sigmoid"), name: "the same with sigmoids", unit: "", role: "exploratory" },
      ...ARMS.map((arm) => exploratory(`least cosine, ReLU, ${LABELS[arm]}`, "", of(arm, "relu", "cosine"))),
      ...ARMS.map((arm) => exploratory(`least cosine, sigmoids, ${LABELS[arm]}`, "", of(arm, "sigmoid", "cosine"))),
      ...both("range", "range of the loss"),
      ...both("change", "largest change of the gradient"),
      ...both("beta", "effective smoothness β"),
      ...both("shift", "change of later layers' gradients by an update below (definition 2.1), relative"),
      ...both("shiftCosine", "the same as a cosine"),
    ];
    return {
      metrics,
      verdict,
      finding: `Along the step the cosine falls to ${interval(of("none", "relu", "cosine")).estimate.toFixed(2)} without normalization, ${interval(of("batch", "relu", "cosine")).estimate.toFixed(2)} with BatchNorm and ${interval(of("layer", "relu", "cosine")).estimate.toFixed(2)} with LayerNorm (ReLU). The shift of definition 2.1 is ${interval(of("none", "relu", "shift")).estimate.toFixed(2)} without and ${interval(of("batch", "relu", "shift")).estimate.toFixed(2)} with BatchNorm; the paper found no less, in other networks.`,
      figures: [overTime(seeds, STEPS[mode], done), compared(seeds.length, of)],
    };
  },
});

const PANELS = { relu: "ReLU", sigmoid: "sigmoids" };

function overTime(seeds: readonly number[], steps: number, done: ReadonlyMap<string, Result>): LinesFigure {
  return {
    kind: "lines",
    name: "e7-cosine",
    title: "Does the gradient still point the same way?",
    description:
      "Least cosine between the gradient at the start and along a step of up to four times the learning rate, against training step, for networks of ReLU and of sigmoids.",
    caption: `Every ${EVERY} of ${steps} steps on a batch of ${BATCH} that is not trained on next; mean of ${seeds.length} seeds, band from the least to the largest. 1: same direction, 0: at a right angle, −1: opposite.`,
    x: { label: "step" },
    y: { label: "least cosine" },
    series: ACTIVATIONS.flatMap((activation) =>
      (["none", "layer", "batch"] as const).map((arm) => ({
        label: LABELS[arm],
        role: ROLES[arm],
        panel: PANELS[activation],
        points: done.get(keyOf(arm, activation, seeds[0]!))!.cosine.map((_, i) =>
          bandPoint(
            EVERY * i,
            seeds.map((seed) => done.get(keyOf(arm, activation, seed))!.cosine[i] ?? null),
          ),
        ),
      })),
    ),
    rules: [{ axis: "y", value: 0, label: "right angle" }],
  };
}

function compared(seeds: number, of: (arm: Arm, activation: Activation, what: keyof Result) => number[]): DotsFigure {
  return {
    kind: "dots",
    name: "e7-arms",
    title: "Which normalization keeps the gradient's word",
    description: "Mean over training of the least cosine, for each normalization, with ReLU and with sigmoids.",
    caption: `Means over training; bars are 95 % intervals over ${seeds} seeds.`,
    x: { label: "least cosine" },
    rows: ACTIVATIONS.flatMap((activation) =>
      ARMS.map((arm) => dotsRow(LABELS[arm], ROLES[arm], of(arm, activation, "cosine"), PANELS[activation])),
    ),
    rules: [{ axis: "x", value: 0, label: "right angle" }],
  };
}
