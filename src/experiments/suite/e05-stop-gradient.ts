// E5: what becomes of training when the gradient does not know that mean and variance depend on the weights.
import { DataLoader } from "../../data/loader.js";
import * as init from "../../nn/init.js";
import { crossEntropy } from "../../ops/loss.js";
import { tidy } from "../../tensor/scope.js";
import type { LinesFigure } from "../figure.js";
import { buildMlp, linearsOf } from "../networks.js";
import { defineExperiment, type Metric, type Results } from "../protocol.js";
import { above, allOf, everySeed, interval, mean, pairedRatio } from "../statistics.js";
import { finalLoss, splitImages, trainModel } from "../training.js";

const RATES = [0.1, 1];
/** The primary metric is taken here; at the larger rate a blow-up is most likely. */
const RATE = 0.1;
const STEPS = { full: 250, quick: 30 };
const LAST = 20;
const EVERY = 5;

type Params = { detached: boolean; lr: number; seed: number; steps: number };
/** Losses and the length of the first layer's bias every few steps; null where not finite. */
type Result = { loss: number | null; losses: (number | null)[]; lengths: (number | null)[]; biasGradient: number };

const keyOf = (detached: boolean, lr: number, seed: number) => `${detached ? "detached" : "proper"}-${lr}-${seed}`;
const finite = (x: number) => (Number.isFinite(x) ? x : null);

export const stopGradient = defineExperiment<Params, Result>({
  id: "E5",
  title: "Don't look away",
  claim:
    "Mean and variance have to be part of the gradient. If they are treated as constants, updates of the bias before the normalization are undone by it, the bias drifts, and training becomes much worse.",
  source: "Ioffe & Szegedy 2015, section 2",
  refutedBy:
    "A final training loss that is less than twice as high with detached statistics (lower end of the interval of the ratio), or a gradient of that bias that is not zero in the proper network.",
  setting:
    "784-100-100-100-10 with ReLU and BatchNorm, biases drawn with standard deviation 0.02, batch 128, 250 steps, learning rate 0.1 (and 1, reported). About 0.6 million samples.",
  shows: "What the two terms of the gradient that pass through mean and variance are worth.",
  doesNotShow:
    "The paper's strongest wording, a loss that stays fixed while the bias grows without end: whether that happens here is reported for both learning rates.",
  formulas: ["\\frac{\\partial L}{\\partial b} = \\sum_i \\frac{\\partial L}{\\partial x_i} = 0"],
  exploratory: "loss 0.13 to 0.21 against 0.85 to 0.91; the bias grew from 0.20 to 1.69 against not at all",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) =>
      RATES.flatMap((lr) =>
        [false, true].map((detached) => ({
          key: keyOf(detached, lr, seed),
          params: { detached, lr, seed, steps: STEPS[mode] },
        })),
      ),
    ),
  run({ detached, lr, seed, steps }, { train }) {
    const model = buildMlp(seed, { norm: "batch", batchNorm: { detachStats: detached } });
    for (const { bias } of linearsOf(model)) init.normal(bias!, 0, 0.02);
    const first = linearsOf(model)[0]!;
    const length = () => finite(Math.hypot(...first.bias!.data()));
    const biasGradient = relativeBiasGradient();
    const [lengths, losses] = [[length()], [] as (number | null)[]];
    const training = trainModel(model, {
      set: train,
      seed,
      lr,
      steps,
      afterStep: (step, loss) => {
        if (step % EVERY === 0) lengths.push(length());
        if (step % EVERY === 0) losses.push(finite(loss));
        return false;
      },
    });
    return { loss: finite(finalLoss(training, LAST)), losses, lengths, biasGradient };

    /** Largest |Σ dx| / Σ |dx| over the units of the first layer, on its gradient before any step. */
    function relativeBiasGradient(): number {
      const loader = new DataLoader(train, { batchSize: 128, flatten: true, indices: splitImages(train).training });
      return tidy(() => {
        const { inputs, targets } = loader.tensors(loader.order(0).slice(0, 128));
        const x = first.forward(inputs).detach();
        x.requiresGrad = true;
        const rest = [...model].slice(1).reduce((y, layer) => layer.call(y), x);
        crossEntropy(rest, targets).backward();
        const dx = x.grad!.data();
        model.zeroGrad();
        const units = first.outFeatures;
        let worst = 0;
        for (let u = 0; u < units; u++) {
          let [sum, size] = [0, 0];
          for (let i = u; i < dx.length; i += units) {
            sum += dx[i]!;
            size += Math.abs(dx[i]!);
          }
          if (size > 0) worst = Math.max(worst, Math.abs(sum) / size);
        }
        return worst;
      });
    }
  },
  conclude({ seeds }, done) {
    const ratio = ratioAt(RATE);
    const primary = above(ratio, 2);
    const gradients = seeds.map((seed) => done.get(keyOf(false, RATE, seed))!.biasGradient);
    const zero = everySeed(gradients.map((g) => g < 1e-5));
    const growth = (detached: boolean, lr: number) => seeds.map((seed) => growthOf(done.get(keyOf(detached, lr, seed))!));
    const [drift, still] = [growth(true, RATE), growth(false, RATE)];
    const metrics: Metric[] = [
      {
        ...ratio,
        name: "loss, detached over proper",
        unit: "times",
        role: "primary",
        criterion: "interval above 2",
        verdict: primary,
      },
      {
        ...interval(gradients),
        name: "gradient of the bias in the proper network, |Σdx| / Σ|dx|",
        unit: "",
        role: "control",
        criterion: "below 1e-5 for every seed",
        verdict: zero,
        values: gradients,
      },
      { ...interval(drift), name: "growth of the first bias, detached", unit: "times", role: "exploratory", values: drift },
      { ...interval(still), name: "growth of the first bias, proper", unit: "times", role: "exploratory", values: still },
      { ...ratioAt(1), name: "loss at learning rate 1, detached over proper", unit: "times", role: "exploratory" },
    ];
    const diverged = seeds.filter((seed) => done.get(keyOf(true, 1, seed))!.loss === null).length;
    return {
      metrics,
      verdict: allOf(primary, zero),
      finding: `With detached statistics the loss ends ${ratio.estimate.toFixed(1)} times as high and the first bias grows ${mean(drift).toFixed(1)} times (proper: ${mean(still).toFixed(2)}). At learning rate 1, ${diverged} of ${seeds.length} detached runs diverged.`,
      figures: [figure(seeds, done)],
    };

    /** Geometric mean over seeds. */
    function ratioAt(lr: number) {
      const losses = (detached: boolean) => seeds.map((seed) => done.get(keyOf(detached, lr, seed))!.loss ?? Number.NaN);
      return pairedRatio(losses(true), losses(false));
    }
  },
});

const growthOf = ({ lengths }: Result) => (lengths.at(-1) ?? Number.NaN) / lengths[0]!;

function figure(seeds: readonly number[], done: Results<Result>): LinesFigure {
  const average = (detached: boolean, of: "losses" | "lengths", offset: number) => {
    const runs = seeds.map((seed) => done.get(keyOf(detached, RATE, seed))![of]);
    return runs[0]!.map((_, i): [number, number | null] => {
      const values = runs.map((run) => run[i] ?? null);
      return [(i + offset) * EVERY, values.includes(null) ? null : mean(values as number[])];
    });
  };
  const line = (detached: boolean, of: "losses" | "lengths", panel: string) => ({
    label: detached ? "statistics detached" : "statistics in the gradient",
    role: detached ? ("other" as const) : ("batch-norm" as const),
    panel,
    points: average(detached, of, of === "losses" ? 1 : 0),
  });
  return {
    kind: "lines",
    name: "e5-drift",
    title: "The bias drifts, and the loss stays high",
    description:
      "Two panels against step: training loss, and the length of the first layer's bias, for a network whose gradient knows of mean and variance and for one whose gradient does not.",
    caption: `Mean of ${seeds.length} seeds, learning rate ${RATE}, every ${EVERY} steps.`,
    x: { label: "step" },
    y: { label: "value" },
    series: [
      line(false, "losses", "training loss"),
      line(true, "losses", "training loss"),
      line(false, "lengths", "length of the first bias"),
      line(true, "lengths", "length of the first bias"),
    ],
    rules: [],
  };
}
