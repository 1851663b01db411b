// E4: under a normalization, weight decay only changes the learning rate.
import { compile } from "../../autograd/compile.js";
import { DataLoader } from "../../data/loader.js";
import { crossEntropy } from "../../ops/loss.js";
import { SGD } from "../../optim/sgd.js";
import { tidy } from "../../tensor/scope.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { LinesFigure } from "../figure.js";
import { buildMlp, linearsOf } from "../networks.js";
import { defineExperiment } from "../protocol.js";
import { allOf, exactly, interval } from "../statistics.js";
import { batches, splitImages } from "../training.js";

const RATE = 0.5;
const DECAY = 0.02;
const STEPS = { full: 120, quick: 20 };
const BATCH = 64;
const WIDTHS = [784, 32, 32, 10];

type Norm = "batch" | "none";
type Params = { norm: Norm; growing: boolean; seed: number; steps: number };
type Result = { losses: (number | null)[] };

/** The learning rate that stands for decay in step t, from 0: η (1 − ηλ)^−(2t + 1). */
const grown = (t: number) => RATE * (1 - RATE * DECAY) ** -(2 * t + 1);

const keyOf = (norm: Norm, growing: boolean, seed: number) => `${norm}-${growing ? "growing" : "decay"}-${seed}`;

/** The largest difference of two loss curves; a run that ended early differs without bound. */
function farthest(a: Result, b: Result): number {
  if (a.losses.length !== b.losses.length) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...a.losses
      .map((loss, t) => Math.abs((loss ?? Number.NaN) - (b.losses[t] ?? Number.NaN)))
      .map((d) => (Number.isNaN(d) ? Infinity : d)),
  );
}

export const weightDecay = defineExperiment<Params, Result>({
  id: "E4",
  title: "Weight decay in disguise",
  claim:
    "Weights that feed a batch normalization have no length that matters. Decaying them at a constant learning rate is the same as not decaying them while the learning rate grows exponentially.",
  source: "Li & Arora 2020, An Exponential Learning Rate Schedule for Deep Learning (arXiv 1910.07454)",
  refutedBy:
    "A loss that differs by 1e-9 or more in any of 120 steps in float64, or a network without normalization that does not care either (difference of at most 0.01). FAIL would mean that the derivation or this library's gradients are wrong.",
  setting:
    "784-32-32-10 with ReLU, batch 64, 120 steps, float64. Learning rate 0.5 and decay 0.02 on the weights before each normalization, against no decay and η(1 − ηλ)^−(2t+1); everything else trains at 0.5 without decay. ε = 0. About 31,000 samples for each seed.",
  shows: "That the two schedules are one and the same trajectory, to rounding; so decay on such weights acts as a schedule.",
  doesNotShow: "That either schedule is a good one, or what decay does to weights that nothing normalizes.",
  formulas: ["\\eta_t = \\eta\\,(1 - \\eta\\lambda)^{-(2t+1)}"],
  exploratory: "4.4e-16 with a learning rate that grew 11.2 times",
  backend: "reference",
  changes: [],
  jobs({ mode, seeds }) {
    const norms: readonly Norm[] = ["batch", "none"];
    return seeds.flatMap((seed) =>
      norms.flatMap((norm) =>
        [false, true].map((growing) => ({
          key: keyOf(norm, growing, seed),
          params: { norm, growing, seed, steps: STEPS[mode] },
        })),
      ),
    );
  },
  run({ norm, growing, seed, steps }, { train }) {
    const model = buildMlp(seed, { norm, widths: WIDTHS, batchNorm: { eps: 0 } });
    const fed = new Set<Tensor>(
      linearsOf(model)
        .slice(0, -1)
        .map(({ weight }) => weight),
    );
    const decayed = new SGD([...fed], { lr: RATE, weightDecay: growing ? 0 : DECAY });
    const rest = new SGD(
      model.parameters().filter((p) => !fed.has(p)),
      { lr: RATE },
    );
    const loader = new DataLoader(train, {
      batchSize: BATCH,
      shuffle: true,
      seed,
      dropLast: "drop",
      flatten: true,
      indices: splitImages(train).training,
    });
    const advance = compile((index: Tensor) => {
      const { inputs, targets } = loader.gather(index);
      const loss = crossEntropy(model.call(inputs), targets);
      loss.backward();
      for (const optimizer of [decayed, rest]) optimizer.step();
      model.zeroGrad();
      return loss;
    });
    const losses: (number | null)[] = [];
    const source = batches(loader);
    for (let t = 0; t < steps; t++) {
      if (growing) decayed.lr = grown(t);
      const loss = tidy(() => advance(loader.indexTensor(source.next().value)).item());
      losses.push(Number.isFinite(loss) ? loss : null);
      if (!Number.isFinite(loss)) break;
    }
    return { losses };
  },
  conclude({ mode, seeds }, done) {
    const differences = (norm: Norm) =>
      seeds.map((seed) => farthest(done.get(keyOf(norm, false, seed))!, done.get(keyOf(norm, true, seed))!));
    const [own, control] = [differences("batch"), differences("none")];
    const primary = exactly(own.every((d) => d < 1e-9));
    const caring = exactly(control.every((d) => d > 1e-2));
    const growth = grown(STEPS[mode] - 1) / grown(0);
    const worst = Math.max(...own);
    return {
      metrics: [
        {
          ...interval(own),
          name: "largest difference of the loss, with BatchNorm",
          unit: "nats",
          role: "primary",
          criterion: "below 1e-9 for every seed",
          verdict: primary,
          values: own,
        },
        {
          ...interval(control),
          name: "the same without normalization",
          unit: "nats",
          role: "control",
          criterion: "above 0.01 for every seed, or a run that diverges",
          verdict: caring,
          values: control,
        },
      ],
      verdict: allOf(primary, caring),
      finding: `With batch normalization the two curves differ by at most ${worst.toExponential(1)} while one learning rate grew ${growth.toFixed(1)} times; without it ${control.every((d) => d > 1e-2) ? "they part" : "they do not part as they should"}.`,
      figures: [figure(seeds[0]!, (norm, growing) => done.get(keyOf(norm, growing, seeds[0]!))!.losses)],
    };
  },
});

function figure(seed: number, lossesOf: (norm: Norm, growing: boolean) => (number | null)[]): LinesFigure {
  const line = (norm: Norm, growing: boolean) => ({
    label: growing ? "no decay, growing rate" : "decay, constant rate",
    role: norm === "batch" ? ("batch-norm" as const) : ("plain" as const),
    panel: norm === "batch" ? "BatchNorm" : "no normalization",
    dashed: growing,
    points: lossesOf(norm, growing).map((loss, t): [number, number | null] => [t + 1, loss]),
  });
  return {
    kind: "lines",
    name: "e4-loss",
    title: "Two schedules, one curve",
    description:
      "Training loss against step. With batch normalization the curve with decay and the one with a growing learning rate lie on each other; without, they part.",
    caption: `Training loss of each step, seed ${seed}, batch ${BATCH}, float64.`,
    x: { label: "step" },
    y: { label: "training loss" },
    series: [line("batch", false), line("batch", true), line("none", false), line("none", true)],
    rules: [],
  };
}
