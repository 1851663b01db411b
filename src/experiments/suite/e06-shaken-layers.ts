// E6: distributions shaken on purpose behind the normalization: does training slow?
import { DataLoader } from "../../data/loader.js";
import { allIndices } from "../../data/split.js";
import type { LinesFigure, Role } from "../figure.js";
import { buildMlp } from "../networks.js";
import { type NoiseLimits, NoisyBatchNorm } from "../noisy-batch-norm.js";
import { valuesAfter } from "../probe-units.js";
import { defineExperiment, type Metric } from "../protocol.js";
import { above, interval, mean, pairedDifference } from "../statistics.js";
import { bandPoint, exploratory, finiteOrNull } from "../summary.js";
import { finalLoss, trainModel } from "../training.js";

const ARMS = ["none", "batch", "noisy", "strong"] as const;
type Arm = (typeof ARMS)[number];
const ACTIVATIONS = ["sigmoid", "relu"] as const;
type Activation = (typeof ACTIVATIONS)[number];
const LABELS: Readonly<Record<Arm, string>> = {
  none: "none",
  batch: "BatchNorm",
  noisy: "BatchNorm, shaken",
  strong: "BatchNorm, shaken hard",
};
const ROLES: Readonly<Record<Arm, Role>> = { none: "plain", batch: "batch-norm", noisy: "layer-norm", strong: "other" };
const LIMITS: Readonly<Record<"noisy" | "strong", NoiseLimits>> = {
  noisy: { mean: 0.5, scale: 1.25, within: 0.1 },
  strong: { mean: 2, scale: 3, within: 0.1 },
};
const RATE = 0.1;
const STEPS = { full: 350, quick: 40 };
const LAST = 20;
/** The shift from one step to the next is measured this often. */
const EVERY = 10;
const PROBED = 500;

type Params = { arm: Arm; activation: Activation; seed: number; steps: number };
/** Losses every 5 steps, and root mean square shifts of unit means at the second hidden activation, in σ. */
type Result = { loss: number | null; losses: (number | null)[]; shifts: number[] };

const keyOf = (arm: Arm, activation: Activation, seed: number) => `${activation}-${arm}-${seed}`;

export const shakenLayers = defineExperiment<Params, Result>({
  id: "E6",
  title: "Shake every layer",
  claim:
    "If batch normalization helped because distributions hold still, shaking them behind it would take the help away. It does not: shaken more than they are without normalization, networks of sigmoids train almost as with it.",
  source: "Santurkar, Tsipras, Ilyas & Mądry 2018, section 2.2 (arXiv 1805.11604)",
  refutedBy:
    "With sigmoids, a shaken network that keeps less than 0.7 of what BatchNorm gains in training loss over none; that would support the explanation by internal covariate shift. If the shaken network's means do not move more than the plain one's, the premise was not met, and nothing is decided.",
  setting:
    "784-100-100-100-10 with sigmoids and, reported, ReLU; learning rate 0.1, batch 128, 350 steps. Behind each normalization each unit gets a mean of up to ±0.5 and a factor of 1 to 1.25, drawn anew in every step (hard: ±2 and 1 to 3), and each example ±0.1 around both; the constants are given from memory of the paper's appendix. Losses are those of training, with the noise on. About 1.8 million samples.",
  shows: "That distributions that stay the same are not needed for most of the benefit in this network.",
  doesNotShow:
    "What else is the cause. The baselines share one rate and are not tuned, by the nature of the comparison: sigmoids without normalization hardly train at it.",
  formulas: ["\\frac{L_{\\text{none}} - L_{\\text{shaken}}}{L_{\\text{none}} - L_{\\text{BatchNorm}}}"],
  exploratory: "recovery with sigmoids 1.01, with ReLU 0.56",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) =>
      ACTIVATIONS.flatMap((activation) =>
        ARMS.map((arm) => ({
          key: keyOf(arm, activation, seed),
          params: { arm, activation, seed, steps: STEPS[mode] },
        })),
      ),
    ),
  run({ arm, activation, seed, steps }, { train }) {
    const norm = arm === "none" || arm === "batch" ? arm : (width: number) => new NoisyBatchNorm(width, LIMITS[arm]);
    const model = buildMlp(seed, { norm, activation });
    const loader = new DataLoader(train, { batchSize: PROBED, flatten: true });
    const { inputs } = loader.tensors(allIndices(PROBED));
    // The input of the second activation: two dense layers, one activation, and normalizations where there are any.
    const before = arm === "none" ? 3 : 5;
    const look = () => momentsOf(valuesAfter(model, before, inputs));
    const shifts: number[] = [];
    const losses: (number | null)[] = [];
    let last: ReturnType<typeof look> | null = null;
    const training = trainModel(model, {
      set: train,
      seed,
      lr: RATE,
      steps,
      afterStep: (step, loss) => {
        if (step % 5 === 0) losses.push(finiteOrNull(loss));
        if (step % EVERY === EVERY - 1) last = look();
        if (step % EVERY === 0) shifts.push(shiftOf(last!, look()));
        return false;
      },
    });
    return { loss: finiteOrNull(finalLoss(training, LAST)), losses, shifts };
  },
  conclude({ mode, seeds }, done) {
    const of = (arm: Arm, activation: Activation) => seeds.map((seed) => done.get(keyOf(arm, activation, seed))!);
    const loss = (arm: Arm, activation: Activation) => of(arm, activation).map((result) => result.loss ?? Number.NaN);
    const recovery = (arm: "noisy" | "strong", activation: Activation) => {
      const [none, batch, shaken] = [loss("none", activation), loss("batch", activation), loss(arm, activation)];
      return none.map((x, i) => (x - shaken[i]!) / (x - batch[i]!));
    };
    const shift = (arm: Arm, activation: Activation) => of(arm, activation).map(({ shifts }) => mean(shifts));
    const moved = pairedDifference(shift("noisy", "sigmoid"), shift("none", "sigmoid"));
    const premise = above(moved, 0);
    const primary = recovery("noisy", "sigmoid");
    const recovers = above(interval(primary), 0.7);
    const reluRecovery = interval(recovery("noisy", "relu"));
    const metrics: Metric[] = [
      {
        ...interval(primary),
        name: "share of the gain in training loss that is kept when shaken, sigmoids",
        unit: "",
        role: "primary",
        criterion: "interval above 0.7",
        verdict: recovers,
        values: primary,
      },
      {
        ...moved,
        name: "premise, sigmoids: shift of unit means from step to step, shaken minus none",
        unit: "σ",
        role: "control",
        criterion: "interval above 0, else nothing is decided",
        verdict: premise,
        values: shift("noisy", "sigmoid").map((x, i) => x - shift("none", "sigmoid")[i]!),
      },
      exploratory("the same share with ReLU", "", recovery("noisy", "relu")),
      exploratory("the same share, shaken hard, sigmoids", "", recovery("strong", "sigmoid")),
      exploratory("the same share, shaken hard, ReLU", "", recovery("strong", "relu")),
      ...ARMS.map((arm) => exploratory(`final training loss, sigmoids, ${LABELS[arm]}`, "", loss(arm, "sigmoid"))),
      ...ARMS.map((arm) => exploratory(`final training loss, ReLU, ${LABELS[arm]}`, "", loss(arm, "relu"))),
    ];
    return {
      metrics,
      verdict: premise === "PASS" ? recovers : "INCONCLUSIVE",
      finding: `Shaken, networks of sigmoids keep ${interval(primary).estimate.toFixed(2)} of the gain, while unit means move ${mean(shift("noisy", "sigmoid")).toFixed(2)} σ a step (none: ${mean(shift("none", "sigmoid")).toFixed(2)} σ). With ReLU ${reluRecovery.estimate.toFixed(2)} is kept: there the plain network is good already, and noise costs a part of the little there is to gain.`,
      figures: [lossFigure(seeds.length, STEPS[mode], of), shiftFigure(seeds.length, of)],
    };
  },
});

function momentsOf(values: Float64Array, units = 100) {
  const rows = values.length / units;
  const [means, variances] = [new Float64Array(units), new Float64Array(units)];
  for (let i = 0; i < values.length; i++) means[i % units]! += values[i]! / rows;
  for (let i = 0; i < values.length; i++) variances[i % units]! += (values[i]! - means[i % units]!) ** 2 / rows;
  return { means, variances };
}

/** Root mean square over units of the shift of the mean, in standard deviations of the earlier moment. */
function shiftOf(before: ReturnType<typeof momentsOf>, after: ReturnType<typeof momentsOf>): number {
  const squares = [...before.means].map((centre, u) => (after.means[u]! - centre) ** 2 / before.variances[u]!);
  return Math.sqrt(mean(squares.filter(Number.isFinite)));
}

type Of = (arm: Arm, activation: Activation) => readonly Result[];
const PANELS = { sigmoid: "sigmoids", relu: "ReLU" };

function lossFigure(seeds: number, steps: number, of: Of): LinesFigure {
  return {
    kind: "lines",
    name: "e6-loss",
    title: "Training loss, still and shaken",
    description:
      "Training loss against step for networks of sigmoids and of ReLU: without normalization, with batch normalization, and with distributions shaken behind it a little and hard.",
    caption: `Every 5th of ${steps} steps, noise on, learning rate ${RATE} for all, not tuned; mean of ${seeds} seeds, band from the least to the largest.`,
    x: { label: "step" },
    y: { label: "training loss" },
    series: ACTIVATIONS.flatMap((activation) =>
      ARMS.map((arm) => ({
        label: LABELS[arm],
        role: ROLES[arm],
        panel: PANELS[activation],
        points: of(arm, activation)[0]!.losses.map((_, i) =>
          bandPoint(
            5 * (i + 1),
            of(arm, activation).map(({ losses }) => losses[i] ?? null),
          ),
        ),
      })),
    ),
    rules: [],
  };
}

function shiftFigure(seeds: number, of: Of): LinesFigure {
  return {
    kind: "lines",
    name: "e6-shift",
    title: "How far unit means move in one step",
    description: "Shift of the unit means between two steps in a row, against step, for the same networks.",
    caption: `Root mean square over the 100 inputs of the second activation, on ${PROBED} training images in training mode, every ${EVERY} steps; mean of ${seeds} seeds, band from the least to the largest.`,
    x: { label: "step" },
    y: { label: "shift of the mean, σ", log: true },
    series: ACTIVATIONS.flatMap((activation) =>
      ARMS.map((arm) => ({
        label: LABELS[arm],
        role: ROLES[arm],
        panel: PANELS[activation],
        points: of(arm, activation)[0]!.shifts.map((_, i) =>
          bandPoint(
            EVERY * (i + 1),
            of(arm, activation).map(({ shifts }) => shifts[i] ?? null),
          ),
        ),
      })),
    ),
    rules: [],
  };
}
