// E17: whether a small change of the first layer grows on its way through a deep network.
import { noGrad } from "../../autograd/mode.js";
import { DataLoader } from "../../data/loader.js";
import { randomFor } from "../../data/seed.js";
import { Linear } from "../../nn/linear.js";
import type { Module } from "../../nn/module.js";
import { withoutStatsUpdate } from "../../nn/stats-update.js";
import { crossEntropy } from "../../ops/loss.js";
import { tidy } from "../../tensor/scope.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { LinesFigure, Role } from "../figure.js";
import { buildMlp, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment, type JobContext, type Metric, type Results, TUNING_SEED } from "../protocol.js";
import { interval, mean, slope } from "../statistics.js";
import { finalLoss, splitImages, trainModel } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const ARMS = ["none", "layer", "batch"] as const satisfies readonly Norm[];
type Arm = (typeof ARMS)[number];
const ROLES: Readonly<Record<Arm, Role>> = { none: "plain", layer: "layer-norm", batch: "batch-norm" };
const DEPTHS = { full: [10, 40], quick: [4] };
const WIDTH = { full: 100, quick: 32 };
const RATES = { full: [0.003, 0.01, 0.03, 0.1, 0.3, 1], quick: [0.1] };
const STEPS = { full: 300, quick: 20 };
const LAST = 20;
/** Length of the nudge, as a part of the length of the first layer's weights: small, so that its effect is linear. */
const NUDGE = 1e-3;
/** Images of the gradient, and images on which means and σ are taken. */
const [BATCH, MEASURED] = [128, 1000];

const TIMES = ["start", "trained"] as const;
const WAYS = ["gradient", "random"] as const;
type Time = (typeof TIMES)[number];
type Way = (typeof WAYS)[number];
type Shifts = { [K in Way]: (number | null)[] };

type Params = { arm: Arm; depth: number; width: number; lr: number; steps: number; seed: number };
/** Shift of the unit means of layers 2 and on, in σ; a run of the tuning seed has its validation loss alone. */
type Result = {
  validationLoss: number | null;
  loss: number | null;
  /** Length of the step of SGD at the start, as a part of the weights' length. */
  stepLength: number | null;
  shifts: { [K in Time]: Shifts } | null;
};

const keyOf = (arm: Arm, depth: number, seed: number) => `${arm}-${depth}-${seed}`;
const tuningKey = (arm: Arm, depth: number, lr: number) => `tune-${arm}-${depth}-${lr}`;
const finite = (x: number) => (Number.isFinite(x) ? x : null);

export const nudge = defineExperiment<Params, Result>({
  id: "E17",
  title: "A nudge at the bottom",
  claim:
    "Small changes to the parameters amplify as the network becomes deeper. Measured for a change of the first layer, in both directions; no winner is predicted.",
  source: "The article; Ioffe & Szegedy 2015, section 1",
  refutedBy:
    "Nothing: this experiment reports the slope of the logarithm of the shift against depth. Above 0 changes grow on their way up, below 0 they fade.",
  setting:
    "Networks of 10 and of 40 hidden layers of width 100 with ReLU, He's initialization; SGD with batch 128 for 300 steps at the rate (0.003 to 1) that had the lowest validation loss at the tuning seed after 150. The first layer's weights are moved by 0.1 % of their length, along the step of SGD or in a random direction; the same length in all arms. Shift: mean over units of |change of the unit's mean| / σ on 1,000 validation images in training mode, before the normalization of each layer (after it the means are 0 by construction). About 1.8 million samples, those of tuning included.",
  shows:
    "By what factor per layer a small change of the first layer's weights grows or fades on its way up, at the start and after training.",
  doesNotShow:
    "What a step of SGD does that moves all layers at once; whether shifts slow down training (E6 asks that); what larger nudges do, whose effect is not linear.",
  formulas: ["s_l = \\frac{1}{n}\\sum_u \\frac{|\\mu'_{l,u} - \\mu_{l,u}|}{\\sigma_{l,u}}"],
  exploratory: "slopes at the start: about −0.02 without normalization, −0.01 with LayerNorm, +0.12 to +0.16 with BatchNorm",
  backend: "wasm",
  changes: [],
  jobs({ mode, seeds }, done) {
    const arms = ARMS.flatMap((arm) => DEPTHS[mode].map((depth) => ({ arm, depth, width: WIDTH[mode] })));
    const tuning = arms.flatMap((arm) =>
      RATES[mode].map((lr) => ({
        key: tuningKey(arm.arm, arm.depth, lr),
        params: { ...arm, lr, steps: STEPS[mode] / 2, seed: TUNING_SEED },
      })),
    );
    const runs = arms.flatMap((arm) => {
      const lr = chosenRate(RATES[mode], arm.arm, arm.depth, done);
      if (lr === undefined) return [];
      return seeds.map((seed) => ({ key: keyOf(arm.arm, arm.depth, seed), params: { ...arm, lr, steps: STEPS[mode], seed } }));
    });
    return [...tuning, ...runs];
  },
  run({ arm, depth, width, lr, steps, seed }, context) {
    const widths = [784, ...new Array<number>(depth).fill(width), 10];
    const network = buildMlp(seed, { norm: arm, widths });
    const layers = [...network];
    if (seed === TUNING_SEED) {
      const { divergedAt } = trainModel(network, { set: context.train, seed, lr, steps });
      const loss = divergedAt === null ? validationLoss(network, context) : null;
      return { validationLoss: loss, loss: null, stepLength: null, shifts: null };
    }
    const start = shiftsOf(layers, seed, context);
    const training = trainModel(network, { set: context.train, seed, lr, steps });
    const trained = shiftsOf(layers, seed, context);
    const shifts = { start: start.shifts, trained: trained.shifts };
    return {
      validationLoss: null,
      loss: finite(finalLoss(training, LAST)),
      stepLength: finite(lr * start.gradientLength),
      shifts,
    };
  },
  conclude({ mode, seeds }, done) {
    const [shallow, deep] = [DEPTHS[mode][0]!, DEPTHS[mode].at(-1)!];
    const slopes = (arm: Arm, depth: number, time: Time, way: Way) =>
      seeds.map((seed) => slopeOf(done.get(keyOf(arm, depth, seed))!.shifts![time][way]));
    const reported = [
      ...TIMES.flatMap((time) => WAYS.map((way) => ({ depth: deep, time, way }))),
      ...(shallow === deep ? [] : TIMES.map((time) => ({ depth: shallow, time, way: "gradient" as const }))),
    ];
    const metrics = reported.flatMap(({ depth, time, way }) =>
      ARMS.map((arm) => {
        const values = slopes(arm, depth, time, way);
        const what = `${way === "gradient" ? "step of SGD" : "random step"}, ${depth} layers, ${WORDS[time]}`;
        return exploratory(`slope of log shift, ${NORM_LABELS[arm]}: ${what}`, "per layer", values);
      }),
    );
    const others = ARMS.flatMap((arm) => {
      const results = seeds.map((seed) => done.get(keyOf(arm, deep, seed))!);
      const lr = chosenRate(RATES[mode], arm, deep, done);
      const label = `${NORM_LABELS[arm]}, ${deep} layers, learning rate ${lr}`;
      const losses = results.map(({ loss }) => loss ?? Number.NaN);
      const lengths = results.map(({ stepLength }) => 100 * (stepLength ?? Number.NaN));
      return [
        exploratory(`training loss after ${STEPS[mode]} steps, ${label}`, "nats", losses),
        exploratory(`first step of SGD over the first layer's weights, ${label}`, "%", lengths),
      ];
    });
    const steps = ARMS.map((arm) => {
      const length = mean(seeds.map((seed) => done.get(keyOf(arm, deep, seed))!.stepLength ?? Number.NaN));
      return `${(100 * length).toPrecision(2)} % (${NORM_LABELS[arm]})`;
    });
    const say = (time: Time) =>
      ARMS.map((arm) => `${signed(mean(slopes(arm, deep, time, "gradient")))} (${NORM_LABELS[arm]})`).join(", ");
    return {
      metrics: [...metrics, ...others],
      verdict: null,
      finding: `Through ${deep} layers the logarithm of the shift changes per layer by ${say("start")} at the start, and by ${say("trained")} after training. All were moved by ${100 * NUDGE} %; the first step of SGD at the rate of each would have moved the first layer by ${steps.join(", ")}.`,
      figures: DEPTHS[mode].map((depth) => figure(depth, mode, seeds, done)),
    };
  },
});

const WORDS: Readonly<Record<Time, string>> = { start: "at the start", trained: "after training" };
const signed = (x: number) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(3)}`;
const exploratory = (name: string, unit: string, values: readonly number[]): Metric => ({
  ...interval(values),
  name,
  unit,
  role: "exploratory",
  values,
});

function chosenRate(rates: readonly number[], arm: Arm, depth: number, done: Results<Result>): number | undefined {
  return bestRate(rates, (lr) => done.get(tuningKey(arm, depth, lr))?.validationLoss);
}

/** Slope of log shift against the layer, from layer 2 on; NaN if a shift is not a positive number. */
function slopeOf(shifts: readonly (number | null)[]): number {
  const layers = shifts.map((_, i) => i + 2);
  return slope(
    layers,
    shifts.map((shift) => Math.log(shift ?? Number.NaN)),
  );
}

/** Moves the first layer both ways, measures, and puts it back. Nothing else of the network changes. */
function shiftsOf(layers: readonly Module[], seed: number, { train }: JobContext) {
  const { training, validation } = splitImages(train);
  const loader = new DataLoader(train, { batchSize: BATCH, flatten: true });
  const { weight } = layers[0] as Linear;
  const original = Float64Array.from(weight.data());
  const length = Math.hypot(...original);
  const gradient = tidy(() =>
    withoutStatsUpdate(() => {
      const { inputs, targets } = loader.tensors(training.slice(0, BATCH));
      crossEntropy(forward(layers, inputs).output, targets).backward();
      return Float64Array.from(weight.grad!.data());
    }),
  );
  for (const layer of layers) layer.zeroGrad();
  const random = randomFor("E17", seed, "subset");
  const noise = Float64Array.from(original, () => random.normal());
  const images = validation.slice(0, MEASURED);
  const before = momentsOf(layers, loader, images);
  const along = (direction: Float64Array) => {
    const scale = (NUDGE * length) / Math.hypot(...direction);
    weight.backend.write(
      weight.storage,
      Float32Array.from(original, (w, i) => w - scale * direction[i]!),
    );
    const after = momentsOf(layers, loader, images);
    weight.backend.write(weight.storage, Float32Array.from(original));
    return before.slice(1).map((layer, i) => finite(shiftOf(layer, after[i + 1]!)));
  };
  return { shifts: { gradient: along(gradient), random: along(noise) }, gradientLength: Math.hypot(...gradient) / length };
}

/** Runs the layers one after the other and keeps what the dense ones before the readout give. */
function forward(layers: readonly Module[], inputs: Tensor): { output: Tensor; dense: Tensor[] } {
  const dense: Tensor[] = [];
  let output = inputs;
  for (const layer of layers) {
    output = layer.call(output);
    if (layer instanceof Linear) dense.push(output);
  }
  return { output, dense: dense.slice(0, -1) };
}

type Moments = { means: number[]; deviations: number[] };

/** Mean and standard deviation over the images of each unit, layer by layer. */
function momentsOf(layers: readonly Module[], loader: DataLoader, images: Int32Array): Moments[] {
  return tidy(() =>
    noGrad(() =>
      withoutStatsUpdate(() =>
        forward(layers, loader.tensors(images).inputs).dense.map((y) => {
          const [values, units] = [y.data(), y.shape[1]!];
          const [sums, squares] = [new Float64Array(units), new Float64Array(units)];
          for (const [i, value] of values.entries()) sums[i % units]! += value / images.length;
          for (const [i, value] of values.entries()) squares[i % units]! += (value - sums[i % units]!) ** 2 / images.length;
          return { means: [...sums], deviations: [...squares].map(Math.sqrt) };
        }),
      ),
    ),
  );
}

/** Mean over the units that vary at all of how far their mean moved, in σ. */
function shiftOf(before: Moments, after: Moments): number {
  const shifts = before.means.flatMap((m, u) => {
    const deviation = before.deviations[u]!;
    return deviation > 0 ? [Math.abs(after.means[u]! - m) / deviation] : [];
  });
  return mean(shifts);
}

function figure(depth: number, mode: "full" | "quick", seeds: readonly number[], done: Results<Result>): LinesFigure {
  const points = (arm: Arm, time: Time, way: Way) => {
    const runs = seeds.map((seed) => done.get(keyOf(arm, depth, seed))!.shifts![time][way]);
    return runs[0]!.map((_, i): [number, number | null] => {
      const values = runs.map((run) => run[i] ?? Number.NaN);
      return [i + 2, finite(Math.exp(mean(values.map(Math.log))))];
    });
  };
  return {
    kind: "lines",
    name: `e17-shift-${depth}`,
    title: `A small change on its way through ${depth} layers`,
    description:
      "Shift of the unit means in units of σ against the layer, on a logarithmic axis, one line for each normalization; panels at the start and after training, for a step of SGD and for a random step in the first layer.",
    caption: `Geometric mean of ${seeds.length} seeds on ${MEASURED} validation images, before the normalization of each layer. The first layer moved by ${100 * NUDGE} % of its length; training of ${STEPS[mode]} steps with batch ${BATCH}.`,
    x: { label: "layer" },
    y: { label: "shift of the means, σ", log: true },
    series: TIMES.flatMap((time) =>
      WAYS.flatMap((way) =>
        ARMS.map((arm) => ({
          label: NORM_LABELS[arm],
          role: ROLES[arm],
          panel: `${way === "gradient" ? "step of SGD" : "random step"}, ${WORDS[time]}`,
          points: points(arm, time, way),
        })),
      ),
    ),
    rules: [],
  };
}
