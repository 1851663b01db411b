// E1: figure 1 of the paper: the inputs of a sigmoid over time, and the accuracy.
import type { ImageSet } from "../../data/dataset.js";
import { DataLoader } from "../../data/loader.js";
import { allIndices } from "../../data/split.js";
import { describe, type Summary } from "../../instruments/describe.js";
import { binarized } from "../binary.js";
import { describeUnits } from "../distribution.js";
import type { Figure, LinesFigure } from "../figure.js";
import { buildMlp } from "../networks.js";
import { lookAfter } from "../probe-units.js";
import { defineExperiment, type Job, LEARNING_RATES, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { above, allOf, everySeed, interval, mean, pairedDifference, pairedRatio } from "../statistics.js";
import { bandPoint, exploratory } from "../summary.js";
import { trainModel, Watcher } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const RATE = 0.1;
const BATCH = 60;
const STEPS = { full: 10_000, quick: 60, paper: 50_000 };
const TUNING_STEPS = { full: 1000, quick: 20 };
/** The accuracies are compared here. */
const COMPARED = { full: 1000, quick: 40 };
const EARLY = [0, 20, 50, 100, 200, 300, 500, 750, 1000, 1500];
/** The unit in the figure, fixed before any run: the paper shows a "typical" one. */
const UNIT = 0;
const UNITS = 100;

type Arm = "none" | "batch" | "softmax";
type Params = { arm: Arm; sigma: number; lr: number; seed: number; steps: number; tuning: boolean };
/** At each time: the percentiles of one unit, the medians and widths of all of them. */
type Result = {
  times: number[];
  accuracy: number[];
  unit: { p15: number; p50: number; p85: number }[];
  /** Of all units, in the seed that the figure shows. */
  medians: number[][];
  /** Mean over units of largest over smallest width, and of the way of the median over the mean width. */
  growth: number | null;
  path: number | null;
  /** Root mean square over units of how far the mean moved from start to end, in σ of the start: of the inputs of the last layer. */
  moved: number;
  validationLoss: number | null;
};

const keyOf = ({ arm, sigma, lr, seed, tuning }: Omit<Params, "steps">) =>
  `${tuning ? "tuning-" : ""}${arm}-sigma${sigma}-lr${lr}-${seed}`;

export const figureOne = defineExperiment<Params, Result>({
  id: "E1",
  title: "Figure 1, replayed",
  claim:
    "In a network of sigmoids the inputs of the last hidden layer drift and widen while it trains; batch normalization keeps them steady, and the network becomes accurate sooner.",
  source: "Ioffe & Szegedy 2015, section 4.1 and figure 1; the control is the article's sentence on linear models",
  refutedBy:
    "An accuracy after 1,000 steps that is less than 10 points higher with BatchNorm, with initial weights of standard deviation 0.1.",
  setting:
    "784-100-100-100-10 with sigmoids on images of black and white, batch 60, SGD at 0.1, 10,000 steps (--paper: 50,000); initial weights normal with σ = 0.1 and, reported, 0.01; with σ = 0.1 also each network's best rate of 0.01 to 3 by runs of 1,000 steps. The paper names neither σ, nor optimizer, nor rate. Control: softmax regression, whose inputs are the images. About 21 million samples.",
  shows: "How the inputs of sigmoids move with and without normalization, and that the baseline's fate hangs on σ.",
  doesNotShow:
    "That stillness is the cause of the accuracy: E6 shakes the distributions on purpose. The baseline at rate 0.1 is not tuned, by the nature of the figure; the tuned one is beside it.",
  formulas: [],
  exploratory:
    "at 1,000 steps 90.6 against 56.2 %; widths grew 1.55 against 26.4 times; with σ = 0.01 the plain network stayed at chance",
  backend: "wasm",
  hasPaperLength: true,
  changes: [
    "2026-11-24, before the reported seeds: percentiles were first taken in evaluation mode, where the running statistics of the first steps, not the network, made them move; they are now of training mode, as in the paper.",
  ],
  jobs(plan, done) {
    const { mode, seeds } = plan;
    const fixed = seeds.flatMap((seed) => [
      jobOf(plan, { arm: "none", sigma: 0.1, lr: RATE, seed, tuning: false }),
      jobOf(plan, { arm: "batch", sigma: 0.1, lr: RATE, seed, tuning: false }),
      jobOf(plan, { arm: "none", sigma: 0.01, lr: RATE, seed, tuning: false }),
      jobOf(plan, { arm: "batch", sigma: 0.01, lr: RATE, seed, tuning: false }),
      jobOf(plan, { arm: "softmax", sigma: 0.1, lr: RATE, seed, tuning: false }),
    ]);
    const arms = ["none", "batch"] as const;
    const tuning = arms.flatMap((arm) => ratesOf(mode).map((lr) => jobOf(plan, tuningParams(arm, lr))));
    const tuned = arms.flatMap((arm) => {
      const lr = tunedRate(arm, mode, done);
      return lr === undefined ? [] : seeds.map((seed) => jobOf(plan, { arm, sigma: 0.1, lr, seed, tuning: false }));
    });
    return [...new Map([...fixed, ...tuning, ...tuned].map((job) => [job.key, job])).values()];
  },
  run({ arm, sigma, lr, seed, steps, tuning }, sets) {
    const [train, test] = [binarized(sets.train), binarized(sets.test)];
    const model = buildMlp(seed, {
      norm: arm === "batch" ? "batch" : "none",
      activation: "sigmoid",
      start: sigma,
      ...(arm === "softmax" ? { widths: [784, 10] } : {}),
    });
    if (tuning) {
      trainModel(model, { set: train, seed, lr, steps, batch: BATCH });
      return { ...NOTHING, validationLoss: validationLoss(model, { train, test }) };
    }
    const times = timesOf(steps);
    const watcher = new Watcher(model, test);
    const probe = probeOf(test);
    const seen = [probe()];
    const accuracy = [100 * watcher.look().accuracy];
    trainModel(model, {
      set: train,
      seed,
      lr,
      steps,
      batch: BATCH,
      afterStep: (step) => {
        if (!times.includes(step)) return false;
        seen.push(probe());
        accuracy.push(100 * watcher.look().accuracy);
        return false;
      },
    });
    watcher.dispose();
    return { times, accuracy, ...overTime(seen), moved: movedBy(seen[0]!.inputs, seen.at(-1)!.inputs), validationLoss: null };

    /** Inputs of the last hidden sigmoid, and of the last layer, on test images in training mode: with their own statistics. */
    function probeOf(set: ImageSet) {
      const loader = new DataLoader(set, { batchSize: 1000, flatten: true });
      const { inputs } = loader.tensors(allIndices(Math.min(1000, set.count)));
      const layers = [...model].length;
      return () => {
        const units = arm === "softmax" ? null : lookAfter(model, layers - 2, inputs, describeUnits).units;
        return { units, inputs: lookAfter(model, layers - 1, inputs, (y) => describe(y, { units: "channel" }).units) };
      };
    }
  },
  conclude(plan, done) {
    const { mode, seeds } = plan;
    const best = { none: tunedRate("none", mode, done)!, batch: tunedRate("batch", mode, done)! };
    const of = (arm: Arm, sigma: number, lr = RATE) =>
      seeds.map((seed) => done.get(keyOf({ arm, sigma, lr, seed, tuning: false }))!);
    const [plain, norm] = [of("none", 0.1), of("batch", 0.1)];
    const at = (results: readonly Result[]) => results.map(({ times, accuracy }) => accuracy[times.indexOf(COMPARED[mode])]!);
    const compare = (a: readonly Result[], b: readonly Result[], name: string) => ({
      ...pairedDifference(at(a), at(b)),
      name: `accuracy at step ${COMPARED[mode]}, BatchNorm minus none, ${name}`,
      unit: "points",
      values: at(a).map((x, i) => x - at(b)[i]!),
    });
    const primary = compare(norm, plain, "σ = 0.1");
    const linear = of("softmax", 0.1).map(({ moved }) => moved);
    const [sooner, still] = [above(primary, 10), everySeed(linear.map((moved) => moved === 0))];
    const growth = (results: readonly Result[]) => results.map((result) => result.growth ?? Number.NaN);
    const end = (results: readonly Result[]) => results.map(({ accuracy }) => accuracy.at(-1)!);
    const stepsTaken = plain[0]!.times.at(-1)!;
    return {
      metrics: [
        { ...primary, role: "primary", criterion: "interval above 10", verdict: sooner },
        {
          ...interval(linear),
          name: "softmax regression: way of the means of its inputs",
          unit: "σ",
          role: "control",
          criterion: "exactly 0",
          verdict: still,
          values: linear,
        },
        exploratory(
          "plain network: way of the means of the last layer's inputs",
          "σ",
          plain.map(({ moved }) => moved),
        ),
        exploratory(
          "BatchNorm network: way of the means of the last layer's inputs",
          "σ",
          norm.map(({ moved }) => moved),
        ),
        {
          ...pairedRatio(growth(plain), growth(norm)),
          name: "growth of widths, none over BatchNorm",
          unit: "times",
          role: "exploratory",
        },
        exploratory(
          "way of the median over mean width, none",
          "",
          plain.map(({ path }) => path ?? Number.NaN),
        ),
        exploratory(
          "way of the median over mean width, BatchNorm",
          "",
          norm.map(({ path }) => path ?? Number.NaN),
        ),
        { ...compare(of("batch", 0.01), of("none", 0.01), "σ = 0.01"), role: "exploratory" },
        {
          ...compare(of("batch", 0.1, best.batch), of("none", 0.1, best.none), `tuned (${best.batch} and ${best.none})`),
          role: "exploratory",
        },
        exploratory(`accuracy at step ${stepsTaken}, none`, "%", end(plain)),
        exploratory(`accuracy at step ${stepsTaken}, BatchNorm`, "%", end(norm)),
      ],
      verdict: allOf(sooner, still),
      finding: `After ${COMPARED[mode]} steps ${mean(at(norm)).toFixed(1)} % are right with BatchNorm and ${mean(at(plain)).toFixed(1)} % without (σ = 0.01: ${mean(at(of("batch", 0.01))).toFixed(1)} and ${mean(at(of("none", 0.01))).toFixed(1)} %); with each network's best rate ${mean(at(of("batch", 0.1, best.batch))).toFixed(1)} and ${mean(at(of("none", 0.1, best.none))).toFixed(1)} %.`,
      figures: [
        ribbons(plain[0]!, norm[0]!, seeds[0]!),
        fan(plain[0]!, norm[0]!, seeds[0]!),
        accuracies(
          [
            ["none, σ = 0.1", "plain", false, plain],
            ["BatchNorm, σ = 0.1", "batch-norm", false, norm],
            ["none, σ = 0.01", "plain", true, of("none", 0.01)],
            ["BatchNorm, σ = 0.01", "batch-norm", true, of("batch", 0.01)],
          ],
          seeds.length,
        ),
      ],
    };
  },
});

const NOTHING = { times: [], accuracy: [], unit: [], medians: [], growth: null, path: null, moved: 0 };
const ratesOf = (mode: Plan["mode"]) => (mode === "full" ? LEARNING_RATES : [0.1, 1]);
const tuningParams = (arm: Arm, lr: number) => ({ arm, sigma: 0.1, lr, seed: TUNING_SEED, tuning: true });
const tunedRate = (arm: Arm, mode: Plan["mode"], done: Results<Result>) =>
  bestRate(ratesOf(mode), (lr) => done.get(keyOf(tuningParams(arm, lr)))?.validationLoss);

function jobOf({ mode, paper = false }: Plan, params: Omit<Params, "steps">): Job<Params> {
  const steps = params.tuning ? TUNING_STEPS[mode] : paper ? STEPS.paper : STEPS[mode];
  return { key: keyOf(params), params: { ...params, steps } };
}

/** Early times, then evenly to the end. */
function timesOf(steps: number): number[] {
  const count = steps < 1000 ? 3 : 20;
  const even = Array.from({ length: count }, (_, i) => Math.round(((i + 1) * steps) / count));
  return [...new Set([...EARLY, 40, ...even])].filter((t) => t <= steps).sort((a, b) => a - b);
}

/** Units that do not vary at the start, such as pixels at the rim, are left out. */
function movedBy(before: readonly Summary[], after: readonly Summary[]): number {
  const shifts = before.map(({ mean: centre, std }, u) => (after[u]!.mean - centre) / std).filter(Number.isFinite);
  return Math.sqrt(mean(shifts.map((shift) => shift ** 2)));
}

type Seen = { units: ReturnType<typeof describeUnits>["units"] | null };

function overTime(seen: readonly Seen[]): Pick<Result, "unit" | "medians" | "growth" | "path"> {
  if (seen[0]!.units === null) return { unit: [], medians: [], growth: null, path: null };
  const list = (what: "p15" | "p50" | "p85", u: number) => seen.map(({ units }) => units![what][u] ?? Number.NaN);
  const each = Array.from({ length: UNITS }, (_, u) => {
    const [low, middle, high] = [list("p15", u), list("p50", u), list("p85", u)];
    const widths = high.map((x, t) => x - low[t]!);
    const way = middle.slice(1).reduce((sum, x, t) => sum + Math.abs(x - middle[t]!), 0);
    return { growth: Math.max(...widths) / Math.min(...widths), path: way / mean(widths) };
  });
  const rounded = (x: number | null | undefined) => Number((x ?? Number.NaN).toPrecision(4));
  return {
    unit: seen.map(({ units }) => ({
      p15: rounded(units!.p15[UNIT]),
      p50: rounded(units!.p50[UNIT]),
      p85: rounded(units!.p85[UNIT]),
    })),
    medians: seen.map(({ units }) => units!.p50.map(rounded)),
    growth: mean(each.map(({ growth }) => growth)),
    path: mean(each.map(({ path }) => path)),
  };
}

const LABELS = { none: "none", batch: "BatchNorm" };

function ribbons(plain: Result, norm: Result, seed: number): LinesFigure {
  const line = (arm: "none" | "batch", { times, unit }: Result) => ({
    label: LABELS[arm],
    role: arm === "none" ? ("plain" as const) : ("batch-norm" as const),
    panel: LABELS[arm],
    points: unit.map(({ p15, p50, p85 }, t): [number, number, number, number] => [times[t]!, p50, p15, p85]),
  });
  return {
    kind: "lines",
    name: "e1-ribbons",
    title: "The input of one sigmoid over time",
    description:
      "Median and 15th to 85th percentile of the input of one unit of the last hidden layer against step, for both networks.",
    caption: `Unit ${UNIT} of the last hidden layer, chosen before any run; 1,000 test images with their own statistics, as in training; σ = 0.1, learning rate ${RATE}, seed ${seed}.`,
    x: { label: "step" },
    y: { label: "input of the sigmoid" },
    series: [line("none", plain), line("batch", norm)],
    rules: [],
  };
}

function fan(plain: Result, norm: Result, seed: number): Figure {
  const lines = (arm: "none" | "batch", { times, medians }: Result) =>
    Array.from({ length: UNITS }, (_, u) => ({
      label: LABELS[arm],
      role: arm === "none" ? ("plain" as const) : ("batch-norm" as const),
      panel: LABELS[arm],
      points: medians.map((row, t): [number, number] => [times[t]!, row[u]!]),
    }));
  return {
    kind: "lines",
    name: "e1-fan",
    title: "The medians of all units",
    description:
      "The median input of each of the 100 units of the last hidden layer against step, one line for each, for both networks.",
    caption: `All ${UNITS} units of the last hidden layer; otherwise as before. Seed ${seed}.`,
    x: { label: "step" },
    y: { label: "median of the input" },
    series: [...lines("none", plain), ...lines("batch", norm)],
    rules: [],
  };
}

type AccuracyLine = readonly [string, "plain" | "batch-norm", boolean, readonly Result[]];

function accuracies(arms: readonly AccuracyLine[], seeds: number): LinesFigure {
  return {
    kind: "lines",
    name: "e1-accuracy",
    title: "Test accuracy, for two sizes of initial weights",
    description:
      "Test accuracy against step on a logarithmic axis, with and without batch normalization, for initial weights of two sizes.",
    caption: `The first 2,000 test images, evaluation mode, learning rate ${RATE} for all, not tuned; mean of ${seeds} seeds, band from the least to the largest.`,
    x: { label: "step", log: true },
    y: { label: "test accuracy, %" },
    series: arms.map(([label, role, dashed, results]) => ({
      label,
      role,
      ...(dashed ? { dashed } : {}),
      points: results[0]!.times.flatMap((time, t) =>
        time === 0
          ? []
          : [
              bandPoint(
                time,
                results.map(({ accuracy }) => accuracy[t] ?? null),
              ),
            ],
      ),
    })),
    rules: [{ axis: "y", value: 10, label: "chance" }],
  };
}
