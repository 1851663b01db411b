// E20: how wrong the mean and variance of a mini-batch are.
import { noGrad } from "../../autograd/mode.js";
import { DataLoader } from "../../data/loader.js";
import { randomFor } from "../../data/seed.js";
import { allIndices } from "../../data/split.js";
import { tidy } from "../../tensor/scope.js";
import type { LinesFigure } from "../figure.js";
import { buildMlp, linearsOf } from "../networks.js";
import { defineExperiment } from "../protocol.js";
import { interval, mean, slope, within } from "../statistics.js";
import { trainModel } from "../training.js";

const SIZES = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/** The slope is fitted from this size on. */
const FITTED = 8;
const DRAWS = { full: 400, quick: 40 };
const STEPS = { full: 300, quick: 20 };
const POPULATION = 10_000;

type Params = { seed: number; steps: number; draws: number };
/** Root mean square errors by batch size: of the mean in units of σ, of the variance in units of σ². */
type Result = { meanError: number[]; varianceError: number[] };

const keyOf = (seed: number) => `seed-${seed}`;

export const batchStatistics = defineExperiment<Params, Result>({
  id: "E20",
  title: "How wrong is a mini-batch?",
  claim: "Each mini-batch gives estimates of mean and variance: their error falls with the square root of the batch size.",
  source:
    "The article, and Ioffe & Szegedy 2015, section 3; the laws are those of independent draws, for the variance of a normal",
  refutedBy:
    "A slope of the error of the mean against batch size, both logarithmic and from 8 on, whose 95 % interval lies outside of −0.55 to −0.45.",
  setting:
    "784-100-100-100-10 with ReLU and BatchNorm, learning rate 0.1, batch 128, 300 steps; then the inputs of the first normalization on 10,000 training images, from which 400 batches of each size are drawn with replacement. 0.24 million samples.",
  shows: "How much the statistics that normalize a batch vary from batch to batch, unit by unit.",
  doesNotShow: "Whether that noise helps or harms training: see E9 and the expected nulls.",
  formulas: ["\\frac{\\sigma}{\\sqrt m}", "\\sigma^2\\sqrt{\\frac{2}{m-1}}"],
  exploratory: "none",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.map((seed) => ({ key: keyOf(seed), params: { seed, steps: STEPS[mode], draws: DRAWS[mode] } })),
  run({ seed, steps, draws }, { train }) {
    const model = buildMlp(seed, { norm: "batch" });
    trainModel(model, { set: train, seed, lr: 0.1, steps });
    const first = linearsOf(model)[0]!;
    const count = Math.min(POPULATION, train.count);
    const loader = new DataLoader(train, { batchSize: count, flatten: true });
    const values = tidy(() => noGrad(() => Float64Array.from(first.forward(loader.tensors(allIndices(count)).inputs).data())));
    const random = randomFor("E20", seed, "subset");
    return errors(values, count, (size) => Int32Array.from({ length: size }, () => random.integer(count)), draws);
  },
  conclude({ mode, seeds }, done) {
    const from = SIZES.indexOf(FITTED);
    const logs = (list: readonly number[]) => list.slice(from).map(Math.log);
    const slopes = (of: keyof Result) => seeds.map((seed) => slope(logs(SIZES), logs(done.get(keyOf(seed))![of])));
    const [meanSlopes, varianceSlopes] = [slopes("meanError"), slopes("varianceError")];
    const primary = within(interval(meanSlopes), -0.55, -0.45);
    const at32 = mean(seeds.map((seed) => done.get(keyOf(seed))!.meanError[SIZES.indexOf(32)]!));
    return {
      metrics: [
        {
          ...interval(meanSlopes),
          name: "slope of the error of the mean",
          unit: "per log size",
          role: "primary",
          criterion: "interval within −0.55 to −0.45",
          verdict: primary,
          values: meanSlopes,
        },
        {
          ...interval(varianceSlopes),
          name: "slope of the error of the variance",
          unit: "per log size",
          role: "exploratory",
          values: varianceSlopes,
        },
      ],
      verdict: primary,
      finding: `The mean of a batch of 32 is wrong by ${(100 * at32).toFixed(1)} % of σ (the law says ${(100 / Math.sqrt(32)).toFixed(1)} %).`,
      figures: [figure(seeds, DRAWS[mode], done)],
    };
  },
});

/** Errors of batches of each size against the whole of `values` [count, units], which are the population. */
function errors(values: Float64Array, count: number, draw: (size: number) => Int32Array, draws: number): Result {
  const units = values.length / count;
  const all = momentsOf(values, units, allIndices(count));
  const result: Result = { meanError: [], varianceError: [] };
  for (const size of SIZES) {
    let [meanSquares, varianceSquares] = [0, 0];
    for (let d = 0; d < draws; d++) {
      const batch = momentsOf(values, units, draw(size));
      for (let u = 0; u < units; u++) {
        meanSquares += (batch.means[u]! - all.means[u]!) ** 2 / all.variances[u]!;
        // The unbiased estimate, whose law √(2 / (m − 1)) is.
        varianceSquares += ((batch.variances[u]! * size) / (size - 1) / all.variances[u]! - 1) ** 2;
      }
    }
    result.meanError.push(Math.sqrt(meanSquares / (draws * units)));
    result.varianceError.push(Math.sqrt(varianceSquares / (draws * units)));
  }
  return result;
}

function momentsOf(values: Float64Array, units: number, rows: Int32Array) {
  const [means, variances] = [new Float64Array(units), new Float64Array(units)];
  for (const row of rows) for (let u = 0; u < units; u++) means[u]! += values[row * units + u]! / rows.length;
  for (const row of rows) {
    for (let u = 0; u < units; u++) variances[u]! += (values[row * units + u]! - means[u]!) ** 2 / rows.length;
  }
  return { means, variances };
}

function figure(seeds: readonly number[], draws: number, done: ReadonlyMap<string, Result>): LinesFigure {
  const measured = (of: keyof Result) =>
    SIZES.map((size, i): [number, number] => [size, mean(seeds.map((seed) => done.get(keyOf(seed))![of][i]!))]);
  const law = (error: (size: number) => number) => SIZES.map((size): [number, number] => [size, error(size)]);
  return {
    kind: "lines",
    name: "e20-errors",
    title: "Error of a batch's statistics, by its size",
    description:
      "Root mean square error of the batch mean and of the batch variance against batch size, both axes logarithmic, beside the laws 1/√m and √(2/(m − 1)).",
    caption: `Over 100 units of the first layer, ${draws} batches of each size and ${seeds.length} seeds; the mean in units of σ, the variance in units of σ². The law of the variance holds for a normal; units whose inputs have heavier tails lie above it.`,
    x: { label: "batch size", log: true },
    y: { label: "root mean square error", log: true },
    series: [
      { label: "mean", role: "batch-norm", points: measured("meanError") },
      { label: "1/√m", role: "theory", dashed: true, points: law((m) => 1 / Math.sqrt(m)) },
      { label: "variance", role: "layer-norm", points: measured("varianceError") },
      { label: "√(2/(m − 1))", role: "theory", dashed: true, points: law((m) => Math.sqrt(2 / (m - 1))) },
    ],
    rules: [],
  };
}
