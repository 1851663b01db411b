// E19: what whitening a layer in full costs and brings, beside normalizing each unit alone.
import { BatchNorm1d } from "../../nn/batch-norm.js";
import { IterNorm } from "../../nn/iter-norm.js";
import { Linear } from "../../nn/linear.js";
import type { Module } from "../../nn/module.js";
import { Sequential } from "../../nn/sequential.js";
import { normal } from "../../tensor/create.js";
import { manualSeed } from "../../tensor/random.js";
import { tidy } from "../../tensor/scope.js";
import type { LinesFigure, Role } from "../figure.js";
import { buildMlp } from "../networks.js";
import { defineExperiment, type Job, LEARNING_RATES, type Metric, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { interval, mean, slope, type Time, timeRatio } from "../statistics.js";
import { accuracyOn, finalLoss, trainModel } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const ARMS = ["none", "batch", "whiten", "groups"] as const;
type Arm = (typeof ARMS)[number];
const LABELS: Readonly<Record<Arm, string>> = {
  none: "none",
  batch: "BatchNorm",
  whiten: "whitening",
  groups: "whitening in groups of 10",
};
const ROLES: Readonly<Record<Arm, Role>> = { none: "plain", batch: "batch-norm", whiten: "other", groups: "layer-norm" };
const BATCH = 128;
const STEPS = { full: 300, quick: 20 };
const RATES = { full: LEARNING_RATES, quick: [0.1] };
/** A run has arrived when the mean of its last losses is below this. */
const TARGET = 0.35;
const LAST = 10;

const TIMED = ["batch", "whiten"] as const;
type Timed = (typeof TIMED)[number];
const GROUP = 10;
const SIZES = { full: [64, 128, 256, 512], quick: [16, 32] };
/** Examples in a timed batch: more than units, so that the covariance has full rank. */
const EXAMPLES = { full: 1024, quick: 64 };
const ITERATIONS = 5;

/** A training run, or the timing of both layers at all sizes. */
type Params =
  | { kind: "train"; arm: Arm; lr: number; steps: number; seed: number }
  | { kind: "time"; sizes: readonly number[]; examples: number; repetitions: number; seed: number };
type Trained = {
  losses: (number | null)[];
  arrivedAt: number | null;
  validationLoss: number | null;
  loss: number | null;
  testAccuracy: number;
};
/** Milliseconds of a forward and a backward pass by size. */
type Clocked = { [K in Timed]: number[] };
type Result = Trained | Clocked;

const keyOf = (arm: Arm, seed: number) => `${arm}-${seed}`;
const tuningKey = (arm: Arm, lr: number) => `tune-${arm}-${lr}`;
const clockKey = (seed: number) => `time-${seed}`;
const finite = (x: number) => (Number.isFinite(x) ? x : null);

function layerOf(arm: Exclude<Arm, "none">, units: number): Module {
  if (arm === "batch") return new BatchNorm1d(units);
  return new IterNorm(units, { groupSize: arm === "groups" ? GROUP : units, iterations: ITERATIONS });
}

export const whitening = defineExperiment<Params, Result>({
  id: "E19",
  title: "The price of whitening",
  claim:
    "Whitening the inputs of a layer in full is costly, so batch normalization normalizes each unit alone. How much more it costs, and what it would bring in steps; no winner is predicted.",
  source:
    "The article; Ioffe & Szegedy 2015, section 3. Whitening: Huang et al. 2019, Iterative Normalization (arXiv 1904.03441), which is differentiable",
  refutedBy:
    "Nothing: this experiment reports how the time of either layer grows with its width, and how many steps a network takes with each.",
  setting:
    "Training: 784-100-100-100-10 with ReLU, He's initialization, batch 128, 300 steps, learning rate of each arm the best of the protocol's grid at the tuning seed; whitening by 5 of Newton's iterations over all 100 units, and over groups of 10. Time: the layer alone, forward and backward, 64 to 512 units, 1,024 examples of independent normal values, one thread; the least of 8 to 60 repetitions in each of as many rounds as there are seeds. About 1.7 million samples, those of tuning included.",
  shows:
    "The exponent of the cost of both layers over these widths on this machine, beside that of the arithmetic, and the steps to a training loss of 0.35.",
  doesNotShow:
    "Times of other machines: times are not reproducible as everything else here is, and they were taken with this suite's other jobs idle, but not necessarily those of others. Whitening at larger batches: 128 examples are few for the covariance of 100 units, and that noise is in the training loss (groups, the paper's remedy, have less of it). Whitening by an eigenvalue decomposition. The intervals of times speak of repetitions on one machine.",
  formulas: ["y = \\gamma\\,\\Sigma^{-1/2}(x-\\mu)+\\beta", "2md^2 + (3T-1)d^3 \\text{ against } md"],
  exploratory: "none",
  backend: "wasm",
  changes: [],
  jobs({ mode, seeds }, done): Job<Params>[] {
    const train = (arm: Arm, lr: number, seed: number): Params => ({ kind: "train", arm, lr, steps: STEPS[mode], seed });
    const tuning = ARMS.flatMap((arm) =>
      RATES[mode].map((lr) => ({ key: tuningKey(arm, lr), params: train(arm, lr, TUNING_SEED) })),
    );
    const runs = ARMS.flatMap((arm) => {
      const lr = chosenRate(mode, arm, done);
      return lr === undefined ? [] : seeds.map((seed) => ({ key: keyOf(arm, seed), params: train(arm, lr, seed) }));
    });
    if (runs.length === 0 || runs.some(({ key }) => !done.has(key))) return [...tuning, ...runs];
    // One clock at a time, and when nothing else of the experiment runs.
    const open = seeds.findIndex((seed) => !done.has(clockKey(seed)));
    const clocks = (open < 0 ? seeds : seeds.slice(0, open + 1)).map((seed) => ({
      key: clockKey(seed),
      params: {
        kind: "time" as const,
        sizes: SIZES[mode],
        examples: EXAMPLES[mode],
        repetitions: mode === "full" ? 60 : 3,
        seed,
      },
    }));
    return [...tuning, ...runs, ...clocks];
  },
  run(params, context) {
    if (params.kind === "time") return clock(params);
    const { arm, lr, steps, seed } = params;
    const model = build(seed, arm);
    let arrivedAt: number | null = null;
    const recent: number[] = [];
    const training = trainModel(model, {
      set: context.train,
      seed,
      lr,
      steps,
      batch: BATCH,
      afterStep: (step, loss) => {
        recent.push(loss);
        if (arrivedAt === null && step >= LAST && mean(recent.slice(-LAST)) < TARGET) arrivedAt = step;
        return false;
      },
    });
    const loss = finite(finalLoss(training, LAST));
    return {
      losses: seed === TUNING_SEED ? [] : training.losses,
      arrivedAt,
      validationLoss: loss === null ? null : validationLoss(model, context),
      loss,
      testAccuracy: seed === TUNING_SEED ? 0 : accuracyOn(model, context.test),
    };
  },
  conclude({ mode, seeds }, done) {
    const trained = (arm: Arm) => seeds.map((seed) => done.get(keyOf(arm, seed)) as Trained);
    const clocks = seeds.map((seed) => done.get(clockKey(seed)) as Clocked);
    const sizes = SIZES[mode];
    const exponents = (arm: Timed) => clocks.map((times) => exponent(sizes, times[arm]));
    const times = (arm: Arm): Time[] =>
      trained(arm).map(({ arrivedAt }) => ({ steps: arrivedAt ?? STEPS[mode], censored: arrivedAt === null }));
    const ratio = (slower: Arm, faster: Arm): Metric => {
      const { bound, pairs, ...rest } = timeRatio(times(slower), times(faster));
      const name = `steps to a loss of ${TARGET}: ${LABELS[slower]} over ${LABELS[faster]}${bound === "lower" ? ", at least" : ""}`;
      return { ...rest, name, unit: "times", role: "exploratory", values: pairs };
    };
    const costs = sizes.map((_, i) => clocks.map((clock) => clock.whiten[i]! / clock.batch[i]!));
    const metrics = [
      ...TIMED.map((arm) => {
        const counted = exponent(
          sizes,
          sizes.map((d) => operations(arm, d, EXAMPLES[mode])),
        ).toFixed(2);
        return exploratory(`exponent of time by width, ${LABELS[arm]} (of the arithmetic: ${counted})`, "", exponents(arm));
      }),
      ...sizes.map((d, i) => exploratory(`time of whitening over BatchNorm, ${d} units`, "times", costs[i]!)),
      ratio("none", "batch"),
      ratio("whiten", "batch"),
      ratio("groups", "batch"),
      ...ARMS.flatMap((arm) => {
        const label = `${LABELS[arm]}, learning rate ${chosenRate(mode, arm, done)}`;
        const accuracies = trained(arm).map(({ testAccuracy }) => 100 * testAccuracy);
        const losses = trained(arm).map(({ loss }) => loss ?? Number.NaN);
        return [
          exploratory(`training loss after ${STEPS[mode]} steps, ${label}`, "nats", losses),
          exploratory(`test accuracy after ${STEPS[mode]} steps, ${label}`, "%", accuracies),
        ];
      }),
    ];
    return {
      metrics,
      verdict: null,
      finding: `Time grows with the width to the power of ${mean(exponents("whiten")).toFixed(2)} for whitening and ${mean(exponents("batch")).toFixed(2)} for BatchNorm; at ${sizes.at(-1)} units whitening takes ${mean(costs.at(-1)!).toFixed(0)} times as long. A loss of ${TARGET} took ${ARMS.map((arm) => `${stepsIn(times(arm))} steps (${LABELS[arm]})`).join(", ")}.`,
      figures: [timeFigure(mode, clocks), lossFigure(mode, seeds.length, trained)],
    };
  },
});

const exploratory = (name: string, unit: string, values: readonly number[]): Metric => ({
  ...interval(values),
  name,
  unit,
  role: "exploratory",
  values,
});

function stepsIn(times: readonly Time[]): string {
  const average = mean(times.map(({ steps }) => steps)).toFixed(0);
  return times.some(({ censored }) => censored) ? `at least ${average}` : average;
}

const exponent = (sizes: readonly number[], costs: readonly number[]) => slope(sizes.map(Math.log), costs.map(Math.log));

/**
 * Multiplications and additions of a forward pass over m examples of d units, up to a factor: the backward pass takes about twice
 * as many. Whitening: covariance and product, and Newton's iterations with three products of d × d each, the last with two.
 */
function operations(arm: Timed, d: number, m: number): number {
  return arm === "batch" ? m * d : 2 * m * d ** 2 + (3 * ITERATIONS - 1) * d ** 3;
}

function chosenRate(mode: Plan["mode"], arm: Arm, done: Results<Result>): number | undefined {
  return bestRate(RATES[mode], (lr) => (done.get(tuningKey(arm, lr)) as Trained | undefined)?.validationLoss);
}

/** The network without normalization, and what normalizes before each activation put in: dense layers begin alike. */
function build(seed: number, arm: Arm): Sequential {
  const plain = [...buildMlp(seed, { norm: "none" })];
  const layers = plain.flatMap((layer, i) =>
    arm !== "none" && layer instanceof Linear && i + 1 < plain.length ? [layer, layerOf(arm, layer.outFeatures)] : [layer],
  );
  return new Sequential(...layers);
}

/** The least milliseconds of a forward and a backward pass, layers in turn. Not the same twice: it is the machine's time. */
function clock({ sizes, examples, repetitions, seed }: Extract<Params, { kind: "time" }>): Clocked {
  manualSeed(seed);
  const least: Clocked = { batch: [], whiten: [] };
  for (const units of sizes) {
    const layers = TIMED.map((arm) => layerOf(arm, units));
    const best = TIMED.map(() => Number.POSITIVE_INFINITY);
    // Wide layers take long enough to need fewer.
    const rounds = Math.max(3, Math.round((repetitions * sizes[0]!) / units));
    tidy(() => {
      const x = normal([examples, units]);
      const dy = normal([examples, units]);
      x.requiresGrad = true;
      for (let round = 0; round <= rounds; round++) {
        layers.forEach((layer, i) => {
          const ms = passes(
            () => tidy(() => layer.call(x).backward(dy)),
            () => layer.parameters()[1]!.grad!.data(),
          );
          // The first round finds memory and compiles.
          if (round > 0) best[i] = Math.min(best[i]!, ms);
          layer.zeroGrad();
          x.grad = null;
        });
      }
    });
    for (const [i, arm] of TIMED.entries()) least[arm].push(best[i]!);
  }
  return least;
}

/** Milliseconds of `work`, which is done when something of it has been read. */
function passes(work: () => void, read: () => void): number {
  const start = performance.now();
  work();
  read();
  return performance.now() - start;
}

function timeFigure(mode: Plan["mode"], clocks: readonly Clocked[]): LinesFigure {
  const [sizes, examples] = [SIZES[mode], EXAMPLES[mode]];
  const at = (arm: Timed, i: number) => clocks.map((times) => times[arm][i]!);
  const measured = (arm: Timed) =>
    sizes.map((d, i): [number, number, number, number] => [
      d,
      Math.exp(mean(at(arm, i).map(Math.log))),
      Math.min(...at(arm, i)),
      Math.max(...at(arm, i)),
    ]);
  const law = (arm: Timed) => {
    const scale = Math.exp(mean(at(arm, 0).map(Math.log))) / operations(arm, sizes[0]!, examples);
    return sizes.map((d): [number, number] => [d, scale * operations(arm, d, examples)]);
  };
  return {
    kind: "lines",
    name: "e19-time",
    title: "Time of the layer, by its width",
    description:
      "Milliseconds of a forward and a backward pass against the number of units, both axes logarithmic, for BatchNorm and for whitening; dashed, what the count of operations says from the first point on.",
    caption: `${examples} examples, one thread; geometric mean of ${clocks.length} rounds, each the least of its repetitions; the band goes from the least to the largest round. Dashed: operations, through the first point.`,
    x: { label: "units", log: true },
    y: { label: "milliseconds", log: true },
    series: TIMED.flatMap((arm) => [
      { label: LABELS[arm], role: ROLES[arm], points: measured(arm) },
      { label: `operations, ${LABELS[arm]}`, role: "theory" as const, dashed: true, points: law(arm) },
    ]),
    rules: [],
  };
}

function lossFigure(mode: Plan["mode"], n: number, trained: (arm: Arm) => Trained[]): LinesFigure {
  const points = (arm: Arm) => {
    const runs = trained(arm).map(({ losses }) => losses);
    return Array.from({ length: Math.floor(STEPS[mode] / LAST) }, (_, i): [number, number | null] => {
      const values = runs.flatMap((losses) => losses.slice(i * LAST, (i + 1) * LAST).map((loss) => loss ?? Number.NaN));
      return [(i + 1) * LAST, values.length === n * LAST ? finite(mean(values)) : null];
    });
  };
  return {
    kind: "lines",
    name: "e19-loss",
    title: "What whitening brings",
    description:
      "Training loss against step for the network without normalization, with BatchNorm and with whitening, of all units and in groups.",
    caption: `Mean over ${LAST} steps and ${n} seeds, batch ${BATCH}, each arm at its own learning rate.`,
    x: { label: "step" },
    y: { label: "training loss", log: true },
    series: ARMS.map((arm) => ({ label: LABELS[arm], role: ROLES[arm], points: points(arm) })),
    rules: [{ axis: "y", value: TARGET, label: "target" }],
  };
}
