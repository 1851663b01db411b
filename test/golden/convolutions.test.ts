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
  Conv1d: ({ in_channels, out_channels, kernel_size, ...rest }) => new nn.Conv1d(in_channels!, out_channels!, kernel_size!, rest),
  Conv3d: ({ in_channels, out_channels, kernel_size, ...rest }) => new nn.Conv3d(in_channels!, out_channels!, kernel_size!, rest),
  ConvTranspose2d: ({ in_channels, out_channels, kernel_size, output_padding, ...rest }) =>
    new nn.ConvTranspose2d(in_channels!, out_channels!, kernel_size!, { ...rest, outputPadding: output_padding ?? 0 }),
};

/** Where a case differs from PyTorch by more than `t` times the largest entry, as lines of text. */
function differences(example: LayerCase, t: number): string[] {
  const layer = builders[example.layer]!(example.options as Record<string, never>);
  layer.loadStateDict(decodeMap(example.params));
  const found: (string | null)[] = [];
  const compare = (what: string, got: ArrayLike<number>, want: ArrayLike<number>) =>
    found.push(outside(what, got, want, t * largest(want)));
  for (const step of example.steps) {
    const x = decodeTensor(step.x, true);
    const y = layer.call(x);
    y.backward(decodeTensor(step.dy));
    expect(y.shape).toEqual(step.y.shape);
    compare("y", y.data(), decode(step.y));
    compare("dx", x.grad!.data(), decode(step.dx));
    expect([...layer.namedParameters().keys()]).toEqual(Object.keys(step.grads));
    for (const [key, p] of layer.namedParameters()) compare(`gradient of ${key}`, p.grad!.data(), decode(step.grads[key]!));
  }
  return found.filter((line) => line !== null);
}

const cases = goldenCases("convolutions");
const tolerances = { wasm: 2e-5, reference: 1e-11 } as const;

describe.each(targets)("convolutions against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  it.each(cases)(`$name: y, dx and gradients within ${t} of the largest entry`, (example) => {
    expect(withBackend(backend, () => differences(example, t))).toEqual([]);
  });
});

it("all 21 cases are there, of 3 kinds of layer, 6 cases without bias", () => {
  expect(cases.length).toBe(21);
  expect([...new Set(cases.map(({ layer }) => layer))].sort()).toEqual(Object.keys(builders).sort());
  expect(cases.filter(({ params }) => !("bias" in params)).length).toBe(6);
});
