// E16: batch normalization before the activation or after it.
import type { LinesFigure, Role } from "../figure.js";
import { buildMlp } from "../networks.js";
import { defineExperiment, LEARNING_RATES, type Metric, type Plan, type Results, TUNING_SEED } from "../protocol.js";
import { interval, mean } from "../statistics.js";
import { differences, exploratory } from "../summary.js";
import { accuracyOn, finalLoss, trainModel } from "../training.js";
import { bestRates, validationLoss } from "../tuning.js";

const ACTIVATIONS = ["relu", "sigmoid"] as const;
type Activation = (typeof ACTIVATIONS)[number];
const NAMES: Readonly<Record<Activation, string>> = { relu: "ReLU", sigmoid: "sigmoid" };
const PLACES = ["before", "after"] as const;
type Place = (typeof PLACES)[number];
const ROLES: Readonly<Record<Place, Role>> = { before: "batch-norm", after: "other" };
type Arm = `${Activation}-${Place}`;

const RATES: Readonly<Record<Plan["mode"], readonly number[]>> = { full: [...LEARNING_RATES, 10], quick: [0.1, 0.3] };
/** The rate that all arms share, beside each arm's own. */
const SHARED = 0.1;
const STEPS = { full: { run: 350, tuning: 175 }, quick: { run: 20, tuning: 10 } };
/** The early loss is the mean of this many steps around step 50; in quick runs, around the fifth. */
const EARLY = { full: { from: 40, to: 60 }, quick: { from: 2, to: 8 } };
const LAST = 20;
const EVERY = 10;

type Params = { arm: Arm; lr: number; seed: number; steps: number };
type Result = { losses: (number | null)[]; loss: number | null; accuracy: number; validationLoss: number | null };

const keyOf = (arm: Arm, lr: number, seed: number) => `${arm}-${lr}-${seed}`;
const activationsOf = (mode: Plan["mode"]) => (mode === "full" ? ACTIVATIONS : ACTIVATIONS.slice(0, 1));
const armsOf = (mode: Plan["mode"]) => activationsOf(mode).flatMap((a) => PLACES.map((place) => `${a}-${place}` as const));

export const beforeAfter = defineExperiment<Params, Result>({
  id: "E16",
  title: "Before or after the activation",
  claim: "It matters whether batch normalization stands before the activation or after it. Nobody agrees which is better.",
  source:
    "Ioffe & Szegedy 2015, section 3.2, argue for before; Mishkin et al. 2016 (caffenet-benchmark) measured after as better in one network and before in another",
  refutedBy: "Nothing: the difference is reported in both directions and no winner was predicted.",
  setting:
    "784-100-100-100-10 with BatchNorm before or after each hidden activation, ReLU (He's initialization) and sigmoid (Xavier's), batch 128, plain SGD, 350 steps; at learning rate 0.1, and at each arm's own rate, chosen among 0.01 to 10 by validation loss after 175 steps. Early loss: mean of the training losses of steps 41 to 60. At most 2.4 million samples.",
  shows:
    "Which place is faster early on and which is better at the end, for two activations and two ways to set the learning rate.",
  doesNotShow: "A general winner: published results go both ways, with the network, the initialization and the budget.",
  formulas: ["\\phi(\\mathrm{BN}(Wx)) \\quad\\text{or}\\quad \\mathrm{BN}(\\phi(Wx))"],
  exploratory:
    "loss at step 50: ReLU 0.587 before, 0.423 after; sigmoid 1.441 and 0.454. Final accuracy: ReLU 95.4 % both, sigmoid 90.6 and 92.4 %",
  backend: "wasm",
  changes: [
    "2026-11-24, before any run on the reported seeds: the rate 10 was added, since the sigmoid network normalized before the activation was best at 3, the largest rate of the grid.",
  ],
  jobs({ mode, seeds }, done) {
    const job = (arm: Arm, lr: number, seed: number, steps: number) => ({
      key: keyOf(arm, lr, seed),
      params: { arm, lr, seed, steps },
    });
    const arms = armsOf(mode);
    const tuning = arms.flatMap((arm) => RATES[mode].map((lr) => job(arm, lr, TUNING_SEED, STEPS[mode].tuning)));
    const best = tuned(mode, done);
    const rates = (arm: Arm) => (best === undefined ? [SHARED] : [...new Set([SHARED, best[arm]])]);
    const runs = seeds.flatMap((seed) => arms.flatMap((arm) => rates(arm).map((lr) => job(arm, lr, seed, STEPS[mode].run))));
    return [...tuning, ...runs];
  },
  run({ arm, lr, seed, steps }, { train, test }) {
    const [activation, place] = arm.split("-") as [Activation, Place];
    const model = buildMlp(seed, { norm: "batch", activation, place });
    const training = trainModel(model, { set: train, seed, lr, steps });
    const loss = finalLoss(training, LAST);
    const isTuning = seed === TUNING_SEED;
    return {
      losses: isTuning ? [] : training.losses,
      loss: Number.isFinite(loss) ? loss : null,
      accuracy: isTuning ? 0 : accuracyOn(model, test),
      validationLoss: isTuning && training.divergedAt === null ? validationLoss(model, { train, test }) : null,
    };
  },
  conclude(plan, done) {
    const { mode, seeds } = plan;
    const best = tuned(mode, done)!;
    const measures = [
      { name: "early loss", unit: "nats", of: ({ losses }: Result) => meanLoss(losses.slice(EARLY[mode].from, EARLY[mode].to)) },
      { name: "final training loss", unit: "nats", of: ({ loss }: Result) => loss ?? Number.NaN },
      { name: "test accuracy", unit: "points", of: ({ accuracy }: Result) => 100 * accuracy },
    ];
    const tunings = [
      { words: `learning rate ${SHARED}`, rate: () => SHARED },
      { words: "each at its own rate", rate: (arm: Arm) => best[arm] },
    ];
    const values = (arm: Arm, rate: (arm: Arm) => number, of: (result: Result) => number) =>
      seeds.map((seed) => of(done.get(keyOf(arm, rate(arm), seed))!));
    const metrics: Metric[] = activationsOf(mode).flatMap((activation) =>
      tunings.flatMap(({ words, rate }) =>
        measures.map(({ name, unit, of }) => {
          const [before, after] = PLACES.map((place) => values(`${activation}-${place}`, rate, of)) as [number[], number[]];
          return exploratory(`${NAMES[activation]}, ${words}: ${name}, after minus before`, unit, differences(after, before));
        }),
      ),
    );
    const describe = (activation: Activation) => {
      const own = PLACES.map((place) => {
        const arm: Arm = `${activation}-${place}`;
        const [early, , accuracy] = measures.map(({ of }) => mean(values(arm, tunings[1]!.rate, of)));
        return `${place} ${early!.toFixed(3)} and ${accuracy!.toFixed(1)} % (rate ${best[arm]})`;
      });
      return `${NAMES[activation]} ${own.join(", ")}`;
    };
    return {
      metrics,
      verdict: null,
      finding: `Early loss and final test accuracy, each at its own learning rate: ${activationsOf(mode).map(describe).join("; ")}.`,
      figures: [figure(plan, best, done)],
    };
  },
});

/** The rate of each arm; undefined while tuning runs are missing. */
function tuned(mode: Plan["mode"], done: Results<Result>): Record<Arm, number> | undefined {
  return bestRates(armsOf(mode), RATES[mode], (arm, rate) => done.get(keyOf(arm, rate, TUNING_SEED))?.validationLoss);
}

/** NaN where a loss is missing: the run ended early. */
const meanLoss = (losses: readonly (number | null)[]) => mean(losses.map((loss) => loss ?? Number.NaN));

function figure({ mode, seeds }: Plan, best: Record<Arm, number>, done: Results<Result>): LinesFigure {
  const points = (arm: Arm, lr: number) =>
    Array.from({ length: Math.floor(STEPS[mode].run / EVERY) }, (_, i): [number, number | null, number | null, number | null] => {
      const runs = seeds.map((seed) => meanLoss(done.get(keyOf(arm, lr, seed))!.losses.slice(i * EVERY, (i + 1) * EVERY)));
      const step = (i + 0.5) * EVERY;
      if (!Number.isFinite(interval(runs).estimate)) return [step, null, null, null];
      return [step, mean(runs), Math.min(...runs), Math.max(...runs)];
    });
  return {
    kind: "lines",
    name: "e16-loss",
    title: "Normalized before or after the activation",
    description:
      "Training loss against step for BatchNorm before and after the activation, in a panel for each activation and learning rate.",
    caption: `Mean of ${EVERY} steps and ${seeds.length} seeds, bands from the least to the largest seed; batch 128, ${STEPS[mode].run} steps.`,
    x: { label: "step" },
    y: { label: "training loss", log: true },
    series: activationsOf(mode).flatMap((activation) =>
      PLACES.flatMap((place) => {
        const arm: Arm = `${activation}-${place}`;
        const line = (panel: string, lr: number) => ({ label: place, role: ROLES[place], panel, points: points(arm, lr) });
        return [
          line(`${NAMES[activation]}, learning rate ${SHARED}`, SHARED),
          line(`${NAMES[activation]}, each at its own rate`, best[arm]),
        ];
      }),
    ),
    rules: [],
  };
}
