// E3: the length of weights that feed a normalization does not matter, except for the learning rate.
import { DataLoader } from "../../data/loader.js";
import { crossEntropy } from "../../ops/loss.js";
import { SGD } from "../../optim/sgd.js";
import { full } from "../../tensor/create.js";
import { tidy } from "../../tensor/scope.js";
import type { Figure, LinesFigure } from "../figure.js";
import { buildMlp, linearsOf } from "../networks.js";
import { defineExperiment, type Metric } from "../protocol.js";
import { allOf, everySeed, exactly, interval, mean, pairedDifference, within } from "../statistics.js";
import { bandPoint, exploratory, finiteOrNull } from "../summary.js";
import { accuracyOn, finalLoss, splitImages, trainModel } from "../training.js";

/** Factors on the weights, and the identity's margin. */
const FACTORS = [1e-3, 1, 1e3];
const EXACT = 1e-10;
const STANDARDS = [0.001, 0.01, 0.1, 0.5, 2];
const RATE = 0.1;
const STEPS = { full: 300, quick: 30 };
/** Weights of this size are the measure for those whose learning rates are rescaled. */
const USUAL = 0.1;
const RESCALED = [0.5, 2];
/** Final losses within this are the same. */
const MARGIN = 0.02;
const LAST = 20;

type Arm = "none" | "batch";
type Params =
  | { what: "identity"; arm: Arm; seed: number }
  | { what: "training"; arm: Arm; std: number; rescaled: boolean; seed: number; steps: number };
type Result = {
  /** Largest relative difference over factors: of the outputs, of the gradient times the factor, and |⟨W, grad⟩| / (|W| |grad|). */
  outputs: number;
  gradients: number;
  product: number;
  accuracy: number;
  loss: number | null;
  losses: (number | null)[];
};

const identityKey = (arm: Arm, seed: number) => `identity-${arm}-${seed}`;
const keyOf = (arm: Arm, std: number, rescaled: boolean, seed: number) =>
  `${arm}-std${std}${rescaled ? "-rescaled" : ""}-${seed}`;

export const weightSize = defineExperiment<Params, Result>({
  id: "E3",
  title: "The size of the weights is a lie",
  claim:
    "Weights that feed a batch normalization can be a thousand times as large, or as small, and the network computes the same. So it trains from initial weights of almost any size; what changes is the effective learning rate, η/|W|².",
  source: "Ioffe & Szegedy 2015, section 3.3; van Laarhoven 2017 (arXiv 1706.05350); Arora, Li & Lyu 2019 (arXiv 1812.03981)",
  refutedBy:
    "In float64, outputs or gradients that differ from the law by 1e-10 or more; a size of initial weights from which BatchNorm does not reach 60 %; more than two from which the plain network does; or final losses that differ by 0.02 or more once learning rates are rescaled by |W|².",
  setting:
    "Identity: 784-100-100-100-10 with ReLU, ε = 0, float64, all weights before a normalization times 0.001, 1 and 1000, batch 128. Training: initial weights of all layers normal with σ from 0.001 to 2, batch 128, 300 steps at 0.1; rescaled: the layers before a normalization at 0.1 · (σ/0.1)², their readout as with σ = 0.1. About 2.3 million samples.",
  shows: "That the identity holds to rounding, and how far it carries in training with ε = 1e-5.",
  doesNotShow:
    "That any size trains equally fast: large weights slow training, which is what the rescaled rates undo. The readout is not normalized, and its size matters.",
  formulas: [
    "BN\\bigl((aW)u\\bigr) = BN(Wu)",
    "\\frac{\\partial BN((aW)u)}{\\partial (aW)} = \\frac1a\\,\\frac{\\partial BN(Wu)}{\\partial W}",
    "\\langle W, \\nabla_W L\\rangle = 0",
  ],
  exploratory:
    "accuracy for σ = 0.001, 0.01, 0.1, 0.5, 2: plain 11.4, 11.4, 91.2, 11.4, 11.4 %; BatchNorm 95.7, 96.1, 93.5, 83.2, 65.0 %",
  backend: ({ what }) => (what === "identity" ? "reference" : "wasm"),
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) => {
      const arms: readonly Arm[] = ["none", "batch"];
      const training = (arm: Arm, std: number, rescaled: boolean) => ({
        key: keyOf(arm, std, rescaled, seed),
        params: { what: "training" as const, arm, std, rescaled, seed, steps: STEPS[mode] },
      });
      return [
        ...arms.map((arm) => ({ key: identityKey(arm, seed), params: { what: "identity" as const, arm, seed } })),
        ...arms.flatMap((arm) => STANDARDS.map((std) => training(arm, std, false))),
        ...RESCALED.map((std) => training("batch", std, true)),
      ];
    }),
  run(params, sets) {
    const nothing = { outputs: 0, gradients: 0, product: 0, accuracy: 0, loss: null, losses: [] };
    if (params.what === "identity") return { ...nothing, ...identity(params, sets.train) };
    const { arm, std, rescaled, seed, steps } = params;
    const model = buildMlp(seed, { norm: arm, start: std });
    const fed = linearsOf(model).slice(0, -1);
    const readout = linearsOf(model).at(-1)!;
    // The random numbers are those of the usual size, so that this is the usual readout.
    if (rescaled) scale(readout.weight, USUAL / std);
    const weights = new Set(fed.map(({ weight }) => weight));
    const rest = model.parameters().filter((p) => !weights.has(p));
    const groups = [{ params: [...weights], lr: RATE * (std / USUAL) ** 2 }, { params: rest }];
    const training = trainModel(model, {
      set: sets.train,
      seed,
      lr: RATE,
      steps,
      ...(rescaled ? { optimizer: new SGD(groups, { lr: RATE }) } : {}),
    });
    return {
      ...nothing,
      accuracy: 100 * accuracyOn(model, sets.test),
      loss: finiteOrNull(finalLoss(training, LAST)),
      losses: rescaled || std === USUAL || RESCALED.includes(std) ? every(training.losses, 5) : [],
    };
  },
  conclude({ mode, seeds }, done) {
    const identities = (arm: Arm, what: "outputs" | "gradients" | "product") =>
      seeds.map((seed) => done.get(identityKey(arm, seed))![what]);
    const errors = seeds.map((_, i) =>
      Math.max(identities("batch", "outputs")[i]!, identities("batch", "gradients")[i]!, identities("batch", "product")[i]!),
    );
    const violations = identities("none", "outputs");
    const accuracy = (arm: Arm, std: number) => seeds.map((seed) => done.get(keyOf(arm, std, false, seed))!.accuracy);
    const trained = (arm: Arm) => seeds.map((_, i) => STANDARDS.filter((std) => accuracy(arm, std)[i]! > 60).length);
    const loss = (std: number, rescaled: boolean) =>
      seeds.map((seed) => done.get(keyOf("batch", std, rescaled, seed))!.loss ?? Number.NaN);
    const same = RESCALED.map((std) => ({ std, ...pairedDifference(loss(std, true), loss(USUAL, false)) }));
    const verdicts = {
      exact: exactly(errors.every((error) => error < EXACT)),
      control: everySeed(violations.map((violation) => violation > 1)),
      batch: everySeed(trained("batch").map((count) => count === STANDARDS.length)),
      plain: everySeed(trained("none").map((count) => count <= 2)),
      rescaled: same.map((difference) => within(difference, -MARGIN, MARGIN)),
    };
    const metrics: Metric[] = [
      {
        ...interval(errors),
        name: "identity in float64: largest relative error of outputs, gradients and ⟨W, grad⟩",
        unit: "",
        role: "primary",
        criterion: "below 1e-10 in every seed",
        verdict: verdicts.exact,
        values: errors,
      },
      {
        ...interval(violations),
        name: "the same factors without normalization: relative change of outputs",
        unit: "",
        role: "control",
        criterion: "above 1 in every seed",
        verdict: verdicts.control,
        values: violations,
      },
      {
        ...interval(trained("batch")),
        name: "sizes from which BatchNorm reaches 60 %",
        unit: "of 5",
        role: "control",
        criterion: "5 in every seed",
        verdict: verdicts.batch,
        values: trained("batch"),
      },
      {
        ...interval(trained("none")),
        name: "sizes from which the plain network reaches 60 %",
        unit: "of 5",
        role: "control",
        criterion: "at most 2 in every seed",
        verdict: verdicts.plain,
        values: trained("none"),
      },
      ...same.map(
        ({ std, ...difference }, i): Metric => ({
          ...difference,
          name: `final loss with σ = ${std} and rescaled rate, minus that with σ = 0.1`,
          unit: "",
          role: "control",
          criterion: `interval within ±${MARGIN}`,
          verdict: verdicts.rescaled[i]!,
          values: loss(std, true).map((x, s) => x - loss(USUAL, false)[s]!),
        }),
      ),
      ...RESCALED.map((std) => exploratory(`final loss with σ = ${std} at the same rate`, "", loss(std, false))),
    ];
    return {
      metrics,
      verdict: allOf(verdicts.exact, verdicts.control, verdicts.batch, verdicts.plain, ...verdicts.rescaled),
      finding: `The identity holds to ${Math.max(...errors).toExponential(1)}. Of five sizes of initial weights BatchNorm trains from ${mean(trained("batch")).toFixed(1)} and the plain network from ${mean(trained("none")).toFixed(1)} on average.`,
      figures: [heat(accuracy, seeds.length, STEPS[mode]), curves(seeds, done)],
    };
  },
});

/** Largest deviations from the law over the factors, on one batch; in float64. */
function identity({ arm, seed }: { arm: Arm; seed: number }, train: Parameters<typeof trainModel>[1]["set"]) {
  const model = buildMlp(seed, { norm: arm, batchNorm: { eps: 0 } });
  const fed = linearsOf(model).slice(0, -1);
  const loader = new DataLoader(train, {
    batchSize: 128,
    flatten: true,
    shuffle: true,
    seed,
    indices: splitImages(train).training,
  });
  const { inputs, targets } = loader.tensors(loader.order(0).slice(0, 128));
  const look = () =>
    tidy(() => {
      const y = model.call(inputs);
      model.zeroGrad();
      crossEntropy(y, targets).backward();
      const gradients = fed.map(({ weight }) => Float64Array.from(weight.grad!.data()));
      const weights = fed.map(({ weight }) => Float64Array.from(weight.data()));
      return { y: Float64Array.from(y.data()), gradients, weights };
    });
  const usual = look();
  const found = { outputs: 0, gradients: 0, product: 0 };
  for (const factor of FACTORS) {
    for (const { weight } of fed) scale(weight, factor);
    const there = look();
    for (const { weight } of fed) scale(weight, 1 / factor);
    found.outputs = Math.max(found.outputs, distance(there.y, usual.y));
    for (const [i, gradient] of there.gradients.entries()) {
      const expected = usual.gradients[i]!.map((g) => g / factor);
      found.gradients = Math.max(found.gradients, distance(gradient, expected));
      found.product = Math.max(
        found.product,
        Math.abs(dot(gradient, there.weights[i]!)) / (norm(gradient) * norm(there.weights[i]!)),
      );
    }
  }
  return found;
}

function scale(weight: ReturnType<typeof linearsOf>[number]["weight"], factor: number): void {
  if (factor === 1) return;
  const multiplied = weight.detach().mul(full([1], factor));
  weight.backend.call("copy", { x: multiplied.storage, y: weight.storage, n: weight.size });
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const norm = (a: Float64Array) => Math.sqrt(dot(a, a));
const distance = (a: Float64Array, b: Float64Array) => norm(a.map((x, i) => x - b[i]!)) / norm(b);
const every = (losses: readonly (number | null)[], k: number) => losses.filter((_, i) => (i + 1) % k === 0);

function heat(accuracy: (arm: Arm, std: number) => number[], seeds: number, steps: number): Figure {
  return {
    kind: "heat",
    name: "e3-accuracy",
    title: "Accuracy by the size of the initial weights",
    description: "Test accuracy for each standard deviation of the initial weights, without normalization and with BatchNorm.",
    caption: `Mean test accuracy in % of ${seeds} seeds after ${steps} steps at learning rate ${RATE}, batch 128; chance is 10 %.`,
    x: { label: "standard deviation of the initial weights", values: STANDARDS.map(String) },
    y: { label: "normalization", values: ["none", "BatchNorm"] },
    scale: { label: "test accuracy, %", from: 10, to: 100 },
    cells: (["none", "batch"] as const).map((arm) => STANDARDS.map((std) => finiteOrNull(mean(accuracy(arm, std))))),
  };
}

function curves(seeds: readonly number[], done: ReadonlyMap<string, Result>): LinesFigure {
  const points = (std: number, rescaled: boolean) => {
    const runs = seeds.map((seed) => done.get(keyOf("batch", std, rescaled, seed))!.losses);
    return runs[0]!.map((_, i) =>
      bandPoint(
        5 * (i + 1),
        runs.map((run) => run[i] ?? null),
      ),
    );
  };
  return {
    kind: "lines",
    name: "e3-rescaled",
    title: "Large weights are slow, until the learning rate grows with them",
    description:
      "Training loss against step with BatchNorm for three sizes of initial weights, at the same learning rate and with rates rescaled by the square of the size: rescaled, the curves lie on each other.",
    caption: `Every 5th step, mean of ${seeds.length} seeds, band from the least to the largest. Dashed: learning rate 0.1 · (σ/0.1)² in the layers before a normalization.`,
    x: { label: "step" },
    y: { label: "training loss" },
    series: [
      { label: "σ = 0.1", role: "batch-norm", panel: "same rate", points: points(USUAL, false) },
      ...RESCALED.map((std, i) => ({
        label: `σ = ${std}`,
        role: i === 0 ? ("layer-norm" as const) : ("other" as const),
        panel: "same rate",
        points: points(std, false),
      })),
      { label: "σ = 0.1", role: "batch-norm", panel: "rescaled rate", points: points(USUAL, false) },
      ...RESCALED.map((std, i) => ({
        label: `σ = ${std}`,
        role: i === 0 ? ("layer-norm" as const) : ("other" as const),
        panel: "rescaled rate",
        dashed: true,
        points: points(std, true),
      })),
    ],
    rules: [],
  };
}
