// E12: residual networks of up to a hundred blocks.
import { DataLoader } from "../../data/loader.js";
import type { LinesFigure, Role } from "../figure.js";
import { defineExperiment, type Job, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { branchVariances, buildResidualMlp, type ResidualArm } from "../residual-mlp.js";
import { allOf, everySeed, interval, mean, pairedDifference, slope, within } from "../statistics.js";
import { bandPoint, exploratory, finiteOrNull } from "../summary.js";
import { accuracyOn, finalLoss, splitImages, trainModel } from "../training.js";
import { bestRate, validationLoss } from "../tuning.js";

const ARMS = ["plain", "batch", "skipinit", "halved"] as const satisfies readonly ResidualArm[];
const LABELS: Readonly<Record<ResidualArm, string>> = {
  plain: "none",
  batch: "BatchNorm",
  skipinit: "SkipInit (α from 0)",
  halved: "none, divided by √2",
};
const ROLES: Readonly<Record<ResidualArm, Role>> = {
  plain: "plain",
  batch: "batch-norm",
  skipinit: "layer-norm",
  halved: "other",
};
const DEPTHS = { full: [10, 30, 60, 100], quick: [4, 8] };
/** The depth of the comparison with SkipInit, from which on the plain network has to fail. */
const JUDGED = { full: 60, quick: 8 };
const STEPS = { full: 150, quick: 10 };
const RATES = { full: [0.03, 0.1, 0.3], quick: [0.1] };
const WIDTH = 64;
const BATCH = 128;
const LAST = 20;

type Params = { arm: ResidualArm; blocks: number; lr: number; seed: number; steps: number };
/** Variances by block before training; null where not finite. */
type Result = {
  skip: (number | null)[];
  branch: (number | null)[];
  loss: number | null;
  validationLoss: number | null;
  accuracy: number;
};

const keyOf = ({ arm, blocks, lr, seed }: Omit<Params, "steps">) => `${arm}-${blocks}-lr${lr}-${seed}`;

export const residualDepth = defineExperiment<Params, Result>({
  id: "E12",
  title: "A hundred blocks",
  claim:
    "In a residual network batch normalization makes each branch small beside what it is added to, by one over the depth; so blocks begin near the identity. Beginning at the identity by other means trains as deep a network.",
  source: "De & Smith 2020, Batch Normalization Biases Residual Blocks Towards the Identity Function (arXiv 2002.10444)",
  refutedBy:
    "A slope of branch over skip variance against depth, both logarithmic, outside of −1.2 to −0.8; a plain network that trains from 60 blocks on; or accuracies with SkipInit and with BatchNorm at 60 blocks that differ by 10 points or more.",
  setting:
    "784-64, 10 to 100 blocks x + f(x) with f = [BatchNorm,] ReLU, dense 64; batch 128, 150 steps, SGD; each network and depth at its best of 0.03, 0.1 and 0.3 on validation images of another seed. Variances on 512 images before training. About 2.5 million samples.",
  shows: "Why depth does not hurt a normalized residual network at the start, and that one learned scalar does as much for that.",
  doesNotShow: "Whether SkipInit ends as well in a long training: the budget is short.",
  formulas: ["\\frac{\\operatorname{Var} f_l}{\\operatorname{Var} x_l} \\approx \\frac1l"],
  exploratory:
    "branch variance about 1, skip variance 55 after 60 blocks; the plain network's skip variance grew to 7e15; loss after 80 steps 0.36 with BatchNorm, 0.70 with SkipInit",
  backend: "wasm",
  changes: [],
  jobs(plan, done) {
    const { mode, seeds } = plan;
    return ARMS.flatMap((arm) =>
      DEPTHS[mode].flatMap((blocks) => {
        const lr = tunedRate(arm, blocks, mode, done);
        return [
          ...RATES[mode].map((rate) => jobOf(plan, { arm, blocks, lr: rate, seed: TUNING_SEED })),
          ...(lr === undefined ? [] : seeds.map((seed) => jobOf(plan, { arm, blocks, lr, seed }))),
        ];
      }),
    );
  },
  run({ arm, blocks, lr, seed, steps }, sets) {
    const model = buildResidualMlp(seed, arm, blocks, WIDTH);
    const loader = new DataLoader(sets.train, {
      batchSize: 512,
      shuffle: true,
      seed,
      flatten: true,
      indices: splitImages(sets.train).training,
    });
    const { inputs } = loader.tensors(loader.order(0).slice(0, 512));
    const { skip, branch } = branchVariances(model, inputs);
    for (const layer of model.modules())
      if ("resetRunningStats" in layer) (layer as { resetRunningStats(): void }).resetRunningStats();
    const training = trainModel(model, { set: sets.train, seed, lr, steps, batch: BATCH });
    return {
      skip: skip.map(finiteOrNull),
      branch: branch.map(finiteOrNull),
      loss: finiteOrNull(finalLoss(training, LAST)),
      validationLoss: validationLoss(model, sets),
      accuracy: 100 * accuracyOn(model, sets.test),
    };
  },
  conclude({ mode, seeds }, done) {
    const of = (arm: ResidualArm, blocks: number) =>
      seeds.map((seed) => done.get(keyOf({ arm, blocks, lr: tunedRate(arm, blocks, mode, done)!, seed }))!);
    const deepest = DEPTHS[mode].at(-1)!;
    const slopes = of("batch", deepest).map(slopeOf);
    const deep = DEPTHS[mode].filter((blocks) => blocks >= JUDGED[mode]);
    const fails = seeds.map((_, i) => deep.every((blocks) => (of("plain", blocks)[i]!.loss ?? Infinity) > 2));
    const accuracy = (arm: ResidualArm) => of(arm, JUDGED[mode]).map((result) => result.accuracy);
    const difference = pairedDifference(accuracy("skipinit"), accuracy("batch"));
    const verdicts = [within(interval(slopes), -1.2, -0.8), everySeed(fails), within(difference, -10, 10)] as const;
    return {
      metrics: [
        {
          ...interval(slopes),
          name: `slope of branch over skip variance against depth, BatchNorm, ${deepest} blocks`,
          unit: "",
          role: "primary",
          criterion: "interval within −1.2 to −0.8",
          verdict: verdicts[0],
          values: slopes,
        },
        {
          ...interval(fails.map(Number)),
          name: `plain network: loss above 2 or not finite from ${JUDGED[mode]} blocks on`,
          unit: "share of seeds",
          role: "control",
          criterion: "every seed",
          verdict: verdicts[1],
          values: fails.map(Number),
        },
        {
          ...difference,
          name: `accuracy with ${JUDGED[mode]} blocks, SkipInit minus BatchNorm`,
          unit: "points",
          role: "control",
          criterion: "interval within ±10",
          verdict: verdicts[2],
          values: accuracy("skipinit").map((x, i) => x - accuracy("batch")[i]!),
        },
        ...ARMS.map((arm) => exploratory(`accuracy with ${JUDGED[mode]} blocks, ${LABELS[arm]}`, "%", accuracy(arm))),
      ],
      verdict: allOf(...verdicts),
      finding: `The branch's share falls with depth to the power ${mean(slopes).toFixed(2)}. With ${JUDGED[mode]} blocks ${mean(accuracy("batch")).toFixed(1)} % are right with BatchNorm, ${mean(accuracy("skipinit")).toFixed(1)} % with SkipInit, ${mean(accuracy("plain")).toFixed(1)} % without either.`,
      figures: [variances(deepest, seeds.length, of), byDepth(DEPTHS[mode], STEPS[mode], seeds.length, of)],
    };
  },
});

const tunedRate = (arm: ResidualArm, blocks: number, mode: Plan["mode"], done: Results<Result>) =>
  bestRate(RATES[mode], (lr) => done.get(keyOf({ arm, blocks, lr, seed: TUNING_SEED }))?.validationLoss);

function jobOf({ mode }: Plan, params: Omit<Params, "steps">): Job<Params> {
  return { key: keyOf(params), params: { ...params, steps: STEPS[mode] } };
}

/** From the second block on: before the first, the skip is the input's own dense layer. */
function slopeOf({ skip, branch }: Result): number {
  const blocks = skip.map((_, i) => i + 1).slice(1);
  return slope(
    blocks.map(Math.log),
    blocks.map((l) => Math.log(branch[l - 1]! / skip[l - 1]!)),
  );
}

type Of = (arm: ResidualArm, blocks: number) => readonly Result[];

function variances(deepest: number, seeds: number, of: Of): LinesFigure {
  const ratio = (arm: ResidualArm) =>
    Array.from({ length: deepest }, (_, i) =>
      bandPoint(
        i + 1,
        of(arm, deepest).map(({ skip, branch }) => (branch[i] ?? Number.NaN) / (skip[i] ?? Number.NaN)),
      ),
    );
  return {
    kind: "lines",
    name: "e12-variance",
    title: "How large a branch is beside what it is added to",
    description:
      "Variance of the branch over that of the skip against the number of the block, both axes logarithmic: with batch normalization it falls like one over the depth, without it stays level.",
    caption: `${deepest} blocks before training, 512 images in training mode; mean of ${seeds} seeds, band from the least to the largest. SkipInit multiplies its branch by 0 at this moment.`,
    x: { label: "block", log: true },
    y: { label: "variance of branch / skip", log: true },
    series: [
      ...(["plain", "batch", "halved"] as const).map((arm) => ({ label: LABELS[arm], role: ROLES[arm], points: ratio(arm) })),
      {
        label: "1/l",
        role: "theory" as const,
        dashed: true,
        points: Array.from({ length: deepest }, (_, i): [number, number] => [i + 1, 1 / (i + 1)]),
      },
    ],
    rules: [],
  };
}

function byDepth(depths: readonly number[], steps: number, seeds: number, of: Of): LinesFigure {
  return {
    kind: "lines",
    name: "e12-loss",
    title: "Loss after the same steps, by depth",
    description: "Final training loss against the number of blocks for the four networks; a line ends where runs diverge.",
    caption: `Mean of the last ${Math.min(LAST, steps)} of ${steps} training losses, each network and depth at its best rate on validation images; mean of ${seeds} seeds, band from the least to the largest.`,
    x: { label: "blocks" },
    y: { label: "training loss" },
    series: ARMS.map((arm) => ({
      label: LABELS[arm],
      role: ROLES[arm],
      points: depths.map((blocks) =>
        bandPoint(
          blocks,
          of(arm, blocks).map(({ loss }) => loss),
        ),
      ),
    })),
    rules: [{ axis: "y", value: Math.log(10), label: "guessing" }],
  };
}
