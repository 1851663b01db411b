// E21: normalized inputs keep a sigmoid on its straight part, and γ and β let it leave that.
import { noGrad } from "../../autograd/mode.js";
import { DataLoader } from "../../data/loader.js";
import { allIndices } from "../../data/split.js";
import { withBackend } from "../../engine/current.js";
import { ReferenceBackend } from "../../engine/reference/backend.js";
import { BatchNorm1d } from "../../nn/batch-norm.js";
import type { Sequential } from "../../nn/sequential.js";
import { Sigmoid } from "../../nn/sigmoid.js";
import { tensor } from "../../tensor/create.js";
import { tidy } from "../../tensor/scope.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { DotsFigure, LinesFigure } from "../figure.js";
import { buildMlp, DEFAULT_WIDTHS } from "../networks.js";
import {
  defineExperiment,
  type JobContext,
  LEARNING_RATES,
  type Metric,
  type Results,
  TUNING_SEED,
  WATCHED_IMAGES,
} from "../protocol.js";
import { above, allOf, below, everySeed, interval, mean, pairedDifference } from "../statistics.js";
import { accuracyOn, trainModel } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const WIDTHS = { wide: DEFAULT_WIDTHS, narrow: [784, 100, 4, 100, 10] };
const NETS = ["wide", "narrow"] as const;
type Net = (typeof NETS)[number];
const STEPS = { full: 700, quick: 60 };
/** Steps of a run that chooses the learning rate. */
const TUNING_STEPS = { full: 350, quick: 30 };
const RATES = { full: LEARNING_RATES, quick: [1] };

type Params = { net: Net; affine: boolean; lr: number; steps: number; seed: number };
/** R² of each unit's best straight line, from the least to the largest; runs of the tuning seed have their loss alone. */
type Result = {
  validationLoss: number | null;
  straightAtStart: number;
  straight: number[];
  testAccuracy: number;
  /** Largest |y − x| over the largest |x|, in float64. */
  identityError: number;
};

const nameOf = (net: Net, affine: boolean) => `${net}-${affine ? "affine" : "bare"}`;
const keyOf = (net: Net, affine: boolean, seed: number) => `${nameOf(net, affine)}-${seed}`;
const tuningKey = (net: Net, affine: boolean, lr: number) => `tune-${nameOf(net, affine)}-${lr}`;
const labelOf = (affine: boolean) => (affine ? "with γ and β" : "without γ and β");

export const scaleAndShift = defineExperiment<Params, Result>({
  id: "E21",
  title: "Why γ and β",
  claim:
    "A sigmoid whose input is normalized stays near its straight part, so that the layer is almost linear; the scale γ and the shift β let it leave that, and could even undo the normalization.",
  source: "The article; Ioffe & Szegedy 2015, section 3",
  refutedBy:
    "An R² of the best straight line through the units' inputs and outputs, without γ and β, that is not above 0.90 (interval), or that does not fall when γ and β are trained (paired interval); or γ = √(σ² + ε) and β = μ that do not give the input back to 1e-12 in float64.",
  setting:
    "784-100-100-100-10 with BatchNorm and sigmoid, and 784-100-4-100-10 as a bottleneck; Xavier's initialization, batch 128, 700 steps at the learning rate (0.01 to 3) that had the lowest validation loss at the tuning seed after 350. R² over 2,000 test images in evaluation mode, mean over all units of the hidden layers. About 2.9 million samples, those of tuning included.",
  shows: "How much of a sigmoid's curve is used with and without γ and β, and what that is worth in accuracy here.",
  doesNotShow:
    "That a network needs γ and β to be accurate: the next dense layer has a scale and a shift of its own, and only the curvature cannot be had from it. Both accuracies are reported.",
  formulas: [
    "y = \\gamma\\,\\frac{x-\\mu}{\\sqrt{\\sigma^2+\\varepsilon}} + \\beta",
    "R^2 = \\operatorname{corr}(z, \\mathrm{sigmoid}(z))^2",
  ],
  exploratory: "none; a normal input gives an R² of 0.98, one with heavy tails 0.94",
  backend: "wasm",
  changes: [],
  jobs({ mode, seeds }, done) {
    const nets = NETS.flatMap((net) => [false, true].map((affine) => ({ net, affine })));
    const tuning = nets.flatMap(({ net, affine }) =>
      RATES[mode].map((lr) => ({
        key: tuningKey(net, affine, lr),
        params: { net, affine, lr, steps: TUNING_STEPS[mode], seed: TUNING_SEED },
      })),
    );
    const runs = nets.flatMap(({ net, affine }) => {
      const lr = chosenRate(RATES[mode], net, affine, done);
      if (lr === undefined) return [];
      return seeds.map((seed) => ({ key: keyOf(net, affine, seed), params: { net, affine, lr, steps: STEPS[mode], seed } }));
    });
    return [...tuning, ...runs];
  },
  run({ net, affine, lr, steps, seed }, context) {
    const options = { norm: "batch", activation: "sigmoid", widths: WIDTHS[net], batchNorm: { affine } } as const;
    const model = buildMlp(seed, options);
    const straightAtStart = mean(straightness(model, context, true));
    const { divergedAt } = trainModel(model, { set: context.train, seed, lr, steps });
    const loss = divergedAt === null ? validationLoss(model, context) : null;
    const rest = { validationLoss: loss, straightAtStart };
    if (seed === TUNING_SEED) return { ...rest, straight: [], testAccuracy: 0, identityError: 0 };
    return {
      ...rest,
      straight: straightness(model, context, false).sort((a, b) => a - b),
      testAccuracy: accuracyOn(model, context.test),
      identityError: identityError(model, context),
    };
  },
  conclude({ mode, seeds }, done) {
    const of = (net: Net, affine: boolean, value: (result: Result) => number) =>
      seeds.map((seed) => value(done.get(keyOf(net, affine, seed))!));
    const straight = (affine: boolean) => of("wide", affine, (result) => mean(result.straight));
    const [bare, trained] = [straight(false), straight(true)];
    const change = pairedDifference(trained, bare);
    const errors = of("wide", true, ({ identityError }) => identityError);
    const [primary, falls] = [above(interval(bare), 0.9), below(change, 0)];
    const same = everySeed(errors.map((error) => error < 1e-12));
    const accuracy = (net: Net, affine: boolean) => of(net, affine, ({ testAccuracy }) => 100 * testAccuracy);
    const gain = (net: Net): Metric => {
      const [on, off] = [accuracy(net, true), accuracy(net, false)];
      const name = `test accuracy gained by γ and β, ${net === "wide" ? "three layers of 100" : "bottleneck of 4"}`;
      return { ...pairedDifference(on, off), name, unit: "points", role: "exploratory", values: on.map((x, i) => x - off[i]!) };
    };
    const starts = of("wide", false, ({ straightAtStart }) => straightAtStart);
    const metrics: Metric[] = [
      {
        ...interval(bare),
        name: "R² of the best straight line, without γ and β",
        unit: "",
        role: "primary",
        criterion: "interval above 0.90",
        verdict: primary,
        values: bare,
      },
      {
        ...change,
        name: "change of R² with γ and β",
        unit: "",
        role: "control",
        criterion: "interval below 0",
        verdict: falls,
        values: trained.map((x, i) => x - bare[i]!),
      },
      {
        ...interval(errors),
        name: "γ = √(σ² + ε), β = μ: largest error of the input given back, of its largest value, float64",
        unit: "",
        role: "control",
        criterion: "below 1e-12 for every seed",
        verdict: same,
        values: errors,
      },
      { ...interval(starts), name: "R² before training", unit: "", role: "exploratory", values: starts },
      ...NETS.map(gain),
    ];
    const rates = NETS.flatMap((net) =>
      [false, true].map((affine) => `${chosenRate(RATES[mode], net, affine, done)} (${net}, ${labelOf(affine)})`),
    );
    return {
      metrics,
      verdict: allOf(primary, falls, same),
      finding: `A straight line explains ${percent(bare)} of a unit's output without γ and β and ${percent(trained)} with them. In the bottleneck ${mean(accuracy("narrow", false)).toFixed(1)} % are right without and ${mean(accuracy("narrow", true)).toFixed(1)} % with. Learning rates: ${rates.join(", ")}.`,
      figures: [straightFigure(mode, seeds, done), accuracyFigure(mode, seeds.length, accuracy)],
    };
  },
});

const percent = (shares: readonly number[]) => `${(100 * mean(shares)).toFixed(1)} %`;

function chosenRate(rates: readonly number[], net: Net, affine: boolean, done: Results<Result>): number | undefined {
  return bestRate(rates, (lr) => done.get(tuningKey(net, affine, lr))?.validationLoss);
}

/**
 * R² of the best straight line through input and output of each sigmoid. Before training the running values are not yet those
 * of the data, so the batch's own are used then.
 */
function straightness(model: Sequential, { test }: JobContext, isStart: boolean): number[] {
  const images = allIndices(Math.min(test.count, WATCHED_IMAGES));
  const loader = new DataLoader(test, { batchSize: images.length, flatten: true });
  const fits: number[] = [];
  model.train(isStart);
  tidy(() =>
    noGrad(() => {
      let x: Tensor = loader.tensors(images).inputs;
      for (const layer of model) {
        const y = layer.call(x);
        if (layer instanceof Sigmoid) fits.push(...lines(x.data(), y.data(), x.shape[1]!));
        x = y;
      }
    }),
  );
  model.train();
  for (const layer of model) if (isStart && layer instanceof BatchNorm1d) layer.resetRunningStats();
  return fits;
}

/** Squared correlation of x and y, column by column. */
function lines(x: ArrayLike<number>, y: ArrayLike<number>, columns: number): number[] {
  const rows = x.length / columns;
  return Array.from({ length: columns }, (_, c) => {
    let [mx, my] = [0, 0];
    for (let i = c; i < x.length; i += columns) {
      mx += x[i]! / rows;
      my += y[i]! / rows;
    }
    let [xx, xy, yy] = [0, 0, 0];
    for (let i = c; i < x.length; i += columns) {
      xx += (x[i]! - mx) ** 2;
      yy += (y[i]! - my) ** 2;
      xy += (x[i]! - mx) * (y[i]! - my);
    }
    return (xy * xy) / (xx * yy);
  });
}

/** What BatchNorm gives back of the first layer's outputs with γ = √(σ² + ε) and β = μ, in float64. */
function identityError(model: Sequential, { train }: JobContext): number {
  const loader = new DataLoader(train, { batchSize: 128, flatten: true });
  const [x, shape] = tidy(() => {
    const y = noGrad(() => model.at(0).call(loader.tensors(allIndices(128)).inputs));
    return [Float64Array.from(y.data()), y.shape] as const;
  });
  const columns = shape[1]!;
  const [means, deviations] = [new Float64Array(columns), new Float64Array(columns)];
  const eps = 1e-5;
  for (const [i, value] of x.entries()) means[i % columns]! += value / shape[0]!;
  for (const [i, value] of x.entries()) deviations[i % columns]! += (value - means[i % columns]!) ** 2 / shape[0]!;
  for (const [c, variance] of deviations.entries()) deviations[c] = Math.sqrt(variance + eps);
  const backend = new ReferenceBackend();
  try {
    return withBackend(backend, () => {
      const layer = new BatchNorm1d(columns, { eps });
      backend.write(layer.weight!.storage, deviations);
      backend.write(layer.bias!.storage, means);
      const y = tidy(() => noGrad(() => layer.forward(tensor(x, shape)).data()));
      const worst = x.reduce((most, value, i) => Math.max(most, Math.abs(y[i]! - value)), 0);
      return worst / x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    });
  } finally {
    backend.dispose();
  }
}

function straightFigure(mode: "full" | "quick", seeds: readonly number[], done: Results<Result>): LinesFigure {
  const points = (affine: boolean) => {
    const runs = seeds.map((seed) => done.get(keyOf("wide", affine, seed))!.straight);
    return runs[0]!.map((_, i): [number, number] => [(i + 0.5) / runs[0]!.length, mean(runs.map((run) => run[i]!))]);
  };
  return {
    kind: "lines",
    name: "e21-straight",
    title: "How straight each unit's sigmoid is",
    description:
      "R² of the best straight line through input and output of each unit, units in order from the most curved to the straightest, with and without γ and β.",
    caption: `300 units of three hidden layers after ${STEPS[mode]} steps of batch 128, on ${WATCHED_IMAGES} test images; each place in the order is the mean of ${seeds.length} seeds.`,
    x: { label: "share of units" },
    y: { label: "R² of the best straight line" },
    series: [false, true].map((affine) => ({
      label: labelOf(affine),
      role: affine ? ("batch-norm" as const) : ("other" as const),
      points: points(affine),
    })),
    rules: [{ axis: "y", value: 0.9, label: "threshold of the mean" }],
  };
}

function accuracyFigure(mode: "full" | "quick", n: number, of: (net: Net, affine: boolean) => number[]): DotsFigure {
  return {
    kind: "dots",
    name: "e21-accuracy",
    title: "What the curve is worth",
    description:
      "Test accuracy with and without γ and β, for the network of three layers of 100 and for the one with a bottleneck of 4.",
    caption: `All test images after ${STEPS[mode]} steps of batch 128, each arm at its own learning rate; ${n} seeds, bars are 95 % intervals of the mean.`,
    x: { label: "test accuracy, %" },
    rows: NETS.flatMap((net) =>
      [false, true].map((affine) => {
        const { estimate, low, high } = interval(of(net, affine));
        const finite = (x: number) => (Number.isFinite(x) ? x : null);
        return {
          label: labelOf(affine),
          role: affine ? ("batch-norm" as const) : ("other" as const),
          group: net === "wide" ? "784-100-100-100-10" : "784-100-4-100-10",
          estimate: finite(estimate),
          low: finite(low),
          high: finite(high),
          values: of(net, affine),
        };
      }),
    ),
    rules: [],
  };
}
