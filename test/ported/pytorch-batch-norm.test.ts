// PyTorch's own tests of batch normalization (test_nn.py and common test files of 1.13 to 2.x, cpp/api/functional.cpp), as
// claims: written anew, each named by the upstream test it corresponds to. Tables are in pytorch-batch-norm-tables.test.ts,
// lazy layers in pytorch-lazy-batch-norm.test.ts, several devices in pytorch-sync-batch-norm.test.ts.
//
// Not here                                                        | why
// ----------------------------------------------------------------+------------------------------------------------------------
// test_batchnorm_simple_average_mixed, _eval_mixed,               | float32 is the only type of values: there is no second one
//   _affine_mixed, _eval_bfloat16, test_batchnorm_cudnn_half      |   to mix it with
// test_batchnorm_nhwc_cuda, the memory_format parts of _nhwc_cpu  | tensors are row-major: channels-last is out of scope. Equal
//                                                                 |   data in three row-major shapes is compared instead
// ..._if_running_var_or_running_mean_have_forward_grad            | there is no forward-mode differentiation
// test_optim: update_bn_dnn, update_bn_cnn, bn_update_eval_momentum | recalibration: waits for the work on trained networks
// test_fx_experimental: conv_bn_fusion, _not_running_state;       | folding: likewise
//   test_fuse_eager: convtranspose_bn_eval, linear_bn_eval        |
// test_pytorch_onnx_onnxruntime: batchnorm1d, 2d, 3d, noaffine,   | export: likewise
//   norunningstats, training, conv_bn                             |
// test_convert_sync_batchnorm                                     | there is no second class to convert to: the same layer takes
//                                                                 |   its statistics of all parts in callTogether
import { afterAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../src/autograd/gradcheck.js";
import { ShapeError, TrainingError } from "../../src/core/errors.js";
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
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const ports = new Ports();

const batch = (seed: number, shape: readonly number[] = [4, 3]) => tensor(uniforms(seed, shape), shape);
const statistics = (layer: nn.BatchNorm) => [numbers(layer.runningMean), numbers(layer.runningVar)];
const started = (c: number) => [Array(c).fill(0), Array(c).fill(1)];

/** y and dx of one call with a given dy. */
function pass(run: (x: Tensor) => Tensor, x: Float32Array, dy: Float32Array, shape: readonly number[]) {
  const input = leaf(x, shape);
  const y = run(input);
  y.backward(tensor(dy, y.shape));
  return { y: numbers(y), dx: numbers(input.grad) };
}

describe.each(targets)("test_nn on $name", ({ name, backend }) => {
  const exact = name === "reference";
  const port = (upstream: string, claim: string, run: () => void) =>
    ports.port(upstream, claim, () => withBackend(backend, () => tidy(run)));

  port("test_batchnorm_update_stats", "training moves mean, variance and counter, by one; evaluation moves nothing", () => {
    const layer = new nn.BatchNorm1d(3);
    const before = statistics(layer);
    layer.forward(batch(1));
    const after = statistics(layer);
    for (const row of [0, 1]) for (const c of [0, 1, 2]) expect(after[row]![c]).not.toBe(before[row]![c]);
    expect(layer.numBatchesTracked!.item()).toBe(1);
    layer.eval().forward(batch(2));
    expect([statistics(layer), layer.numBatchesTracked!.item()]).toEqual([after, 1]);
  });

  const average = exact ? 1e-15 : 1e-7;
  port("test_batchnorm_simple_average", `without momentum two batches give the mean of both statistics within ${average}`, () => {
    const layer = new nn.BatchNorm1d(3, { momentum: null });
    const alone = [1, 2].map((seed) => {
      layer.resetRunningStats();
      expect([statistics(layer), layer.numBatchesTracked!.item()]).toEqual([started(3), 0]);
      layer.forward(batch(seed));
      return statistics(layer);
    });
    layer.resetRunningStats();
    for (const seed of [1, 2]) layer.forward(batch(seed));
    statistics(layer).forEach((got, row) => {
      const want = got.map((_, c) => (alone[0]![row]![c]! + alone[1]![row]![c]!) / 2);
      expectNear(row === 0 ? "mean" : "variance", got, want, average);
    });
    expect(layer.numBatchesTracked!.item()).toBe(2);
  });

  const [x, dy] = [uniforms(3, [4, 3]), uniforms(4, [4, 3])];
  port(
    "test_batchnorm_eval",
    "evaluation twice gives the same y and dx; without tracking, evaluation those of training; bit for bit",
    () => {
      const layer = new nn.BatchNorm1d(3).eval();
      const first = pass((t) => layer.forward(t), x, dy, [4, 3]);
      expect(pass((t) => layer.forward(t), x, dy, [4, 3])).toEqual(first);
      const untracked = new nn.BatchNorm1d(3, { trackRunningStats: false });
      const trained = pass((t) => untracked.forward(t), x, dy, [4, 3]);
      expect(pass((t) => untracked.eval().forward(t), x, dy, [4, 3])).toEqual(trained);
      expect(trained).not.toEqual(first);
    },
  );

  port("test_batchnorm_affine", "γ = 1 and β = 0 give the y and dx of a layer without both, bit for bit, in both modes", () => {
    const [plain, affine] = [new nn.BatchNorm1d(3, { affine: false }), new nn.BatchNorm1d(3)];
    for (const training of [true, false]) {
      const want = pass((t) => plain.train(training).forward(t), x, dy, [4, 3]);
      expect(pass((t) => affine.train(training).forward(t), x, dy, [4, 3])).toEqual(want);
    }
    expect(statistics(affine)).toEqual(statistics(plain));
  });

  const refused = "test_batchnorm_raises_error_if_less_than_one_value_per_channel";
  port(refused, "[1, 10, 1] in training is refused with PyTorch's phrase, [1, 10, 2] is not", () => {
    const layer = new nn.BatchNorm1d(10);
    const text = "Expected more than 1 value per channel when training, got input size [1, 10, 1]";
    expect(() => layer.forward(batch(5, [1, 10, 1]))).toThrow(text);
    expect(() => layer.forward(batch(5, [1, 10, 1]))).toThrow(TrainingError);
    expect(() => ops.batchNorm(batch(5, [1, 10, 1]), { training: true })).toThrow(text);
    expect(layer.forward(batch(5, [1, 10, 2])).shape).toEqual([1, 10, 2]);
  });

  for (const key of ["running_mean", "running_var", "weight", "bias"] as const) {
    const upstream = `test_batchnorm_raises_error_if_${key}_is_not_same_size_as_input`;
    port(upstream, `sizes 9 and 11 for 10 channels are refused with PyTorch's phrase, in both modes`, () => {
      const option = { running_mean: "runningMean", running_var: "runningVar", weight: "weight", bias: "bias" } as const;
      for (const size of [9, 11]) {
        for (const training of [true, false]) {
          const given = { runningMean: batch(6, [10]), runningVar: batch(7, [10]), [option[key]]: batch(8, [size]) };
          const before = [given.runningMean, given.runningVar].map(numbers);
          const call = () => ops.batchNorm(batch(9, [2, 10]), { ...given, training });
          expect(call).toThrow(`${key} should contain 10 elements not ${size}`);
          expect(call).toThrow(ShapeError);
          expect([given.runningMean, given.runningVar].map(numbers)).toEqual(before);
        }
      }
    });
  }

  port(
    "test_batchnorm_buffer_update_when_stats_are_not_tracked",
    "the flag switched off later keeps all buffers, bit for bit",
    () => {
      const layer = new nn.BatchNorm1d(4);
      layer.forward(batch(10, [32, 4]));
      const before = layer.buffers().map(numbers);
      layer.trackRunningStats = false;
      layer.forward(batch(11, [32, 4]));
      expect(layer.buffers().map(numbers)).toEqual(before);
    },
  );

  port(
    "test_BatchNorm_empty",
    "[0, 3, 2, 2] leaves mean 0 and variance 1, and gives gradients of 0 to γ and β, in both modes",
    () => {
      for (const training of [true, false]) {
        const layer = new nn.BatchNorm2d(3).train(training);
        const input = leaf([], [0, 3, 2, 2]);
        const y = layer.forward(input);
        y.backward(zeros([0, 3, 2, 2]));
        expect([y.shape, input.grad!.shape]).toEqual([input.shape, input.shape]);
        expect(statistics(layer)).toEqual(started(3));
        expect([numbers(layer.weight!.grad), numbers(layer.bias!.grad)]).toEqual([Array(3).fill(0), Array(3).fill(0)]);
      }
    },
  );

  port("test_batchnorm_load_state_dict", "an empty state, not strict, leaves a counter of 10 as it is", () => {
    const layer = new nn.BatchNorm2d(3);
    backend.write(layer.numBatchesTracked!.storage, [10]);
    layer.loadStateDict(new Map(), { strict: false });
    expect(layer.numBatchesTracked!.item()).toBe(10);
    expect(layer.stateDict().get("num_batches_tracked")!.item()).toBe(10);
  });

  const layout = exact ? 1e-13 : 2e-6;
  for (const shape of [
    [4, 8, 10, 10],
    [4, 1, 9, 9],
    [4, 9, 1, 1],
  ]) {
    const claim = `[${shape}] and the same as [N, C, H·W]: the same bits; as [N·H·W, C]: y, gradients and statistics within ${layout}`;
    port("test_batchnorm_nhwc_cpu", claim, () => {
      const [n, c, h, w] = shape as [number, number, number, number];
      const [values, slopes] = [uniforms(12, shape), uniforms(13, shape)];
      const run = (make: (t: Tensor) => Tensor) => {
        const layer = new nn.BatchNorm2d(c);
        const given = { weight: layer.weight, bias: layer.bias, runningMean: layer.runningMean, runningVar: layer.runningVar };
        backend.write(layer.weight!.storage, normals(14, [c], 1));
        const input = leaf(values, shape);
        const y = ops.batchNorm(make(input), { ...given, training: true });
        y.backward(make(tensor(slopes, shape)).detach());
        return {
          y,
          rest: [input.grad, layer.weight!.grad, layer.bias!.grad, layer.runningMean, layer.runningVar].map(numbers),
        };
      };
      const images = run((t) => t);
      const planes = run((t) => t.reshape([n, c, h * w]));
      expect([numbers(planes.y), ...planes.rest]).toEqual([numbers(images.y), ...images.rest]);
      const rows = run((t) => t.permute([0, 2, 3, 1]).reshape([n * h * w, c]));
      expectNear("y", rows.y.reshape([n, h, w, c]).permute([0, 3, 1, 2]).data(), images.y.data(), layout);
      ["dx", "dweight", "dbias", "mean", "variance"].forEach((what, i) => {
        expectNear(what, rows.rest[i]!, images.rest[i]!, layout, 1);
      });
    });
  }

  port("test_batchnorm_non_contig_cpu", "a permuted and sliced input gives the bits of the same values written out", () => {
    const wide = leaf(uniforms(15, [6, 4, 3, 5]), [6, 4, 3, 5]);
    const view = wide.permute([0, 2, 1, 3]).slice(0, 1, 5);
    const copy = tensor(view.data(), view.shape);
    const [a, b] = [new nn.BatchNorm2d(3), new nn.BatchNorm2d(3)];
    expect(numbers(a.forward(view))).toEqual(numbers(b.forward(copy)));
    expect(statistics(a)).toEqual(statistics(b));
    expect(numbers(a.eval().forward(view))).toEqual(numbers(b.eval().forward(copy)));
  });

  const large = exact ? 1e-12 : 1e-6;
  port(
    "test_batchnorm_large_batch",
    `[880801, 1, 1, 1]: dβ is the number of values, y and statistics the oracle's within ${large}`,
    () => {
      const shape = [880801, 1, 1, 1];
      const values = uniforms(16, shape);
      const layer = new nn.BatchNorm2d(1);
      const y = layer.forward(leaf(values, shape));
      y.sum().backward();
      expect(numbers(layer.bias!.grad)).toEqual([880801]);
      const sizes = oracle.sizesOf(shape);
      expectNear("y", y.data(), oracle.trainForward(values, sizes, { eps: 1e-5 }), large);
      const want = oracle.nextRunning(oracle.startRunning(1), values, sizes, 0.1);
      expectNear("mean", layer.runningMean!.data(), want.mean, large);
      expectNear("variance", layer.runningVar!.data(), want.variance, large);
    },
  );
});

describe("derivatives", () => {
  for (const training of [true, false]) {
    const claim = `input, weight and bias within 1e-6 of difference quotients in float64, ${training ? "training" : "evaluation"}`;
    ports.port("test_batchnorm_grad", claim, () =>
      withBackend(reference, () =>
        tidy(() => {
          const running = { runningMean: tensor(normals(20, [3])), runningVar: tensor(uniforms(21, [3]).map((v) => v + 0.5)) };
          const run = (x: Tensor, weight?: Tensor, bias?: Tensor) =>
            ops.batchNorm(x, { ...running, weight: weight!, bias: bias!, training });
          const report = gradcheck(run, [leaf(normals(22, [4, 3]), [4, 3]), leaf(normals(23, [3])), leaf(normals(24, [3]))]);
          expect(report.compared).toBe((1 + 12) * (12 + 3 + 3));
        }),
      ),
    );
  }
});

describe.each(targets)("cpp/api functional.cpp on $name", ({ name, backend }) => {
  const tolerance = name === "wasm" ? 1e-6 : 1e-15;
  const shapes = { BatchNorm1d: [2, 5], BatchNorm2d: [2, 5, 4, 4], BatchNorm3d: [2, 5, 2, 2, 2] };
  for (const [kind, shape] of Object.entries(shapes)) {
    for (const defaults of [false, true]) {
      const given = defaults ? "without options" : "with weight 1, bias 0, momentum 0.1, eps 1e-5 written out";
      const claim = `${given}: (x − mean) / √(variance + 1e-5) within ${tolerance} of the largest`;
      ports.port(`${kind}${defaults ? "DefaultOptions" : ""}`, claim, () =>
        withBackend(backend, () => {
          const [x, mean, variance] = [normals(30, shape), normals(31, [5]), uniforms(32, [5])];
          const options = { weight: tensor(Array(5).fill(1)), bias: tensor(Array(5).fill(0)), momentum: 0.1, eps: 1e-5 };
          const y = ops.batchNorm(tensor(x, shape), {
            runningMean: tensor(mean),
            runningVar: tensor(variance),
            ...(defaults ? {} : { ...options, training: false }),
          });
          const { s } = oracle.sizesOf(shape);
          const want = Array.from(x, (v, i) => {
            const c = Math.floor(i / s) % 5;
            return (v - mean[c]!) / Math.sqrt(variance[c]! + 1e-5);
          });
          expectNear("y", y.data(), want, tolerance);
        }),
      );
    }
  }
});

it("portedTests here: 16 of test_nn and 6 of functional.cpp", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(22);
});
