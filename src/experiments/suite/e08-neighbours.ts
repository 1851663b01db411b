// E8: in training mode an image's answer depends on the images beside it.
import { noGrad } from "../../autograd/mode.js";
import type { ImageSet } from "../../data/dataset.js";
import { DataLoader } from "../../data/loader.js";
import { allIndices, type Indices } from "../../data/split.js";
import type { Module } from "../../nn/module.js";
import { withoutStatsUpdate } from "../../nn/stats-update.js";
import { argmax } from "../../ops/reduce.js";
import { tidy } from "../../tensor/scope.js";
import { buildMlp, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment, type Metric } from "../protocol.js";
import { above, allOf, below, everySeed, interval, mean, pairedDifference } from "../statistics.js";
import { trainModel } from "../training.js";

const ARMS = ["layer", "batch"] as const satisfies readonly Norm[];
type Arm = (typeof ARMS)[number];
const STEPS = { full: 700, quick: 60 };
const BATCH = 100;

type Params = { arm: Arm; seed: number; steps: number };
/** Shares of right answers on the test images, and whether evaluation gave the same bits in every batching. */
type Result = { mixed: number; single: number; evaluation: number; sameBits: boolean };

const keyOf = (arm: Arm, seed: number) => `${arm}-${seed}`;

export const neighbours = defineExperiment<Params, Result>({
  id: "E8",
  title: "Your neighbours change your answer",
  claim:
    "With batch statistics an image's answer depends on the images beside it: among images of its own class alone it is mostly wrong. With running statistics it does not depend on them at all.",
  source: "Ioffe & Szegedy 2015, section 3.1; Wu & Johnson 2021, Rethinking “Batch” in BatchNorm (arXiv 2105.07576)",
  refutedBy:
    "A loss of accuracy of less than 50 points in batches of one class, an answer in evaluation mode that changes a bit with the batch around it, or a network with LayerNorm that loses 0.1 points or more.",
  setting:
    "784-100-100-100-10 with ReLU, learning rate 0.1, batch 128, 700 steps; then all test images in training mode, in batches of 100 of mixed classes and of one class. About 0.9 million training samples.",
  shows: "What happens to a network that is left in training mode, or whose batches are not mixed.",
  doesNotShow: "That batches of one class occur in practice; sorted data, and batches of a video or of a user, come close.",
  formulas: ["\\hat x = \\frac{x - \\mu_B}{\\sqrt{\\sigma_B^2 + \\varepsilon}}"],
  exploratory: "96.8 % mixed, 14.8 % in batches of one class",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) => ARMS.map((arm) => ({ key: keyOf(arm, seed), params: { arm, seed, steps: STEPS[mode] } }))),
  run({ arm, seed, steps }, { train, test }) {
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
  conclude({ seeds }, done) {
    const of = (arm: Arm, what: "mixed" | "single" | "evaluation") =>
      seeds.map((seed) => 100 * done.get(keyOf(arm, seed))![what]);
    const drop = pairedDifference(of("batch", "mixed"), of("batch", "single"));
    const control = pairedDifference(of("layer", "mixed"), of("layer", "single"));
    const same = everySeed(seeds.map((seed) => ARMS.every((arm) => done.get(keyOf(arm, seed))!.sameBits)));
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
        ...interval(seeds.map((seed) => Number(done.get(keyOf("batch", seed))!.sameBits))),
        name: "evaluation: same bits in batches of 100 and, in reverse order, of 37",
        unit: "share of seeds",
        role: "control",
        criterion: "every seed and both networks",
        verdict: same,
        values: seeds.map((seed) => Number(done.get(keyOf("batch", seed))!.sameBits)),
      },
    ];
    return {
      metrics,
      verdict: allOf(falls, stays, same),
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
      ],
    };
  },
});

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
