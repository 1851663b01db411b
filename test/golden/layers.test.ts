import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, decodeMap, decodeTensor, goldenCases, type LayerCase } from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** Options of a golden case under evenkeel's names; positional ones are what remains under PyTorch's. */
// biome-ignore format: a table
const builders: Record<string, (o: Record<string, never>) => nn.Module> = {
  Conv2d: ({ in_channels, out_channels, kernel_size, ...rest }) => new nn.Conv2d(in_channels!, out_channels!, kernel_size!, rest),
  Linear: ({ in_features, out_features, ...rest }) => new nn.Linear(in_features!, out_features!, rest),
  MaxPool2d: ({ kernel_size, ...rest }) => new nn.MaxPool2d(kernel_size!, rest),
  AvgPool2d: ({ kernel_size, ...rest }) => new nn.AvgPool2d(kernel_size!, rest),
  AdaptiveAvgPool2d: ({ output_size }) => new nn.AdaptiveAvgPool2d(output_size!),
  ReLU: () => new nn.ReLU(),
  Sigmoid: () => new nn.Sigmoid(),
  Tanh: () => new nn.Tanh(),
  GELU: () => new nn.GELU(),
  SiLU: () => new nn.SiLU(),
  LeakyReLU: ({ negative_slope }) => new nn.LeakyReLU(negative_slope!),
  Softmax: ({ dim }) => new nn.Softmax(dim!),
};

function build(example: LayerCase): nn.Module {
  const layer = builders[example.layer]!(example.options as Record<string, never>);
  layer.loadStateDict(decodeMap(example.params));
  return layer.train(example.training);
}

/** Where a case differs from PyTorch by more than `t` times the largest entry, as lines of text. */
function differences(example: LayerCase, t: number): string[] {
  const layer = build(example);
  const found: (string | null)[] = [];
  for (const step of example.steps) {
    const x = decodeTensor(step.x, true);
    layer.zeroGrad();
    const y = layer.call(x);
    y.backward(decodeTensor(step.dy));
    expect(y.shape).toEqual(step.y.shape);
    const compare = (what: string, got: ArrayLike<number>, want: ArrayLike<number>) =>
      found.push(outside(what, got, want, t * largest(want)));
    compare("y", y.data(), decode(step.y));
    compare("dx", x.grad!.data(), decode(step.dx));
    expect([...layer.namedParameters().keys()]).toEqual(Object.keys(step.grads));
    for (const [key, p] of layer.namedParameters()) compare(`gradient of ${key}`, p.grad!.data(), decode(step.grads[key]!));
  }
  return found.filter((line) => line !== null);
}

const cases = goldenCases("layers");
const tolerances = { wasm: 2e-5, reference: 1e-11 } as const;

describe.each(targets)("layers against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  it.each(cases)(`$name: y, dx and gradients within ${t} of the largest entry`, (example) => {
    expect(withBackend(backend, () => differences(example, t))).toEqual([]);
  });
});

it("all 21 cases are there, of 12 kinds of layer", () => {
  expect(cases.length).toBe(21);
  expect([...new Set(cases.map(({ layer }) => layer))].sort()).toEqual(Object.keys(builders).sort());
});
