// E2: batch normalization widens the range of learning rates that train.
import type { LinesFigure, Role } from "../figure.js";
import { buildMlp, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment, type Metric, type Results, TUNING_SEED } from "../protocol.js";
import { everySeed, interval, mean, pairedDifference, type Time, timeRatio } from "../statistics.js";
import { accuracyOn, finalLoss, trainModel, Watcher } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const ARMS = ["none", "layer", "batch"] as const satisfies readonly Norm[];
type Arm = (typeof ARMS)[number];
const RATES = { full: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30], quick: [0.01, 0.1, 1] };
const STEPS = { full: 300, quick: 40 };
/** A run trains if the mean of its last losses is below this. */
const TRAINS = 0.5;
const LAST = 20;
/** The accuracy of the time to a target, and how often it is looked at. */
const TARGET = 0.9;
const EVERY = 20;
const ROLES: Readonly<Record<Arm, Role>> = { none: "plain", layer: "layer-norm", batch: "batch-norm" };

type Params = { arm: Arm; lr: number; seed: number; steps: number };
type Result = { loss: number | null; validationLoss: number | null; testAccuracy: number; stepsToTarget: number | null };

const keyOf = (arm: Arm, lr: number, seed: number) => `${arm}-${lr}-${seed}`;

export const learningRate = defineExperiment<Params, Result>({
  id: "E2",
  title: "How fast dare you go?",
  claim:
    "Batch normalization lets a network train with learning rates that would ruin it otherwise: the range that works is at least ten times as wide.",
  source: "Ioffe & Szegedy 2015, section 3.3; Bjorck et al. 2018, Understanding Batch Normalization (arXiv 1806.02375)",
  refutedBy:
    "A seed in which the range of learning rates that reach a training loss below 0.5 in 300 steps is less than ten times as wide (largest over smallest) with BatchNorm as without.",
  setting:
    "784-100-100-100-10 with ReLU, He's initialization, batch 128, plain SGD, 300 steps; learning rates from 0.001 to 30, two a decade. About 6.9 million samples, those of the tuning seed included.",
  shows: "How wide the window of usable learning rates is for this network and budget, in decades.",
  doesNotShow:
    "That the large rates are useful: the best rates of the arms are compared in the times to 90 %, which are exploratory.",
  formulas: ["\\log_{10}\\frac{\\max\\{\\eta : L < 0.5\\}}{\\min\\{\\eta : L < 0.5\\}}"],
  exploratory:
    "window of 3 without, 300 with BatchNorm (PyTorch's initialization); 2.4 times as fast to 90 % at each arm's best rate",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    [TUNING_SEED, ...seeds].flatMap((seed) =>
      ARMS.flatMap((arm) =>
        RATES[mode].map((lr) => ({ key: keyOf(arm, lr, seed), params: { arm, lr, seed, steps: STEPS[mode] } })),
      ),
    ),
  run({ arm, lr, seed, steps }, { train, test }) {
    const model = buildMlp(seed, { norm: arm });
    const watcher = new Watcher(model, test);
    let stepsToTarget: number | null = null;
    const training = trainModel(model, {
      set: train,
      seed,
      lr,
      steps,
      afterStep: (step) => {
        if (stepsToTarget === null && step % EVERY === 0 && watcher.look().accuracy >= TARGET) stepsToTarget = step;
        return false;
      },
    });
    watcher.dispose();
    const loss = finalLoss(training, LAST);
    if (!Number.isFinite(loss)) return { loss: null, validationLoss: null, testAccuracy: accuracyOn(model, test), stepsToTarget };
    return { loss, validationLoss: validationLoss(model, { train, test }), testAccuracy: accuracyOn(model, test), stepsToTarget };
  },
  conclude({ mode, seeds }, done) {
    const rates = RATES[mode];
    const widths = (arm: Arm) => seeds.map((seed) => windowWidth(rates.filter((lr) => trains(done.get(keyOf(arm, lr, seed))!))));
    const [plain, layer, batch] = [widths("none"), widths("layer"), widths("batch")];
    const gains = batch.map((width, i) => width - plain[i]!);
    const met = everySeed(gains.map((gain) => gain >= 1 - 1e-9));
    const best = Object.fromEntries(
      ARMS.map((arm) => [arm, bestRate(rates, (lr) => done.get(keyOf(arm, lr, TUNING_SEED))!.validationLoss)!]),
    ) as Record<Arm, number>;
    const times = (arm: Arm): Time[] => seeds.map((seed) => timeOf(done.get(keyOf(arm, best[arm], seed))!, STEPS[mode]));
    const metrics: Metric[] = [
      {
        ...pairedDifference(batch, plain),
        name: "window with BatchNorm wider than without by",
        unit: "decades",
        role: "primary",
        criterion: "at least 1 in every seed",
        verdict: met,
        values: gains,
      },
      {
        ...interval(plain),
        name: "width of the window without normalization",
        unit: "decades",
        role: "exploratory",
        values: plain,
      },
      { ...interval(layer), name: "width of the window with LayerNorm", unit: "decades", role: "exploratory", values: layer },
      { ...interval(batch), name: "width of the window with BatchNorm", unit: "decades", role: "exploratory", values: batch },
      ...sameSmallRate(seeds, rates, STEPS[mode], done),
      speed("none", times("none"), times("batch"), best),
      speed("layer", times("layer"), times("batch"), best),
    ];
    return {
      metrics,
      verdict: met,
      finding: `Rates that train span ${decades(plain)} without normalization, ${decades(layer)} with LayerNorm and ${decades(batch)} with BatchNorm. The best rates on validation images were ${ARMS.map((arm) => `${best[arm]} (${NORM_LABELS[arm]})`).join(", ")}.`,
      figures: [bathtub(seeds, rates, STEPS[mode], done)],
    };
  },
});

const trains = ({ loss }: Result) => loss !== null && loss < TRAINS;
const windowWidth = (usable: readonly number[]) =>
  usable.length === 0 ? 0 : Math.log10(Math.max(...usable) / Math.min(...usable));
const decades = (widths: readonly number[]) => `${mean(widths).toFixed(1)} decades`;
const timeOf = ({ stepsToTarget }: Result, cap: number): Time =>
  stepsToTarget === null ? { steps: cap, censored: true } : { steps: stepsToTarget, censored: false };

/** At the plain network's smallest usable rate both take as long, says Bjorck et al., section 3.1; of seeds that have one. */
function sameSmallRate(seeds: readonly number[], rates: readonly number[], cap: number, done: Results<Result>): Metric[] {
  const usable = rates.filter((lr) => seeds.every((seed) => trains(done.get(keyOf("none", lr, seed))!)));
  if (usable.length === 0) return [];
  const lr = Math.min(...usable);
  const times = (arm: Arm) => seeds.map((seed) => timeOf(done.get(keyOf(arm, lr, seed))!, cap));
  const { bound, pairs, ...ratio } = timeRatio(times("none"), times("batch"));
  const name = `steps to 90 % at the plain network's smallest usable rate ${lr}, none over BatchNorm (1 is claimed)`;
  return [{ ...ratio, name: bound === "lower" ? `${name}, at least` : name, unit: "times", role: "exploratory", values: pairs }];
}

function speed(arm: Arm, slower: readonly Time[], faster: readonly Time[], best: Record<Arm, number>): Metric {
  const { bound, pairs, ...ratio } = timeRatio(slower, faster);
  const name = `steps to 90 %: ${NORM_LABELS[arm]} at ${best[arm]} over BatchNorm at ${best.batch}`;
  return { ...ratio, name: bound === "lower" ? `${name}, at least` : name, unit: "times", role: "exploratory", values: pairs };
}

function bathtub(seeds: readonly number[], rates: readonly number[], steps: number, done: Results<Result>): LinesFigure {
  const points = (arm: Arm) =>
    rates.map((lr): [number, number | null, number | null, number | null] => {
      const losses = seeds.map((seed) => done.get(keyOf(arm, lr, seed))!.loss);
      const finite = losses.filter((loss) => loss !== null);
      // A point stands only where all seeds have a loss: a mean of those that survived would flatter.
      if (finite.length < seeds.length) return [lr, null, null, null];
      return [lr, mean(finite), Math.min(...finite), Math.max(...finite)];
    });
  return {
    kind: "lines",
    name: "e2-window",
    title: "Loss after the same steps, by learning rate",
    description: `Training loss after ${steps} steps against the learning rate on a logarithmic axis, one line for each normalization: each falls, stays low over a range, and rises or ends where runs diverge.`,
    caption: `Mean of the last ${LAST} training losses of ${steps} steps, batch 128, ${seeds.length} seeds; the band goes from the least to the largest seed, and a line ends where a seed diverged.`,
    x: { label: "learning rate", log: true },
    y: { label: "training loss" },
    series: ARMS.map((arm) => ({ label: NORM_LABELS[arm], role: ROLES[arm], points: points(arm) })),
    rules: [{ axis: "y", value: TRAINS, label: "counts as trained" }],
  };
}
