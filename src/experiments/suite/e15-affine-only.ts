// E15: how far a random network comes if only γ and β are trained.
import { randomFor } from "../../data/seed.js";
import { BatchNorm } from "../../nn/batch-norm-base.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { Sequential } from "../../nn/sequential.js";
import { linear } from "../../ops/matmul.js";
import { tensor, zeros } from "../../tensor/create.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Role } from "../figure.js";
import { buildMlp, linearsOf } from "../networks.js";
import { defineExperiment, LEARNING_RATES, type Metric, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { above, allOf, interval, mean, pairedDifference } from "../statistics.js";
import { differences, dotsRow, exploratory } from "../summary.js";
import { accuracyOn, trainModel } from "../training.js";
import { bestRates, validationLoss } from "../tuning.js";

const ARMS = ["affine", "weights", "readout", "all"] as const;
type Arm = (typeof ARMS)[number];
const LABELS: Readonly<Record<Arm, string>> = {
  affine: "γ and β only",
  weights: "as many random weights",
  readout: "last layer only",
  all: "everything",
};
const ROLES: Readonly<Record<Arm, Role>> = { affine: "batch-norm", weights: "plain", readout: "other", all: "other" };
const WIDTHS = [784, 256, 256, 256, 10];
const STEPS = { full: { run: 350, tuning: 175 }, quick: { run: 10, tuning: 5 } };
const RATES: Readonly<Record<Plan["mode"], readonly number[]>> = { full: [...LEARNING_RATES, 10, 30, 100, 300], quick: [0.1, 1] };
/** As many as a unit has of γ and β. */
const PER_UNIT = 2;
const SMALL = 0.1;

type Params = { arm: Arm; lr: number; seed: number; steps: number };
/** Values trained, share of right test answers, validation loss (tuning only), share of γ below 0.1 in magnitude. */
type Result = { trained: number; accuracy: number; validationLoss: number | null; small: number };

const keyOf = (arm: Arm, lr: number, seed: number) => `${arm}-${lr}-${seed}`;
const armsOf = (mode: Plan["mode"]): readonly Arm[] => (mode === "full" ? ARMS : ["affine", "weights"]);

export const affineOnly = defineExperiment<Params, Result>({
  id: "E15",
  title: "Only γ and β",
  claim:
    "In a network of random weights, training nothing but the scales and shifts of batch normalization goes a long way, and further than training as many weights elsewhere.",
  source: "Frankle, Schwab & Morcos 2021, Training BatchNorm and Only BatchNorm (arXiv 2003.00152)",
  refutedBy:
    "A test accuracy below 70 % (whole interval) with γ and β alone, or a whole interval of the paired difference to as many random weights that lies below 0.",
  setting:
    "784-256-256-256-10 with ReLU, He's initialization and BatchNorm, γ = 1 and β = 0 at the start, batch 128, plain SGD, 350 steps. Trained are the 1,536 values of γ and β, with the readout frozen as well; or, as the control, two random weights of each hidden unit, 1,536 in all, with γ, β and the readout frozen. Reported beside them: the readout alone (2,570 values) and everything. Running statistics move in all. Learning rates from 0.01 to 300 by validation loss after 175 steps. 1.8 million samples.",
  shows: "What the features of a random network are worth when they are only scaled, shifted and switched off by ReLU.",
  doesNotShow:
    "The published figures, which are those of deep residual networks on images of objects. The control draws its weights evenly, in the first layer also at pixels that never change, as the paper's does; weights chosen well would do better.",
  formulas: ["y = \\gamma\\,\\frac{x - \\mu}{\\sqrt{\\sigma^2 + \\varepsilon}} + \\beta"],
  exploratory: "78.6 % and 83.3 % with γ and β alone (learning rate 0.1 and 0.3); the control was not tried",
  backend: "wasm",
  changes: [
    "2026-11-24, before any run on the reported seeds: the rates 10 to 300 were added. On the shared grid γ and β as well as the control were best at 3, its largest rate, and on trial seeds larger rates brought the control from 6 points behind to 2.",
  ],
  jobs({ mode, seeds }, done) {
    const job = (arm: Arm, lr: number, seed: number, steps: number) => ({
      key: keyOf(arm, lr, seed),
      params: { arm, lr, seed, steps },
    });
    const arms = armsOf(mode);
    const tuning = arms.flatMap((arm) => RATES[mode].map((lr) => job(arm, lr, TUNING_SEED, STEPS[mode].tuning)));
    const best = tuned(mode, done);
    const runs = best === undefined ? [] : seeds.flatMap((seed) => arms.map((arm) => job(arm, best[arm], seed, STEPS[mode].run)));
    return [...tuning, ...runs];
  },
  run({ arm, lr, seed, steps }, { train, test }) {
    const { model, parameters } = networkOf(arm, seed);
    for (const p of model.parameters()) p.requiresGrad = parameters.includes(p);
    const { divergedAt } = trainModel(model, { set: train, seed, lr, steps, parameters });
    const isTuning = seed === TUNING_SEED;
    const gammas = normsOf(model).flatMap(({ weight }) => Array.from(weight!.data()));
    return {
      trained: arm === "weights" ? PER_UNIT * gammas.length : parameters.reduce((sum, p) => sum + p.size, 0),
      accuracy: isTuning ? 0 : accuracyOn(model, test),
      validationLoss: isTuning && divergedAt === null ? validationLoss(model, { train, test }) : null,
      small: gammas.filter((gamma) => Math.abs(gamma) < SMALL).length / gammas.length,
    };
  },
  conclude({ mode, seeds }, done) {
    const best = tuned(mode, done)!;
    const of = (arm: Arm, what: "accuracy" | "small") => seeds.map((seed) => 100 * done.get(keyOf(arm, best[arm], seed))![what]);
    const count = (arm: Arm) => done.get(keyOf(arm, best[arm], seeds[0]!))!.trained.toLocaleString("en");
    const [own, control] = [of("affine", "accuracy"), of("weights", "accuracy")];
    const gain = pairedDifference(own, control);
    const [far, farther] = [above(interval(own), 70), above(gain, 0)];
    const arms = armsOf(mode);
    const metrics: Metric[] = [
      {
        ...interval(own),
        name: "test accuracy, γ and β only",
        unit: "%",
        role: "primary",
        criterion: "interval above 70",
        verdict: far,
        values: own,
      },
      {
        ...gain,
        name: "γ and β only minus as many random weights",
        unit: "points",
        role: "control",
        criterion: "interval above 0",
        verdict: farther,
        values: differences(own, control),
      },
      ...arms.slice(1).map((arm) => exploratory(`test accuracy, ${LABELS[arm]}`, "%", of(arm, "accuracy"))),
      exploratory(`share of γ below ${SMALL} in magnitude (a third is claimed; expected null)`, "%", of("affine", "small")),
    ];
    const described = arms.map(
      (arm) => `${mean(of(arm, "accuracy")).toFixed(1)} % (${LABELS[arm]}, ${count(arm)} values, rate ${best[arm]})`,
    );
    return {
      metrics,
      verdict: allOf(far, farther),
      finding: `Right on test images: ${described.join(", ")}. ${mean(of("affine", "small")).toFixed(1)} % of the trained γ lie below ${SMALL}, where the paper saw about a third.`,
      figures: [
        {
          kind: "dots",
          name: "e15-accuracy",
          title: "What is trained, and how far it comes",
          description:
            "Test accuracy of one network of which γ and β, as many random weights, the last layer or everything is trained.",
          caption: `All test images after ${STEPS[mode].run} steps, batch 128; dots are ${seeds.length} seeds, bars 95 % intervals of the mean. Each at the learning rate that was best on validation images.`,
          x: { label: "test accuracy, %" },
          rows: arms.map((arm) => dotsRow(`${LABELS[arm]} (${count(arm)})`, ROLES[arm], of(arm, "accuracy"))),
          rules: [
            { axis: "x", value: 10, label: "chance" },
            { axis: "x", value: 70, label: "threshold" },
          ],
        },
      ],
    };
  },
});

/** The rate of each arm; undefined while tuning runs are missing. */
function tuned(mode: Plan["mode"], done: Results<Result>): Record<Arm, number> | undefined {
  return bestRates(armsOf(mode), RATES[mode], (arm, rate) => done.get(keyOf(arm, rate, TUNING_SEED))?.validationLoss);
}

const normsOf = (model: Sequential) => [...model].filter((layer) => layer instanceof BatchNorm);

/** The network of an arm and what is trained of it. */
function networkOf(arm: Arm, seed: number): { model: Sequential; parameters: Tensor[] } {
  const model = buildMlp(seed, { norm: "batch", widths: WIDTHS });
  if (arm === "all") return { model, parameters: model.parameters() };
  if (arm === "affine") return { model, parameters: normsOf(model).flatMap((layer) => layer.parameters()) };
  const readout = linearsOf(model).at(-1)!;
  if (arm === "readout") return { model, parameters: readout.parameters() };
  const layers = [...model].map((layer, i) =>
    layer instanceof Linear && layer !== readout ? new FewWeights(layer, seed, i) : layer,
  );
  const few = layers.filter((layer) => layer instanceof FewWeights);
  return { model: new Sequential(...layers), parameters: few.map(({ change }) => change) };
}

/**
 * A dense layer of which `PER_UNIT` random weights of each unit are trained. What is trained is what they change by, from 0; all
 * other entries of `change` are masked, and so are their gradients.
 */
class FewWeights extends Module {
  readonly change: Tensor;
  private readonly mask: Tensor;

  constructor(
    private readonly layer: Linear,
    seed: number,
    counter: number,
  ) {
    super();
    const { inFeatures, outFeatures } = layer;
    const random = randomFor("E15", seed, "subset", counter);
    const mask = new Float32Array(inFeatures * outFeatures);
    for (let unit = 0; unit < outFeatures; unit++) {
      for (const input of random.permutation(inFeatures).slice(0, PER_UNIT)) mask[unit * inFeatures + input] = 1;
    }
    this.mask = tensor(mask, [outFeatures, inFeatures]);
    this.change = this.parameter("change", zeros([outFeatures, inFeatures]));
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this.layer;
    return linear(x, weight.detach().add(this.change.mul(this.mask)), bias?.detach() ?? null);
  }
}
