// E18: whether training is faster on whitened pixels.
import { noGrad } from "../../autograd/mode.js";
import type { ImageSet } from "../../data/dataset.js";
import { DataLoader } from "../../data/loader.js";
import type { Indices } from "../../data/split.js";
import { Sequential } from "../../nn/sequential.js";
import { crossEntropy } from "../../ops/loss.js";
import { tidy } from "../../tensor/scope.js";
import type { DotsFigure, LinesFigure, Role } from "../figure.js";
import { buildMlp, DEFAULT_WIDTHS } from "../networks.js";
import { defineExperiment, LEARNING_RATES, type Metric, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { allOf, exactly, interval, ratioAbove, type Time, timeRatio } from "../statistics.js";
import { dotsRow } from "../summary.js";
import { splitImages, trainModel } from "../training.js";
import { bestRates } from "../tuning.js";
import { conditionNumber, EPSILON, PREPARATIONS, type Preparation, Prepare, residualOf, whiteningOf } from "../whitening.js";

const NETS = ["softmax", "mlp"] as const;
type Net = (typeof NETS)[number];
const NET_LABELS: Readonly<Record<Net, string>> = { softmax: "softmax regression", mlp: "multilayer perceptron" };
const WIDTHS: Readonly<Record<Net, readonly number[]>> = { softmax: [784, 10], mlp: DEFAULT_WIDTHS };
const ROLES: Readonly<Record<Preparation, Role>> = { raw: "plain", standardized: "batch-norm", whitened: "other" };
type Arm = `${Net}-${Preparation}`;
const netsOf = (mode: Plan["mode"]) => (mode === "full" ? NETS : NETS.slice(0, 1));
const armsOf = (mode: Plan["mode"]) => netsOf(mode).flatMap((net) => PREPARATIONS.map((p) => `${net}-${p}` as const));

const RATES: Readonly<Record<Plan["mode"], readonly number[]>> = { full: LEARNING_RATES, quick: [0.1] };
const CAPS = { full: { run: 2000, tuning: 600 }, quick: { run: 10, tuning: 5 } };
/** Training images from which mean and covariance come; power iterations for their eigenvalues. */
const SIZES = { full: { images: 55_000, iterations: 100 }, quick: { images: 1000, iterations: 10 } };
const TARGET = 0.35;
const WATCHED = 2000;
const EVERY = 5;

type Run = { net: Net; preparation: Preparation; lr: number; seed: number; cap: number; images: number };
type Params = Run | { images: number; iterations: number };
/**
 * Of a run: steps to the target, null if it did not arrive, and the losses looked at. Of the covariances: their
 * condition numbers, and how far the whitened one is from the identity.
 */
type Result = {
  steps: number | null;
  losses: (number | null)[];
  score: number | null;
  conditions: number[];
  residual: number | null;
};

const keyOf = (arm: Arm, lr: number, seed: number) => `${arm}-${lr}-${seed}`;
const COVARIANCE = "covariance";

export const whitenedInputs = defineExperiment<Params, Result>({
  id: "E18",
  title: "Whitened inputs",
  claim: "Training converges faster if the inputs are standardized, and faster still if they are whitened.",
  source: "The article; LeCun et al. 1998, Efficient BackProp; Ioffe & Szegedy 2015, section 2",
  refutedBy:
    "For softmax regression, a ratio of steps to a training loss of 0.35 whose whole interval lies below 1: standardized over whitened, or raw over standardized. FAIL means that a better condition number alone does not make early training faster: whitening also blows up the directions that say little about the class.",
  setting:
    "Softmax regression 784-10 and 784-100-100-100-10 with ReLU, no normalization inside, batch 128, plain SGD. Pixels in [0, 1] as they are; centred and divided by √(variance + ε), each alone; or centred and whitened by (covariance + ε)^(−1/2) (ZCA). ε is 1 % of the mean variance of a pixel for both; mean and covariance are those of the training images. The loss is looked at every 5 steps on 2,000 training images, always the same, so that no smoothing is needed; at most 2,000 steps. Learning rates of each input and network by the fewest steps to that loss on 2,000 validation images (at most 600 steps, else the lowest loss). At most 10.4 million samples, most runs end early.",
  shows:
    "What the shape of the input's distribution alone is worth in steps of plain SGD, with the best rate of a coarse grid for each.",
  doesNotShow:
    "The cost of a step, which whitening raises (see E19); nor that whitened inputs generalize better; nor the order at a lower loss, which directions of small variance decide; nor anything about the inputs of hidden layers.",
  formulas: [
    "x' = (\\Sigma + \\varepsilon I)^{-1/2} (x - \\mu)",
    "\\kappa = \\frac{\\lambda_{max} + \\varepsilon}{\\varepsilon}",
  ],
  exploratory: "none",
  backend: "wasm",
  changes: [],
  jobs({ mode, seeds }, done) {
    const { images } = SIZES[mode];
    const job = (arm: Arm, lr: number, seed: number, cap: number) => {
      const [net, preparation] = arm.split("-") as [Net, Preparation];
      return { key: keyOf(arm, lr, seed), params: { net, preparation, lr, seed, cap, images } };
    };
    const arms = armsOf(mode);
    const rates = RATES[mode];
    const tuning = arms.flatMap((arm) =>
      rates.length > 1 ? rates.map((lr) => job(arm, lr, TUNING_SEED, CAPS[mode].tuning)) : [],
    );
    const best = tuned(mode, done);
    const runs = best === undefined ? [] : seeds.flatMap((seed) => arms.map((arm) => job(arm, best[arm], seed, CAPS[mode].run)));
    return [{ key: COVARIANCE, params: SIZES[mode] }, ...tuning, ...runs];
  },
  run(params, { train }) {
    const { training, validation } = splitImages(train);
    const whitening = whiteningOf(train, Math.min(params.images, training.length));
    if (!("net" in params)) {
      const conditions = PREPARATIONS.map((preparation) => conditionNumber(preparation, whitening, params.iterations));
      return { steps: null, losses: [], score: null, conditions, residual: residualOf(whitening) };
    }
    const { net, preparation, lr, seed, cap } = params;
    const prepare = new Prepare(preparation, whitening);
    const model = buildMlp(seed, { norm: "none", widths: WIDTHS[net] });
    const watched = seed === TUNING_SEED ? validation : training;
    const look = looker(model, prepare, train, watched.slice(0, WATCHED));
    const losses: (number | null)[] = [];
    let steps: number | null = null;
    const { divergedAt } = trainModel(new Sequential(prepare, ...model), {
      set: train,
      seed,
      lr,
      steps: cap,
      afterStep: (step) => {
        if (step % EVERY !== 0) return false;
        const loss = look();
        losses.push(Number.isFinite(loss) ? loss : null);
        if (loss <= TARGET) steps = step;
        return steps !== null;
      },
    });
    const last = losses.at(-1) ?? null;
    const late = divergedAt !== null || last === null ? null : cap + last;
    return { steps, losses, score: steps ?? late, conditions: [], residual: null };
  },
  conclude(plan, done) {
    const { mode, seeds } = plan;
    const best = tuned(mode, done)!;
    const times = (arm: Arm) => seeds.map((seed) => timeOf(done.get(keyOf(arm, best[arm], seed))!, CAPS[mode].run));
    const ratio = (net: Net, slower: Preparation, faster: Preparation) => {
      const { bound, pairs, ...range } = timeRatio(times(`${net}-${slower}`), times(`${net}-${faster}`));
      const name = `${NET_LABELS[net]}, steps to 0.35: ${slower} over ${faster}`;
      const verdict = ratioAbove({ bound, pairs, ...range }, 1);
      return { ...range, name: bound === "lower" ? `${name}, at least` : name, unit: "times", values: pairs, verdict };
    };
    const [own, first] = [ratio("softmax", "standardized", "whitened"), ratio("softmax", "raw", "standardized")];
    const shown = (net: Net, slower: Preparation, faster: Preparation): Metric => {
      const { verdict: _, ...metric } = ratio(net, slower, faster);
      return { ...metric, role: "exploratory" };
    };
    const { conditions, residual } = done.get(COVARIANCE)!;
    const white = exactly(residual! < 1e-2);
    const compared = [
      ["raw", "standardized"],
      ["standardized", "whitened"],
      ["raw", "whitened"],
    ] as const;
    const metrics: Metric[] = [
      { ...own, role: "primary", criterion: "interval above 1" },
      { ...first, role: "control", criterion: "interval above 1" },
      {
        ...interval([residual!]),
        name: "largest entry of W(Σ + ε)W − 1, float32",
        unit: "",
        role: "control",
        criterion: "below 0.01",
        verdict: white,
        values: [residual!],
      },
      shown("softmax", "raw", "whitened"),
      ...(mode === "full" ? compared.map(([slower, faster]) => shown("mlp", slower, faster)) : []),
    ];
    const median = (arm: Arm) => {
      const sorted = times(arm).sort((a, b) => a.steps - b.steps);
      const { steps, censored } = sorted[Math.floor(sorted.length / 2)]!;
      return censored ? `more than ${steps}` : `${steps}`;
    };
    const describe = (net: Net) =>
      PREPARATIONS.map((p) => `${median(`${net}-${p}`)} (${p}, at rate ${best[`${net}-${p}`]})`).join(", ");
    return {
      metrics,
      verdict: allOf(own.verdict, first.verdict, white),
      finding: `Median steps to a loss of 0.35: ${netsOf(mode)
        .map((net) => `${NET_LABELS[net]} ${describe(net)}`)
        .join(
          "; ",
        )}. Condition numbers of the covariance of the inputs, with ε = ${EPSILON} of its mean eigenvalue added: ${PREPARATIONS.map((p, i) => `${conditions[i]!.toFixed(0)} (${p})`).join(", ")}.`,
      figures: [stepsFigure(plan, times), lossFigure(plan, best, done)],
    };
  },
});

/** The rate of each arm; undefined while tuning runs are missing. A single rate needs none. */
function tuned(mode: Plan["mode"], done: Results<Result>): Record<Arm, number> | undefined {
  return bestRates(armsOf(mode), RATES[mode], (arm, rate) =>
    RATES[mode].length > 1 ? done.get(keyOf(arm, rate, TUNING_SEED))?.score : 0,
  );
}

const timeOf = ({ steps }: Result, cap: number): Time => ({ steps: steps ?? cap, censored: steps === null });

/** The mean loss on `indices`, whose pixels are prepared once. */
function looker(model: Sequential, prepare: Prepare, set: ImageSet, indices: Indices): () => number {
  const { inputs, targets } = new DataLoader(set, { batchSize: indices.length, flatten: true }).tensors(indices);
  const prepared = noGrad(() => prepare.call(inputs));
  return () => tidy(() => noGrad(() => crossEntropy(model.call(prepared), targets).item()));
}

function stepsFigure({ mode, seeds }: Plan, times: (arm: Arm) => Time[]): DotsFigure {
  const cap = CAPS[mode].run;
  return {
    kind: "dots",
    name: "e18-steps",
    title: "Steps to a training loss of 0.35",
    description:
      "Steps to the target for raw, standardized and whitened pixels, for softmax regression and for a multilayer perceptron.",
    caption: `Dots are ${seeds.length} seeds, bars 95 % intervals of the mean, batch 128, each at its own best learning rate. A run that did not arrive stands at ${cap} steps, where it was ended.`,
    x: { label: "steps" },
    rows: netsOf(mode).flatMap((net) =>
      PREPARATIONS.map((p) =>
        dotsRow(
          p,
          ROLES[p],
          times(`${net}-${p}`).map(({ steps }) => steps),
          NET_LABELS[net],
        ),
      ),
    ),
    rules: [],
  };
}

function lossFigure({ mode, seeds }: Plan, best: Record<Arm, number>, done: Results<Result>): LinesFigure {
  const seed = seeds[0]!;
  return {
    kind: "lines",
    name: "e18-loss",
    title: "Training loss on raw, standardized and whitened pixels",
    description:
      "Training loss against step in two panels, softmax regression and multilayer perceptron; each line ends where it reaches 0.35.",
    caption: `Loss on ${WATCHED} training images every ${EVERY} steps, seed ${seed}, batch 128, each at its own best learning rate; lines end at the target.`,
    x: { label: "step", log: true },
    y: { label: "training loss" },
    series: netsOf(mode).flatMap((net) =>
      PREPARATIONS.map((p) => ({
        label: p,
        role: ROLES[p],
        panel: NET_LABELS[net],
        points: done
          .get(keyOf(`${net}-${p}`, best[`${net}-${p}`], seed))!
          .losses.map((loss, i): [number, number | null] => [(i + 1) * EVERY, loss]),
      })),
    ),
    rules: [{ axis: "y", value: TARGET, label: "target" }],
  };
}
