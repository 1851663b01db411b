import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, decodeMap, decodeTensor, goldenCases, type LayerCase } from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** PyTorch's options, of which each layer has some. */
interface Options {
  normalized_shape: number[];
  num_groups: number;
  num_channels: number;
  num_features: number;
  affine?: boolean;
  eps?: number;
}

/** A layer, and over how many values of its input [N, C, …] each mean is taken. */
interface Entry {
  build(options: Options): nn.Module;
  count(options: Options, shape: readonly number[]): number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
const ofLastAxes = ({ normalized_shape }: Options) => product(normalized_shape);
const ofPlane = (_: Options, shape: readonly number[]) => product(shape.slice(2));

const entries: Record<string, Entry> = {
  LayerNorm: { build: ({ normalized_shape, ...rest }) => new nn.LayerNorm(normalized_shape, rest), count: ofLastAxes },
  RMSNorm: { build: ({ normalized_shape, ...rest }) => new nn.RMSNorm(normalized_shape, rest), count: ofLastAxes },
  GroupNorm: {
    build: ({ num_groups, num_channels, ...rest }) => new nn.GroupNorm(num_groups, num_channels, rest),
    count: ({ num_groups }, shape) => product(shape.slice(1)) / num_groups,
  },
  InstanceNorm1d: { build: ({ num_features, ...rest }) => new nn.InstanceNorm1d(num_features, rest), count: ofPlane },
  InstanceNorm2d: { build: ({ num_features, ...rest }) => new nn.InstanceNorm2d(num_features, rest), count: ofPlane },
  InstanceNorm3d: { build: ({ num_features, ...rest }) => new nn.InstanceNorm3d(num_features, rest), count: ofPlane },
};

const optionsOf = (example: LayerCase) => example.options as unknown as Options;

/** The smallest √(σ² + ε) of the rows of `count` values; of the mean squares for RMSNorm. */
function smallestDivisor(x: ArrayLike<number>, count: number, centred: boolean, eps: number): number {
  let smallest = Infinity;
  for (let start = 0; start < x.length; start += count) {
    const row = Array.from({ length: count }, (_, i) => x[start + i]!);
    const mean = centred ? row.reduce((a, b) => a + b, 0) / count : 0;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / count;
    smallest = Math.min(smallest, Math.sqrt(variance + eps));
  }
  return smallest;
}

const tolerances = {
  wasm: { y: 2e-6, dx: 1e-5, other: 2e-5 },
  reference: { y: 1e-10, dx: 1e-10, other: 1e-10 },
} as const;

/** All that differs from PyTorch in a case, as lines of text. */
function differences(example: LayerCase, t: (typeof tolerances)[keyof typeof tolerances]): string[] {
  const { build, count } = entries[example.layer]!;
  const options = optionsOf(example);
  const layer = build(options);
  layer.loadStateDict(decodeMap(example.params));
  layer.train(example.training);
  const gamma = example.params.weight ? largest(decode(example.params.weight)) : 1;
  const found: (string | null)[] = [];
  for (const step of example.steps) {
    const x = decodeTensor(step.x, true);
    layer.zeroGrad();
    const y = layer.call(x);
    y.backward(decodeTensor(step.dy));
    expect(y.shape).toEqual(step.y.shape);
    const isRms = example.layer === "RMSNorm";
    const divisor = smallestDivisor(decode(step.x), count(options, step.x.shape), !isRms, options.eps ?? 1e-5);
    found.push(outside("y", y.data(), decode(step.y), t.y * gamma));
    found.push(outside("dx", x.grad!.data(), decode(step.dx), (t.dx * gamma * largest(decode(step.dy))) / divisor));
    expect([...layer.namedParameters().keys()]).toEqual(Object.keys(step.grads));
    expect([...layer.stateDict().keys()]).toEqual([...Object.keys(example.params), ...Object.keys(step.state)]);
    for (const [key, p] of layer.namedParameters()) {
      const want = decode(step.grads[key]!);
      found.push(outside(`gradient of ${key}`, p.grad!.data(), want, t.other * largest(want)));
    }
  }
  return found.filter((line) => line !== null);
}

const cases = goldenCases("other-norms");

describe.each(targets)("batch-free norms against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  const within = `y within ${t.y}·max|γ|, dx within ${t.dx}·max|γ/σ|·max|dy|, gradients ${t.other} of the largest entry`;

  it.each(cases)(`$name: ${within}`, (example) => {
    expect(withBackend(backend, () => differences(example, t))).toEqual([]);
  });
});

it("all 8 cases are there, of 6 kinds of layer", () => {
  expect(cases.length).toBe(8);
  expect([...new Set(cases.map(({ layer }) => layer))].sort()).toEqual(Object.keys(entries).sort());
});
