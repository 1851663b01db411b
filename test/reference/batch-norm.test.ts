import { afterAll, describe, expect, it } from "vitest";
import { Random } from "../../src/core/random.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { tensor } from "../../src/tensor/create.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, goldenCases, type LayerCase } from "../fixtures/golden.js";
import { optionsOf, startOf, usesBatch } from "../golden/batch-norm-layer.js";
import {
  channelMoments,
  evalBackward,
  nextRunning,
  normalize,
  type Running,
  sizesOf,
  startRunning,
  trainBackward,
  trainForward,
} from "./batch-norm.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** Where the oracle differs from PyTorch in a case, as lines of text. */
function oracleDifferences(example: LayerCase): string[] {
  const found: (string | null)[] = [];
  const { eps, momentum, trackRunningStats } = optionsOf(example);
  const { weight, bias, mean, variance } = startOf(example);
  const affine = { weight, bias, eps };
  let running: Running = startRunning(example.steps[0]!.x.shape[1]!);
  example.steps.forEach((step, i) => {
    const [x, dy] = [decode(step.x), decode(step.dy)];
    const sizes = sizesOf(step.x.shape);
    const own = usesBatch(example);
    const moments = own ? channelMoments(x, sizes) : { mean: mean!, variance: variance! };
    const slope = largest(Array.from(moments.variance, (v, k) => (weight?.[k] ?? 1) / Math.sqrt(v + eps)));
    const y = own ? trainForward(x, sizes, affine) : normalize(x, sizes, moments, affine);
    const g = own ? trainBackward(x, dy, sizes, affine) : evalBackward(x, dy, sizes, moments, affine);
    const rounding = 2 ** -50 * largest(x) * slope;
    found.push(outside(`batch ${i}: y`, y, decode(step.y), 1e-9 * largest(weight ?? [1]) + rounding));
    found.push(outside(`batch ${i}: dx`, g.dx, decode(step.dx), 1e-9 * slope * largest(dy)));
    for (const [key, values] of [["weight", g.dweight] as const, ["bias", g.dbias] as const]) {
      const want = step.grads[key] && decode(step.grads[key]);
      if (want) found.push(outside(`batch ${i}: gradient of ${key}`, values, want, 1e-9 * largest(want)));
    }
    if (!example.training || !trackRunningStats) return;
    running = nextRunning(running, x, sizes, momentum);
    const wantMean = decode(step.state.running_mean!);
    const wantVar = decode(step.state.running_var!);
    found.push(outside(`batch ${i}: running_mean`, running.mean, wantMean, (j) => 1e-9 * Math.abs(wantMean[j]!)));
    found.push(outside(`batch ${i}: running_var`, running.variance, wantVar, (j) => 1e-9 * Math.abs(wantVar[j]!)));
  });
  return found.filter((line) => line !== null);
}

describe("the oracle against PyTorch 2.13 in float64", () => {
  it.each(goldenCases("batch-norm"))("$name: within 1e-9 relative + PyTorch's rounding at offsets, 2^-50·max|x/σ|", (example) => {
    expect(oracleDifferences(example)).toEqual([]);
  });

  it("by hand: 1, 3 with γ = 2, β = 5 and ε = 0 gives 3, 7; variance 1, unbiased 2", () => {
    const sizes = { n: 2, c: 1, s: 1 };
    expect([...trainForward([1, 3], sizes, { weight: [2], bias: [5], eps: 0 })]).toEqual([3, 7]);
    expect(nextRunning(startRunning(1), [1, 3], sizes, 1)).toEqual({
      mean: Float64Array.of(2),
      variance: Float64Array.of(2),
      count: 1,
    });
  });

  it("its backward pass is the derivative of its forward pass, within 1e-8 by central differences", () => {
    const random = new Random(3);
    const sizes = { n: 3, c: 2, s: 2 };
    const draw = (n: number) => Float64Array.from({ length: n }, () => random.normal());
    const [x, dy, weight, bias] = [draw(12), draw(12), draw(2), draw(2)];
    const affine = { weight, bias, eps: 1e-3 };
    const loss = (values: Float64Array, w: Float64Array = weight, b: Float64Array = bias) =>
      trainForward(values, sizes, { ...affine, weight: w, bias: b }).reduce((total, v, i) => total + v * dy[i]!, 0);
    const slope = (f: (values: Float64Array) => number, at: Float64Array) =>
      at.map((_, i) => {
        const moved = (h: number) => f(at.map((v, j) => (i === j ? v + h : v)));
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      });
    const g = trainBackward(x, dy, sizes, affine);
    const differences = [
      outside("dx", g.dx, slope(loss, x), 1e-8),
      outside(
        "dweight",
        g.dweight,
        slope((w) => loss(x, w), weight),
        1e-8,
      ),
      outside(
        "dbias",
        g.dbias,
        slope((b) => loss(x, weight, b), bias),
        1e-8,
      ),
    ];
    expect(differences).toEqual([null, null, null]);
  });
});

/** Float32 values around an offset, [n, c, ...rest]. */
function batch(shape: readonly number[], offset: number, spread: number, seed: number): Float32Array {
  const random = new Random(seed);
  const size = shape.reduce((product, n) => product * n, 1);
  return Float32Array.from({ length: size }, () => offset + spread * random.normal());
}

const shapes = [
  [64, 5],
  [33, 3, 7],
  [4, 5, 40],
  [4096, 1],
] as const;
const constantShapes = [
  [33, 3],
  [6, 3, 50],
  [2, 3, 1500],
];
const offsets = [0, 1, 1e2, 1e3, 1e4, 1e5, 1e6, -1e6] as const;

describe.each(targets)("the layer against the oracle, on $name", ({ backend }) => {
  it.each(offsets.flatMap((offset) => shapes.map((shape) => ({ offset, shape }))))(
    "at offset $offset, $shape: y within 1e-5·max|γ|, dx within 1e-5·max|γ/σ|·max|dy|",
    ({ offset, shape }) => {
      const sizes = sizesOf(shape);
      const x = batch(shape, offset, 1, 11);
      const dy = batch(shape, 0, 1, 12);
      const weight = batch([sizes.c], 1, 0.5, 13);
      const bias = batch([sizes.c], 0, 1, 14);
      const affine = { weight, bias, eps: 1e-5 };
      const slope = largest(Array.from(channelMoments(x, sizes).variance, (v, k) => weight[k]! / Math.sqrt(v + 1e-5)));
      const found = withBackend(backend, () => {
        const layer = new nn.BatchNorm1d(sizes.c);
        layer.loadStateDict(new Map(Object.entries({ weight: tensor(weight), bias: tensor(bias) })), { strict: false });
        const input = tensor(x, shape, { requiresGrad: true });
        const y = layer.forward(input);
        y.backward(tensor(dy, shape));
        const g = trainBackward(x, dy, sizes, affine);
        return [
          outside("y", y.data(), trainForward(x, sizes, affine), 1e-5 * largest(weight)),
          outside("dx", input.grad!.data(), g.dx, 1e-5 * slope * largest(dy)),
        ];
      });
      expect(found).toEqual([null, null]);
    },
  );

  const constants = [0.1, 1, 1e3, 123456.789, 1e6, -1e7, 3e30];
  it.each(constants)("a channel that is %s everywhere gives exactly β and running variance 0.9", (value) => {
    withBackend(backend, () => {
      for (const shape of constantShapes) {
        const layer = new nn.BatchNorm1d(3);
        const bias = Float32Array.of(0.25, -1.7, 3e-5);
        layer.loadStateDict(new Map([["bias", tensor(bias)]]), { strict: false });
        const y = layer.forward(tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(value), shape));
        const s = shape[2] ?? 1;
        const wrong = [...y.data()].filter((v, i) => v !== bias[Math.floor(i / s) % 3]);
        expect(wrong).toEqual([]);
        for (const v of layer.runningVar!.data()) expect(v).toBeCloseTo(0.9, 6);
      }
    });
  });
});
