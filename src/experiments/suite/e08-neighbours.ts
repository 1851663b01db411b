// E8: in training mode an image's answer depends on the images beside it.
import { noGrad } from "../../autograd/mode.js";
import type { ImageSet } from "../../data/dataset.js";
import { DataLoader } from "../../data/loader.js";
import { allIndices, type Indices } from "../../data/split.js";
import { BatchNorm1d } from "../../nn/batch-norm.js";
import type { Module } from "../../nn/module.js";
import { withoutStatsUpdate } from "../../nn/stats-update.js";
import { argmax } from "../../ops/reduce.js";
import { tidy } from "../../tensor/scope.js";
import type { LinesFigure } from "../figure.js";
import { buildMlp, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment, type JobContext, type Metric } from "../protocol.js";
import { above, allOf, below, everySeed, interval, mean, pairedDifference } from "../statistics.js";
import { bandPoint } from "../summary.js";
import { accuracyOn, trainModel } from "../training.js";

const ARMS = ["layer", "batch"] as const satisfies readonly Norm[];
type Arm = (typeof ARMS)[number];
const STEPS = { full: 700, quick: 60 };
const BATCH = 100;

/** Weights of the newest batch in the running values, whose lag is measured, and where. */
const MOMENTA = [0.1, 0.01];
const LAG_STEPS = { full: [5, 10, 20, 50, 100, 200], quick: [5, 10] };
/** The lag is judged with this momentum, at the second and at the last step. */
const SLOW = 0.01;
const RECOMPUTED = 2000;

type Params =
  | { what: "neighbours"; arm: Arm; seed: number; steps: number }
  | { what: "lag"; momentum: number; seed: number; at: readonly number[] };
/** Shares of right answers on the test images, and whether evaluation gave the same bits in every batching. */
type Answers = { mixed: number; single: number; evaluation: number; sameBits: boolean };
/** Test error in % on the way, with the running values and with values recomputed over training images. */
type Lag = { running: number[]; recomputed: number[] };
type Result = Answers | Lag;

const keyOf = (arm: Arm, seed: number) => `${arm}-${seed}`;
const lagKey = (momentum: number, seed: number) => `lag-${momentum}-${seed}`;

export const neighbours = defineExperiment<Params, Result>({
  id: "E8",
  title: "Your neighbours change your answer",
  claim:
    "With batch statistics an image's answer depends on the images beside it: among images of its own class alone it is mostly wrong. With running statistics it does not depend on them at all; but these need time, and lag behind at first.",
  source: "Ioffe & Szegedy 2015, section 3.1; Wu & Johnson 2021, Rethinking “Batch” in BatchNorm (arXiv 2105.07576)",
  refutedBy:
    "A loss of accuracy of less than 50 points in batches of one class, running values with momentum 0.01 that cost less than 10 points of error after 10 steps or still 1 point or more after 200, an answer in evaluation mode that changes a bit with the batch around it, or a network with LayerNorm that loses 0.1 points or more.",
  setting:
    "784-100-100-100-10 with ReLU, learning rate 0.1, batch 128, 700 steps; then all test images in training mode, in batches of 100 of mixed classes and of one class. Lag: learning rate 0.3, 200 steps, momentum 0.1 and 0.01, against statistics recomputed over 2,000 training images. About 1.2 million training samples.",
  shows: "What happens to a network that is left in training mode, or whose batches are not mixed.",
  doesNotShow: "That batches of one class occur in practice; sorted data, and batches of a video or of a user, come close.",
  formulas: ["\\hat x = \\frac{x - \\mu_B}{\\sqrt{\\sigma_B^2 + \\varepsilon}}"],
  exploratory:
    "96.8 % mixed, 14.8 % in batches of one class; error with momentum 0.01 after 10 steps 35.5 % against 14.4 recomputed, after 200 steps 5.0 and 4.8",
  backend: "wasm",
  changes: [
    "2026-11-24: the lag of running values was added, as a control, after the first part had been run; the first part is as it was.",
  ],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) => [
      ...ARMS.map((arm) => ({
        key: keyOf(arm, seed),
        params: { what: "neighbours" as const, arm, seed, steps: STEPS[mode] },
      })),
      ...MOMENTA.map((momentum) => ({
        key: lagKey(momentum, seed),
        params: { what: "lag" as const, momentum, seed, at: LAG_STEPS[mode] },
      })),
    ]),
  run(params, { train, test }) {
    if (params.what === "lag") return lagOf(params, { train, test });
    const { arm, seed, steps } = params;
    const model = buildMlp(seed, { norm: arm });
    trainModel(model, { set: train, seed, lr: 0.1, steps });
    const mixed = answers(model, test, batchesOf(allIndices(test.count)), true);
    const single = answers(model, test, byClass(test), true);
    const evaluation = answers(model, test, batchesOf(allIndices(test.count)), false);
    const backwards = answers(model, test, [...batchesOf(allIndices(test.count).reverse(), 37)], false);
    return {
      mixed: share(mixed.right),
      single: share(single.right),
      evaluation: share(evaluation.right),
      sameBits: sameBits(evaluation.outputs, backwards.outputs),
    };
  },
  conclude({ mode, seeds }, done) {
    const answersOf = (arm: Arm, seed: number) => done.get(keyOf(arm, seed)) as Answers;
    const of = (arm: Arm, what: "mixed" | "single" | "evaluation") => seeds.map((seed) => 100 * answersOf(arm, seed)[what]);
    const lags = (momentum: number) => seeds.map((seed) => done.get(lagKey(momentum, seed)) as Lag);
    const gap = (at: number) => lags(SLOW).map(({ running, recomputed }) => running.at(at)! - recomputed.at(at)!);
    const [early, late] = [gap(1), gap(-1)];
    const [lagged, gone] = [above(interval(early), 10), below(interval(late), 1)];
    const steps = LAG_STEPS[mode];
    const drop = pairedDifference(of("batch", "mixed"), of("batch", "single"));
    const control = pairedDifference(of("layer", "mixed"), of("layer", "single"));
    const same = everySeed(seeds.map((seed) => ARMS.every((arm) => answersOf(arm, seed).sameBits)));
    const [falls, stays] = [above(drop, 50), below(control, 0.1)];
    const differences = (arm: Arm) => of(arm, "mixed").map((x, i) => x - of(arm, "single")[i]!);
    const metrics: Metric[] = [
      {
        ...drop,
        name: "accuracy lost in batches of one class, BatchNorm",
        unit: "points",
        role: "primary",
        criterion: "interval above 50",
        verdict: falls,
        values: differences("batch"),
      },
      {
        ...control,
        name: "the same with LayerNorm",
        unit: "points",
        role: "control",
        criterion: "interval below 0.1",
        verdict: stays,
        values: differences("layer"),
      },
      {
        ...interval(seeds.map((seed) => Number(answersOf("batch", seed).sameBits))),
        name: "evaluation: same bits in batches of 100 and, in reverse order, of 37",
        unit: "share of seeds",
        role: "control",
        criterion: "every seed and both networks",
        verdict: same,
        values: seeds.map((seed) => Number(answersOf("batch", seed).sameBits)),
      },
      {
        ...interval(early),
        name: `error after ${steps[1]} steps, running values with momentum ${SLOW} minus recomputed ones`,
        unit: "points",
        role: "control",
        criterion: "interval above 10",
        verdict: lagged,
        values: early,
      },
      {
        ...interval(late),
        name: `the same after ${steps.at(-1)} steps`,
        unit: "points",
        role: "control",
        criterion: "interval below 1",
        verdict: gone,
        values: late,
      },
    ];
    return {
      metrics,
      verdict: allOf(falls, stays, same, lagged, gone),
      finding: `With batch statistics ${mean(of("batch", "mixed")).toFixed(1)} % are right in mixed batches and ${mean(of("batch", "single")).toFixed(1)} % in batches of one class; with running statistics ${mean(of("batch", "evaluation")).toFixed(1)} %, whatever the batch.`,
      figures: [
        {
          kind: "dots",
          name: "e8-accuracy",
          title: "One network, three ways to ask it",
          description:
            "Test accuracy with batch statistics in mixed batches, with batch statistics in batches of one class, and with running statistics, for BatchNorm and LayerNorm.",
          caption: `All test images after ${seeds.length} trainings; dots are seeds, bars 95 % intervals of the mean. Batches of ${BATCH}.`,
          x: { label: "test accuracy, %" },
          rows: ARMS.flatMap((arm) =>
            (["mixed", "single", "evaluation"] as const).map((what) => {
              const { estimate, low, high } = interval(of(arm, what));
              const finite = (x: number) => (Number.isFinite(x) ? x : null);
              return {
                label: LABELS[what],
                role: arm === "batch" ? ("batch-norm" as const) : ("layer-norm" as const),
                group: NORM_LABELS[arm],
                estimate,
                low: finite(low),
                high: finite(high),
                values: of(arm, what),
              };
            }),
          ),
          rules: [{ axis: "x", value: 10, label: "chance" }],
        },
        lagFigure(steps, seeds.length, lags),
      ],
    };
  },
});

/** Errors on the way through a training; the running values stay those of the training. */
function lagOf(
  { momentum, seed, at }: { momentum: number; seed: number; at: readonly number[] },
  { train, test }: JobContext,
): Lag {
  const model = buildMlp(seed, { norm: "batch", batchNorm: { momentum } });
  const layers = [...model].filter((layer) => layer instanceof BatchNorm1d);
  const loader = new DataLoader(train, { batchSize: RECOMPUTED, flatten: true });
  const error = () => 100 * (1 - accuracyOn(model, test));
  const found: Lag = { running: [], recomputed: [] };
  trainModel(model, {
    set: train,
    seed,
    lr: 0.3,
    steps: at.at(-1)!,
    afterStep: (step) => {
      if (!at.includes(step)) return false;
      found.running.push(error());
      for (const layer of layers) {
        layer.use("recomputed").resetRunningStats();
        layer.momentum = null;
      }
      tidy(() => noGrad(() => void model.call(loader.tensors(allIndices(RECOMPUTED)).inputs)));
      found.recomputed.push(error());
      for (const layer of layers) layer.use().momentum = momentum;
      return false;
    },
  });
  return found;
}

function lagFigure(steps: readonly number[], seeds: number, lags: (momentum: number) => readonly Lag[]): LinesFigure {
  const points = (momentum: number, what: keyof Lag) =>
    steps.map((step, i) =>
      bandPoint(
        step,
        lags(momentum).map((lag) => lag[what][i]!),
      ),
    );
  return {
    kind: "lines",
    name: "e8-lag",
    title: "Running values lag behind at first",
    description:
      "Test error against step on a logarithmic axis, with running values of two momenta and with recomputed values: at first the running values cost much, in the end nothing.",
    caption: `Learning rate 0.3, batch 128, all test images in evaluation mode; recomputed over ${RECOMPUTED.toLocaleString("en")} training images. Mean of ${seeds} seeds, band from the least to the largest.`,
    x: { label: "step", log: true },
    y: { label: "test error, %" },
    series: [
      { label: "running values, momentum 0.1", role: "batch-norm", points: points(0.1, "running") },
      { label: "running values, momentum 0.01", role: "other", points: points(SLOW, "running") },
      { label: "recomputed", role: "layer-norm", points: points(0.1, "recomputed") },
    ],
    rules: [],
  };
}

const LABELS = { mixed: "training mode, mixed", single: "training mode, one class", evaluation: "evaluation mode" };

function* batchesOf(indices: Indices, size = BATCH): Generator<Indices> {
  for (let start = 0; start < indices.length; start += size) yield indices.slice(start, start + size);
}

/** Batches of one class each; a last batch that is short is filled up with images of the class that were there before. */
function byClass(set: ImageSet): Indices[] {
  return set.classes.flatMap((_, label) => {
    const own = allIndices(set.count).filter((i) => set.labels[i] === label);
    const list = [...batchesOf(own)];
    const last = list.at(-1)!;
    if (last.length < BATCH && own.length >= BATCH) list[list.length - 1] = own.slice(own.length - BATCH);
    return list;
  });
}

/** Outputs and right answers, each image's where it is in the set. */
function answers(model: Module, set: ImageSet, batches: Iterable<Indices>, training: boolean) {
  const loader = new DataLoader(set, { batchSize: BATCH, flatten: true });
  const outputs = new Float32Array(set.count * set.classes.length);
  const right = new Uint8Array(set.count);
  model.train(training);
  for (const indices of batches) {
    tidy(() =>
      noGrad(() =>
        withoutStatsUpdate(() => {
          const y = model.call(loader.tensors(indices).inputs);
          const [values, said] = [y.data(), argmax(y).data()];
          const width = set.classes.length;
          indices.forEach((index, row) => {
            outputs.set(values.subarray(row * width, (row + 1) * width) as Float32Array, index * width);
            right[index] = said[row] === set.labels[index] ? 1 : 0;
          });
        }),
      ),
    );
  }
  model.train();
  return { outputs, right };
}

const share = (right: Uint8Array) => right.reduce((sum, one) => sum + one, 0) / right.length;

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
  return x.every((bits, i) => bits === y[i]);
}
