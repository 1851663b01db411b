import { assert, asyncProperty } from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import { batchNorm } from "../../src/nn/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import { outside, startTargets, type Target } from "../fixtures/compare.js";
import { channelMoments, normalize, sizesOf } from "../reference/batch-norm.js";
import { type BatchNormExample, examples, LARGEST_OFFSET, type Results, RUNS, trainingExamples } from "./batch-norm-examples.js";
import { runInOnnxRuntime } from "./onnx-batch-norm.js";

/** Half of float32's last bit, relative to a number. */
const U = 2 ** -24;

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** nn.batchNorm under ONNX's rule: the running variance takes the biased one. */
function runHere(example: BatchNormExample, training: boolean, { backend }: Target): Results {
  const { shape, x, eps, momentum } = example;
  const perChannel = (values: Float32Array) => tensor(values, [shape[1]!]);
  return withBackend(backend, () =>
    tidy(() => {
      const [weight, bias] = [perChannel(example.weight), perChannel(example.bias)];
      const [runningMean, runningVar] = [perChannel(example.mean), perChannel(example.variance)];
      const options = { weight, bias, runningMean, runningVar, training, eps, momentum, unbiasedRunningVar: false };
      const y = batchNorm(tensor(x, shape), options);
      return { y: y.data(), mean: runningMean.data(), variance: runningVar.data() };
    }),
  );
}

/** The same in float64, and how far float32 results may be from it, value by value, in units of U. */
function judge({ shape, x, weight, bias, mean, variance, eps, momentum }: BatchNormExample, training: boolean) {
  const sizes = sizesOf(shape);
  const used = training ? channelMoments(x, sizes) : { mean: Float64Array.from(mean), variance: Float64Array.from(variance) };
  const factor = training ? momentum : 0;
  const moved = (old: Float32Array, now: Float64Array) => now.map((v, k) => (1 - factor) * old[k]! + factor * v);
  const want: Results = {
    y: normalize(x, sizes, used, { weight, bias, eps }),
    mean: moved(mean, used.mean),
    variance: moved(variance, used.variance),
  };
  const channel = (i: number) => Math.floor(i / sizes.s) % sizes.c;
  /** |γ| / √(σ² + ε) · distance + |β| */
  const scaled = (i: number, distance: number) => {
    const k = channel(i);
    return (Math.abs(weight[k]!) / Math.sqrt(used.variance[k]! + eps)) * distance + Math.abs(bias[k]!);
  };
  const deviation = (k: number) => Math.sqrt(used.variance[k]!);
  const offset = (k: number) => Math.abs(used.mean[k]!);
  /** What rounding of the results themselves explains: x − μ is not rounded to the size of x. */
  const exact = {
    y: (i: number) => scaled(i, Math.abs(x[i]! - used.mean[channel(i)]!)),
    mean: (k: number) => Math.abs(mean[k]!) + offset(k) + deviation(k),
    variance: (k: number) => variance[k]! + used.variance[k]!,
  };
  /** What arithmetic in float32 explains: errors of the size of x and μ, divided by the deviation. */
  const float32 = {
    y: (i: number) => scaled(i, Math.abs(x[i]!) + offset(channel(i))),
    mean: exact.mean,
    variance: (k: number) => exact.variance(k) + offset(k) * deviation(k) + U * offset(k) ** 2,
  };
  return { want, exact, float32 };
}

type Bounds = ReturnType<typeof judge>["exact"];

/** Where `got` is outside `bounds` (in units of `unit`) around `want`. */
function problems(who: string, got: Results, want: Results, bounds: Bounds, unit: number): string[] {
  const names = ["y", "mean", "variance"] as const;
  return names
    .map((name) => outside(`${who}: ${name}`, got[name], want[name], (i) => unit * bounds[name](i)))
    .filter((text) => text !== null);
}

const sum = (a: Bounds, aUnit: number, b: Bounds, bUnit: number): Bounds => ({
  y: (i) => aUnit * a.y(i) + bUnit * b.y(i),
  mean: (i) => aUnit * a.mean(i) + bUnit * b.mean(i),
  variance: (i) => aUnit * a.variance(i) + bUnit * b.variance(i),
});

const OWN = 8 * U;
const THEIRS = 64 * U;

/** evenkeel against the float64 oracle, and against onnxruntime within both bounds. */
async function compare(example: BatchNormExample, training: boolean): Promise<void> {
  const { want, exact, float32 } = judge(example, training);
  const theirs = await runInOnnxRuntime(example, training);
  for (const target of targets) {
    const ours = runHere(example, training, target);
    expect(problems(`${target.name} against float64`, ours, want, exact, OWN)).toEqual([]);
    const both = sum(exact, OWN, float32, THEIRS);
    expect(problems(`${target.name} against onnxruntime`, ours, theirs, both, 1)).toEqual([]);
  }
}

describe(`nn.batchNorm, rank 2 to 5, offsets up to ${LARGEST_OFFSET}, ${RUNS} random examples (a failure names its seed)`, () => {
  const bounds =
    "is within 8·2⁻²⁴·(|γ·x̂| + |β|) of float64, and of onnxruntime within 64·2⁻²⁴·(|γ|·(|x| + |μ|)/√(σ² + ε) + |β|) more";

  test(`inference ${bounds}`, async () => {
    await assert(
      asyncProperty(examples, (example) => compare(example, false)),
      { numRuns: RUNS },
    );
  });

  test(`training ${bounds}; running values (biased, momentum 1 − m) by the same measure`, async () => {
    await assert(
      asyncProperty(trainingExamples, (example) => compare(example, true)),
      { numRuns: RUNS },
    );
  });

  test("the comparison sees a running variance that is unbiased, and a momentum taken the other way round", async () => {
    const example = { ...oneChannel, momentum: 0.25 };
    const { want, exact } = judge(example, true);
    const unbiased = 0.75 * 1 + 0.25 * (5 / 3);
    const wrong = { ...want, variance: [unbiased] };
    expect(problems("x", wrong, want, exact, OWN)).toHaveLength(1);
    expect(problems("x", await runInOnnxRuntime({ ...example, momentum: 0.75 }, true), want, exact, THEIRS)).toHaveLength(2);
    expect(problems("x", await runInOnnxRuntime(example, true), want, exact, THEIRS)).toEqual([]);
  });
});

/** Mean 2.5, biased variance 1.25. */
const oneChannel: BatchNormExample = {
  shape: [4, 1],
  eps: Math.fround(1e-5),
  momentum: 0.25,
  x: Float32Array.of(1, 2, 3, 4),
  weight: Float32Array.of(1),
  bias: Float32Array.of(0),
  mean: Float32Array.of(0),
  variance: Float32Array.of(1),
};
