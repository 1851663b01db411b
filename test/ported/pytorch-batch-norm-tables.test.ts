// PyTorch's tables of batch normalization, as claims of our own against the float64 oracle: OpInfo's sample_inputs_batch_norm,
// the module cases of common_nn, and all combinations of missing tensors, which PyTorch's loops over None leave out.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { setWarningHandler } from "../../src/core/warnings.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { startTargets } from "../fixtures/compare.js";
import * as oracle from "../reference/batch-norm.js";
import { expectNear, leaf, normals, numbers, Ports, uniforms } from "./support.js";

const targets = await startTargets();
const reference = targets[1]!.backend;
const ports = new Ports();
let restoreWarnings: ReturnType<typeof setWarningHandler>;
beforeAll(() => {
  restoreWarnings = setWarningHandler(() => {});
});
afterAll(() => {
  setWarningHandler(restoreWarnings);
  for (const { backend } of targets) backend.dispose();
});

const tolerances = { wasm: 5e-6, reference: 1e-12 } as const;

interface Call {
  shape: readonly number[];
  has: readonly [weight: boolean, bias: boolean, mean: boolean, variance: boolean];
  training: boolean;
  momentum?: number;
  eps?: number;
}

const ALL = [true, true, true, true] as const;
const NONE = [false, false, false, false] as const;

/** Values of a call: those of tensors that are left out are there, too, but not used. */
function valuesOf({ shape }: Call) {
  const c = shape[1]!;
  return {
    x: normals(1, shape, 0.5, 2),
    dy: normals(2, shape),
    weight: normals(3, [c]),
    bias: normals(4, [c]),
    mean: normals(5, [c]),
    variance: uniforms(6, [c]).map((v) => v + 0.1),
  };
}

/** The tensors of a call. */
function tensorsOf(call: Call) {
  const { x, weight, bias, mean, variance } = valuesOf(call);
  const [hasWeight, hasBias, hasMean, hasVariance] = call.has;
  return {
    x: leaf(x, call.shape),
    options: {
      weight: hasWeight ? leaf(weight) : null,
      bias: hasBias ? leaf(bias) : null,
      runningMean: hasMean ? tensor(mean) : null,
      runningVar: hasVariance ? tensor(variance) : null,
      training: call.training,
      ...(call.momentum !== undefined && { momentum: call.momentum }),
      ...(call.eps !== undefined && { eps: call.eps }),
    },
  };
}

/** Compares y, all gradients and the running values of a call with the oracle; PyTorch's defaults are written out here. */
function expectOracle(call: Call, tolerance: number): void {
  const { training, momentum = 0.1, eps = 1e-5 } = call;
  const values = valuesOf(call);
  const { x, options } = tensorsOf(call);
  const y = ops.batchNorm(x, options);
  y.backward(tensor(values.dy, call.shape));

  const sizes = oracle.sizesOf(call.shape);
  const affine = { weight: options.weight ? values.weight : undefined, bias: options.bias ? values.bias : undefined, eps };
  const given = training ? oracle.channelMoments(values.x, sizes) : values;
  const wantY = oracle.normalize(values.x, sizes, given, affine);
  const want = training
    ? oracle.trainBackward(values.x, values.dy, sizes, affine)
    : oracle.evalBackward(values.x, values.dy, sizes, values, affine);
  expectNear("y", y.data(), wantY, tolerance);
  expectNear("dx", x.grad!.data(), want.dx, tolerance, 1);
  if (options.weight) expectNear("dweight", options.weight.grad!.data(), want.dweight, tolerance, 1);
  if (options.bias) expectNear("dbias", options.bias.grad!.data(), want.dbias, tolerance, 1);
  if (!options.runningMean) return;
  const before = { mean: Float64Array.from(values.mean), variance: Float64Array.from(values.variance), count: 0 };
  const after = training ? oracle.nextRunning(before, values.x, sizes, momentum) : before;
  expectNear("running mean", options.runningMean.data(), after.mean, training ? tolerance : 0);
  expectNear("running variance", options.runningVar!.data(), after.variance, training ? tolerance : 0);
}

const S = 5;
const samples: Call[] = [
  { shape: [S, S, S], has: ALL, training: true, momentum: 0.5, eps: 0.6 },
  { shape: [3, 2, 4], has: ALL, training: false, momentum: -1.2 },
  { shape: [3, 1], has: ALL, training: true, momentum: 0 },
  { shape: [3, 2, 3, 4], has: ALL, training: true, momentum: -1, eps: 0.5 },
  { shape: [3, 2, 3, 4], has: ALL, training: false, momentum: -1, eps: 0.5 },
  { shape: [2, 1], has: ALL, training: false },
  { shape: [1, 2, 3], has: NONE, training: true },
];

describe.each(targets)("OpInfo nn.functional.batch_norm on $name", ({ name, backend }) => {
  const tolerance = tolerances[name];
  for (const call of samples) {
    const { shape, has, ...options } = call;
    ports.port(
      `sample_inputs_batch_norm [${shape}] ${JSON.stringify(options)}${has === NONE ? " no tensors" : ""}`,
      `y, gradients and running values are the oracle's within ${tolerance} of the largest entry`,
      () => withBackend(backend, () => tidy(() => expectOracle(call, tolerance))),
    );
  }

  for (const training of [true, false]) {
    ports.port(
      `sample_inputs_batch_norm [0] training: ${training}`,
      "an input without a channel axis is refused, where PyTorch is not",
      () =>
        withBackend(backend, () => {
          const call = () => ops.batchNorm(zeros([0]), { training, runningMean: zeros([0]), runningVar: zeros([0]) });
          expect(call).toThrow(new ShapeError("batchNorm: expected input [N, C] or [N, C, …], got [0]."));
        }),
    );
  }
});

const flags = [0, 1, 2, 3].map((bit) => 1 << bit);
const combinations = Array.from({ length: 16 }, (_, i) => flags.map((flag) => (i & flag) !== 0) as unknown as Call["has"]);
const named = ([weight, bias, mean, variance]: Call["has"]) =>
  Object.entries({ weight, bias, running_mean: mean, running_var: variance })
    .flatMap(([key, on]) => (on ? [key] : []))
    .join(", ") || "none";

describe.each(targets)("all 16 combinations of the four tensors, in both modes, on $name", ({ name, backend }) => {
  const tolerance = tolerances[name];
  for (const has of combinations) {
    for (const training of [true, false]) {
      const call: Call = { shape: [4, 3, 2], has, training };
      const mode = training ? "training" : "evaluation";
      const [, , hasMean, hasVariance] = has;
      if (hasMean !== hasVariance) {
        it(`${named(has)} in ${mode}: half of the running values is refused, and what was given stays`, () => {
          withBackend(backend, () => {
            const { x, options } = tensorsOf(call);
            const only = hasMean ? "runningMean" : "runningVar";
            const before = numbers(options[only]);
            const text = `batchNorm: expected runningMean and runningVar both or neither, got only ${only}.`;
            expect(() => ops.batchNorm(x, options)).toThrow(new OptionError(text));
            expect(numbers(options[only])).toEqual(before);
          });
        });
      } else if (!training && !hasMean) {
        it(`${named(has)} in ${mode}: refused with PyTorch's phrase`, () => {
          withBackend(backend, () => {
            const { x, options } = tensorsOf(call);
            expect(() => ops.batchNorm(x, options)).toThrow(TrainingError);
            expect(() => ops.batchNorm(x, options)).toThrow("running_mean must be defined in evaluation mode");
          });
        });
      } else {
        it(`${named(has)} in ${mode}: y, gradients and running values are the oracle's within ${tolerance}`, () => {
          withBackend(backend, () => tidy(() => expectOracle(call, tolerance)));
        });
      }
    }
  }
});

type Arguments = readonly [features: number, eps?: number, momentum?: number | null, affine?: boolean, track?: boolean];
const kinds = { BatchNorm1d: nn.BatchNorm1d, BatchNorm2d: nn.BatchNorm2d, BatchNorm3d: nn.BatchNorm3d };

/** The module cases of torch/testing/_internal/common_nn.py, with PyTorch's positional arguments. */
const modules: readonly [keyof typeof kinds, desc: string, Arguments, shape: readonly number[]][] = [
  ["BatchNorm1d", "affine", [10], [4, 10]],
  ["BatchNorm1d", "3d_input", [5], [4, 5, 3]],
  ["BatchNorm1d", "affine_simple_average", [10, 1e-3, null], [4, 10]],
  ["BatchNorm1d", "not_affine", [10, 1e-3, 0.3, false], [4, 10]],
  ["BatchNorm1d", "not_tracking_stats", [10, 1e-3, 0.3, true, false], [4, 10]],
  ["BatchNorm1d", "3d_input_not_affine", [5, 1e-3, 0.3, false], [4, 5, 3]],
  ["BatchNorm1d", "zero_batch", [5, 1e-3, 0.3, false], [0, 5, 9]],
  ["BatchNorm2d", "plain", [3], [2, 3, 6, 6]],
  ["BatchNorm2d", "2d_simple_average", [3, 1e-3, null], [2, 3, 6, 6]],
  ["BatchNorm2d", "momentum", [3, 1e-3, 0.8], [2, 3, 6, 6]],
  ["BatchNorm2d", "not_affine", [3, 1e-3, 0.8, false], [2, 3, 6, 6]],
  ["BatchNorm2d", "not_tracking_stats", [3, 1e-3, 0.8, true, false], [2, 3, 6, 6]],
  ["BatchNorm2d", "zero_batch", [5, 1e-3, 0.3, false], [0, 5, 2, 2]],
  ["BatchNorm3d", "plain", [3], [2, 3, 4, 4, 4]],
  ["BatchNorm3d", "3d_simple_average", [3, 1e-3, null], [2, 3, 4, 4, 4]],
  ["BatchNorm3d", "momentum", [3, 1e-3, 0.7], [2, 3, 4, 4, 4]],
  ["BatchNorm3d", "not_affine", [3, 1e-3, 0.7, false], [2, 3, 4, 4, 4]],
  ["BatchNorm3d", "not_tracking_stats", [3, 1e-3, 0.7, true, false], [2, 3, 4, 4, 4]],
  ["BatchNorm3d", "zero_batch", [5, 1e-3, 0.3, false], [0, 5, 2, 2, 2]],
];

function build(kind: keyof typeof kinds, [features, eps, momentum, affine, trackRunningStats]: Arguments): nn.BatchNorm {
  const options = { eps, momentum, affine, trackRunningStats };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const layer = new kinds[kind](features, given);
  if (layer.affine) {
    layer.weight!.backend.write(layer.weight!.storage, normals(7, [features], 1));
    layer.bias!.backend.write(layer.bias!.storage, normals(8, [features]));
  }
  return layer;
}

/** Two batches of training, then evaluation (check_eval): y of each and the running values after each, against the oracle. */
function expectModule(kind: keyof typeof kinds, args: Arguments, shape: readonly number[], tolerance: number): void {
  const [features, eps = 1e-5, momentum = 0.1, , track = true] = args;
  const layer = build(kind, args);
  const sizes = oracle.sizesOf(shape);
  const affine = layer.affine ? { weight: layer.weight!.data(), bias: layer.bias!.data(), eps } : { eps };
  let running = oracle.startRunning(features);
  const check = (seed: number) => {
    const x = normals(seed, shape, 1, 3);
    const y = layer.forward(tensor(x, shape));
    expect(y.shape).toEqual(shape);
    const usesBatch = layer.training || !track;
    expectNear(
      "y",
      y.data(),
      oracle.normalize(x, sizes, usesBatch ? oracle.channelMoments(x, sizes) : running, affine),
      tolerance,
    );
    if (!track) return expect(layer.buffers()).toEqual([]);
    if (layer.training) running = oracle.nextRunning(running, x, sizes, momentum);
    expectNear("running mean", layer.runningMean!.data(), running.mean, tolerance, 1);
    expectNear("running variance", layer.runningVar!.data(), running.variance, tolerance);
    expect(layer.numBatchesTracked!.item()).toBe(running.count);
  };
  check(11);
  check(12);
  layer.eval();
  check(13);
}

describe("common_nn module cases", () => {
  for (const [kind, desc, args, shape] of modules) {
    for (const { name, backend } of targets) {
      const tolerance = tolerances[name];
      ports.port(
        `common_nn ${kind} ${desc}`,
        `(${args.map(String).join(", ")}) on [${shape}]: two batches, then evaluation, are the oracle's within ${tolerance} on ${name}`,
        () => withBackend(backend, () => tidy(() => expectModule(kind, args, shape, tolerance))),
      );
    }
    // Second derivatives are checked on fewer positions: their cost grows with the square of the input, their rule does not.
    const small = shape.map((size, axis) => (axis < 2 ? size : Math.min(size, 2)));
    ports.port(
      `common_nn ${kind} ${desc}`,
      "first and second derivatives within 1e-6 of difference quotients, in both modes",
      () =>
        withBackend(reference, () =>
          tidy(() => {
            const layer = build(kind, args);
            layer.forward(tensor(normals(14, shape, 1, 2), shape));
            const inputs = (size: readonly number[]) => [leaf(normals(15, size), size), ...layer.parameters()];
            const run = (x: Tensor) => nn.withoutStatsUpdate(() => layer.forward(x));
            for (const training of [true, false]) {
              layer.train(training);
              const found = [gradcheck(run, inputs(shape)), gradgradcheck(run, inputs(small))];
              const hasGradients = shape[0]! > 0 || layer.affine;
              expect(found.map((report) => report.compared > 0)).toEqual([hasGradients, hasGradients]);
            }
          }),
        ),
    );
  }
});

describe("common_modules", () => {
  for (const [kind, args, shape] of [
    ["BatchNorm2d", [3], [2, 3, 6, 6]],
    ["BatchNorm3d", [3], [2, 3, 4, 4, 4]],
  ] as const) {
    ports.port(
      `common_modules module_inputs_torch_nn_${kind}`,
      "a second layer with the first one's state computes the same bits",
      () =>
        withBackend(targets[0]!.backend, () => {
          const [a, b] = [build(kind, args), build(kind, args)];
          const x = tensor(normals(16, shape), shape);
          a.forward(x);
          b.loadStateDict(a.stateDict());
          for (const training of [false, true])
            expect(numbers(b.train(training).forward(x))).toEqual(numbers(a.train(training).forward(x)));
          expect(b.buffers().map(numbers)).toEqual(a.buffers().map(numbers));
        }),
    );
  }
});

it("portedTests of the tables: 9 of OpInfo, 19 of common_nn, 2 of common_modules", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(30);
});
