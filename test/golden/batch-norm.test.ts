import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import { largest, outside, startTargets, ulp32 } from "../fixtures/compare.js";
import { decode, decodeTensor, goldenCases, type LayerCase } from "../fixtures/golden.js";
import { channelMoments, sizesOf } from "../reference/batch-norm.js";
import { buildLayer, optionsOf, startOf, usesBatch } from "./batch-norm-layer.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

/** rounding: PyTorch's mean of a channel at a large offset is itself off by rounding, even in float64. */
const tolerances = {
  wasm: { y: 2e-6, dx: 1e-5, buffer: 1e-6, other: 2e-5, rounding: 0 },
  reference: { y: 1e-10, dx: 1e-10, buffer: 1e-12, other: 1e-10, rounding: 2 ** -50 },
} as const;

/** max|γ| and max|γ/σ| over the channels of a batch. */
function scalesOf(example: LayerCase, x: ArrayLike<number>, shape: readonly number[]) {
  const sizes = sizesOf(shape);
  const { weight, variance } = startOf(example);
  const { eps } = optionsOf(example);
  const own = usesBatch(example) ? channelMoments(x, sizes).variance : variance!;
  const slopes = Array.from({ length: sizes.c }, (_, k) => (weight?.[k] ?? 1) / Math.sqrt(own[k]! + eps));
  return { gamma: weight ? largest(weight) : 1, slope: largest(slopes) };
}

/** All that differs from PyTorch in a case, as lines of text. */
function differences(example: LayerCase, name: keyof typeof tolerances): string[] {
  const t = tolerances[name];
  const found: (string | null)[] = [];
  const layer = buildLayer(example);
  example.steps.forEach((step, i) => {
    const at = (what: string) => `batch ${i}: ${what}`;
    const x = decodeTensor(step.x, true);
    layer.zeroGrad();
    const y = layer.forward(x);
    y.backward(decodeTensor(step.dy));
    const { gamma, slope } = scalesOf(example, decode(step.x), step.x.shape);
    found.push(outside(at("y"), y.data(), decode(step.y), t.y * gamma + t.rounding * largest(decode(step.x)) * slope));
    found.push(outside(at("dx"), x.grad!.data(), decode(step.dx), t.dx * slope * largest(decode(step.dy))));
    for (const [key, p] of layer.namedParameters()) {
      const want = decode(step.grads[key]!);
      found.push(outside(at(`gradient of ${key}`), p.grad!.data(), want, t.other * largest(want)));
    }
    const state = layer.stateDict();
    for (const [key, encoded] of Object.entries(step.state)) {
      const want = decode(encoded);
      const isCount = encoded.dtype === "i64";
      const allowed = (j: number) => Math.max(t.buffer * Math.abs(want[j]!), name === "wasm" ? ulp32(want[j]!) : 0);
      found.push(outside(at(key), state.get(key)!.data(), want, isCount ? 0 : allowed));
    }
    expect([...state.keys()].sort()).toEqual([...Object.keys(step.grads), ...Object.keys(step.state)].sort());
  });
  return found.filter((line) => line !== null);
}

const all = goldenCases("batch-norm");
const isEmpty = (example: LayerCase) => example.steps[0]!.x.shape[0] === 0;
const cases = all.filter((example) => !isEmpty(example));

describe.each(targets)("BatchNorm against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  const rounding = t.rounding > 0 ? " + 2^-50·max|x|·max|γ/σ|" : "";
  const ulp = name === "wasm" ? " or 1 ulp" : "";
  const within =
    `y within ${t.y}·max|γ|${rounding}, dx within ${t.dx}·max|γ/σ|·max|dy|, ` +
    `buffers ${t.buffer} relative${ulp}, gradients ${t.other} of the largest entry`;

  it.each(cases)(`$name: ${within}`, (example) => {
    expect(withBackend(backend, () => differences(example, name))).toEqual([]);
  });

  it("an empty batch gives an empty y and zero gradients as in PyTorch, but is not counted", () => {
    const [example] = all.filter(isEmpty);
    const [step] = example!.steps;
    withBackend(backend, () => {
      const layer = buildLayer(example!);
      const x = decodeTensor(step!.x, true);
      const y = layer.forward(x);
      y.backward(decodeTensor(step!.dy));
      expect(y.shape).toEqual(step!.y.shape);
      expect(x.grad!.shape).toEqual(step!.dx.shape);
      for (const key of ["weight", "bias"] as const)
        expect([...layer[key]!.grad!.data()]).toEqual([...decode(step!.grads[key]!)]);
      const state = layer.stateDict();
      for (const key of ["running_mean", "running_var"])
        expect([...state.get(key)!.data()]).toEqual([...decode(step!.state[key]!)]);
      expect([...decode(step!.state.num_batches_tracked!)]).toEqual([1]);
      expect(layer.numBatchesTracked!.item()).toBe(0);
    });
  });
});

it("all 107 cases are there", () => {
  expect(all.length).toBe(107);
  expect(cases.length).toBe(106);
});
