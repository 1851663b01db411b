// E22: an expected null: whether batch normalization regularizes when there are few images.
import { randomFor } from "../../data/seed.js";
import { Dropout } from "../../nn/dropout.js";
import { ReLU } from "../../nn/relu.js";
import { Sequential } from "../../nn/sequential.js";
import type { Role } from "../figure.js";
import { buildMlp, NORM_LABELS } from "../networks.js";
import { defineExperiment, LEARNING_RATES, type Metric, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { interval, mean } from "../statistics.js";
import { differences, dotsRow, exploratory } from "../summary.js";
import { accuracyOn, splitImages, trainModel } from "../training.js";
import { bestRates } from "../tuning.js";

const KINDS = ["none", "layer", "batch", "dropout"] as const;
type Kind = (typeof KINDS)[number];
const LABELS: Readonly<Record<Kind, string>> = { ...NORM_LABELS, dropout: "dropout 0.3" };
const ROLES: Readonly<Record<Kind, Role>> = { none: "plain", layer: "layer-norm", batch: "batch-norm", dropout: "other" };
const BATCHES = [10, 50, 500] as const;
/** Dropout is tried at this one only. */
const MIDDLE = 50;
type Arm = `${Kind}-b${(typeof BATCHES)[number]}`;
const P = 0.3;
const IMAGES = 1000;
const STEPS = { full: 600, quick: 20 };
const RATES: Readonly<Record<Plan["mode"], readonly number[]>> = { full: [...LEARNING_RATES, 10], quick: [0.1] };

type Params = { kind: Kind; batch: number; lr: number; seed: number; steps: number };
/** Shares of right answers; null where not looked at, or where the training diverged. */
type Result = { test: number | null; train: number | null; validationError: number | null };

const keyOf = (arm: Arm, lr: number, seed: number) => `${arm}-${lr}-${seed}`;
const batchesOf = (mode: Plan["mode"]) => BATCHES.filter((batch) => mode === "full" || batch === MIDDLE);
const kindsAt = (batch: number) => KINDS.filter((kind) => kind !== "dropout" || batch === MIDDLE);
const armsOf = (mode: Plan["mode"]) =>
  batchesOf(mode).flatMap((batch) => kindsAt(batch).map((kind) => ({ arm: `${kind}-b${batch}` as Arm, kind, batch })));

export const regularization = defineExperiment<Params, Result>({
  id: "E22",
  title: "Expected null: batch normalization regularizes",
  claim:
    "Batch normalization regularizes, since each image is seen among other neighbours every time: with few training images it should be better on new ones than a network without it.",
  source: "Ioffe & Szegedy 2015, section 3.4",
  refutedBy:
    "Nothing is judged. A trial found no gain in this network, and none is expected; an interval of BatchNorm minus none that lies above 0 at the same batch size would speak for the claim.",
  setting:
    "784-100-100-100-10 with ReLU, He's initialization, 1,000 training images drawn by the seed, 600 steps of plain SGD with batches of 10, 50 and 500 (6, 30 and 300 epochs); no normalization, LayerNorm, BatchNorm, and dropout of 0.3 after each ReLU at batch 50. Learning rate of each, from 0.01 to 10, by the error on 5,000 validation images. 12.5 million samples, those of tuning included.",
  shows: "Whether the noise of batch statistics helps here, beside what dropout does, on images that were not trained on.",
  doesNotShow:
    "Why, if there is a gain: a larger learning rate may do it as well as the noise of the batches, which should matter most where batches are small; LayerNorm, which has no such noise, is the control. Nor that batch normalization never regularizes: convolutional networks and longer training are not tried. Batch sizes differ in epochs, since the number of steps is the same.",
  formulas: [],
  exploratory:
    "test accuracy: none 89.9 %, LayerNorm 90.2, BatchNorm 89.8 (batch 50), 89.0 (10), 88.8 (500), dropout 89.4: no gain",
  backend: "wasm",
  changes: [
    "2026-11-24, before any run on the reported seeds: the rate 10 was added, since BatchNorm at batch 500 was best at 3, the largest rate of the grid.",
  ],
  jobs({ mode, seeds }, done) {
    const arms = armsOf(mode);
    const rates = RATES[mode];
    const job = ({ arm, kind, batch }: (typeof arms)[number], lr: number, seed: number) => ({
      key: keyOf(arm, lr, seed),
      params: { kind, batch, lr, seed, steps: STEPS[mode] },
    });
    const tuning = arms.flatMap((one) => (rates.length > 1 ? rates.map((lr) => job(one, lr, TUNING_SEED)) : []));
    const best = tuned(mode, done);
    const runs = best === undefined ? [] : seeds.flatMap((seed) => arms.map((one) => job(one, best[one.arm], seed)));
    return [...tuning, ...runs];
  },
  run({ kind, batch, lr, seed, steps }, { train, test }) {
    const plain = buildMlp(seed, { norm: kind === "dropout" ? "none" : kind });
    const layers = [...plain].flatMap((layer) =>
      kind === "dropout" && layer instanceof ReLU ? [layer, new Dropout(P)] : [layer],
    );
    const model = new Sequential(...layers);
    const { training, validation } = splitImages(train);
    const indices = Int32Array.from(randomFor("E22", seed, "subset").permutation(training.length)).slice(0, IMAGES);
    const { divergedAt } = trainModel(model, { set: train, seed, lr, steps, batch, indices });
    if (divergedAt !== null) return { test: null, train: null, validationError: null };
    if (seed === TUNING_SEED) return { test: null, train: null, validationError: 1 - accuracyOn(model, train, validation) };
    return { test: accuracyOn(model, test), train: accuracyOn(model, train, indices), validationError: null };
  },
  conclude({ mode, seeds }, done) {
    const best = tuned(mode, done)!;
    const of = (arm: Arm, what: "test" | "train") =>
      seeds.map((seed) => 100 * (done.get(keyOf(arm, best[arm], seed))![what] ?? Number.NaN));
    const gap = (arm: Arm) => differences(of(arm, "train"), of(arm, "test"));
    const metrics: Metric[] = batchesOf(mode).flatMap((batch) => {
      const plain: Arm = `none-b${batch}`;
      return kindsAt(batch)
        .slice(1)
        .flatMap((kind) => {
          const arm: Arm = `${kind}-b${batch}`;
          const name = `batch ${batch}: ${LABELS[kind]} minus none`;
          return [
            exploratory(`${name}, test accuracy`, "points", differences(of(arm, "test"), of(plain, "test"))),
            exploratory(`${name}, training minus test accuracy`, "points", differences(gap(arm), gap(plain))),
          ];
        });
    });
    const gains = batchesOf(mode).map((batch) => {
      const { estimate, low, high } = interval(differences(of(`batch-b${batch}`, "test"), of(`none-b${batch}`, "test")));
      return `${estimate.toFixed(2)} points at batch ${batch}${Number.isFinite(low) ? ` (${low.toFixed(2)} to ${high.toFixed(2)})` : ""}`;
    });
    return {
      metrics,
      verdict: null,
      finding: `BatchNorm minus none on test images: ${gains.join(", ")}. Dropout minus none at batch ${MIDDLE}: ${mean(differences(of(`dropout-b${MIDDLE}`, "test"), of(`none-b${MIDDLE}`, "test"))).toFixed(2)} points.`,
      figures: [
        {
          kind: "dots",
          name: "e22-accuracy",
          title: "Test accuracy with 1,000 training images",
          description: "Test accuracy without normalization, with LayerNorm, BatchNorm and dropout, in groups by batch size.",
          caption: `All test images after ${STEPS[mode]} steps on ${IMAGES.toLocaleString("en")} training images; dots are ${seeds.length} seeds, bars 95 % intervals of the mean. Each at the learning rate that was best on validation images.`,
          x: { label: "test accuracy, %" },
          rows: armsOf(mode).map(({ arm, kind, batch }) =>
            dotsRow(`${LABELS[kind]} (rate ${best[arm]})`, ROLES[kind], of(arm, "test"), `batch ${batch}`),
          ),
          rules: [],
        },
      ],
    };
  },
});

/** The rate of each arm; undefined while tuning runs are missing. A single rate needs none. */
function tuned(mode: Plan["mode"], done: Results<Result>): Record<Arm, number> | undefined {
  const arms = armsOf(mode).map(({ arm }) => arm);
  const rates = RATES[mode];
  return bestRates(arms, rates, (arm, rate) => (rates.length > 1 ? done.get(keyOf(arm, rate, TUNING_SEED))?.validationError : 0));
}
