import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../src/autograd/backward.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import {
  decode,
  decodeTensor,
  type EncodedMap,
  type FunctionalCase,
  goldenCases,
  type SecondOrderCase,
} from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

// Running values were rounded to float32 for the files, after PyTorch had computed with them.
const tolerances = { wasm: { first: 5e-6, second: 1e-4 }, reference: { first: 2e-7, second: 1e-6 } } as const;

const tensorsOf = (map: EncodedMap, requiresGrad: boolean) =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, decodeTensor(value, requiresGrad)]));

function firstOrder(example: FunctionalCase, tolerance: number): string[] {
  const { running_mean, running_var, weight, bias } = example.given;
  const { runningMean, runningVar } = tensorsOf(
    running_mean && running_var ? { runningMean: running_mean, runningVar: running_var } : {},
    false,
  );
  const parameters = tensorsOf({ ...(weight && { weight }), ...(bias && { bias }) }, true);
  const x = decodeTensor(example.x, true);
  const { training, momentum, eps } = example;
  const options = { runningMean: runningMean ?? null, runningVar: runningVar ?? null, ...parameters, training, momentum, eps };
  const result = nn.batchNormWithStats(x, options);
  result.y.backward(decodeTensor(example.dy));
  const found: (string | null)[] = [];
  const compare = (what: string, got: ArrayLike<number>, want: ArrayLike<number>) =>
    found.push(outside(what, got, want, tolerance * largest(want)));
  compare("y", result.y.data(), decode(example.y));
  compare("dx", x.grad!.data(), decode(example.dx));
  for (const [key, want] of Object.entries(example.grads)) compare(`d${key}`, parameters[key]!.grad!.data(), decode(want));
  for (const [key, want] of Object.entries(example.after)) {
    const [written, returned] = key === "running_mean" ? [runningMean, result.runningMean] : [runningVar, result.runningVar];
    compare(key, written!.data(), decode(want));
    compare(`returned ${key}`, returned!.data(), decode(want));
  }
  expect(Object.keys(example.after).length > 0).toBe(result.runningMean !== null);
  return found.filter((line) => line !== null);
}

function secondOrder(example: SecondOrderCase, tolerance: number): string[] {
  const x = decodeTensor(example.x, true);
  const weight = decodeTensor(example.weight, true);
  const bias = decodeTensor(example.bias, true);
  const running = example.running_mean && {
    runningMean: decodeTensor(example.running_mean),
    runningVar: decodeTensor(example.running_var!),
  };
  const y = nn.batchNorm(x, { weight, bias, ...running, training: example.training, eps: example.eps });
  const [gx] = grad(y.pow(3).sum(), [x], { createGraph: true });
  const penalty = gx!.square().sum();
  const got = grad(penalty, [x, weight, bias]);
  const wants = [example.dx, example.dweight, example.dbias];
  const found = [outside("gx", gx!.data(), decode(example.gx), tolerance * largest(decode(example.gx)))];
  found.push(outside("penalty", [penalty.item()], [example.penalty], tolerance * example.penalty));
  // In training the derivative of β is what rounding leaves of 0.
  const most = Math.max(...wants.map((want) => largest(decode(want))));
  wants.forEach((want, i) => {
    found.push(outside(`input ${i}`, got[i]!.data(), decode(want), tolerance * most));
  });
  return found.filter((line) => line !== null);
}

describe.each(targets)("nn.batchNorm against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const { first, second } = tolerances[name];

  it.each(goldenCases("batch-norm-functional"))(
    `$name: y, gradients and new statistics, written and returned, within ${first} of the largest entry`,
    (example) => {
      expect(withBackend(backend, () => firstOrder(example, first))).toEqual([]);
    },
  );

  it.each(goldenCases("batch-norm-second-order"))(`$name: within ${second} of the largest entry of the three`, (example) => {
    expect(withBackend(backend, () => secondOrder(example, second))).toEqual([]);
  });
});
