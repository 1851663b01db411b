// PyTorch's tests of SyncBatchNorm (test_nn.py, distributed_test.py, test_c10d_nccl.py), as claims on callTogether: what several
// devices compute of their parts of a batch is what one device computes of the concatenation. See pytorch-batch-norm.test.ts.
// Not here: _half and _Channels_Last (one type of values, one layout); test_convert_sync_batchnorm (no second class).
import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { startTargets } from "../fixtures/compare.js";
import { expectNear, leaf, normals, numbers, Ports } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const ports = new Ports();

const joined = (parts: readonly (Tensor | null)[]) => parts.flatMap((t) => numbers(t));

/** y, dx, gradients of parameters, and buffers of a model after one batch, cut into parts of the given sizes or whole. */
function run(model: nn.Module, values: Float32Array, slopes: Float32Array, shape: readonly number[], sizes: readonly number[]) {
  const row = shape.slice(1).reduce((a, b) => a * b, 1);
  let start = 0;
  const cut = sizes.map((n) => {
    const [from, to] = [start * row, (start + n) * row];
    start += n;
    const own = [n, ...shape.slice(1)];
    return { x: leaf(values.slice(from, to), own), dy: tensor(slopes.slice(from, to), own) };
  });
  const inputs = cut.map(({ x }) => x);
  const outputs = sizes.length === 1 ? [model.call(inputs[0]!)] : model.callTogether(inputs);
  const loss = outputs.map((y, i) => y.mul(cut[i]!.dy).sum()).reduce((a, b) => a.add(b));
  loss.backward();
  return {
    y: joined(outputs),
    dx: joined(inputs.map((x) => x.grad)),
    gradients: model.parameters().map((p) => numbers(p.grad)),
    buffers: model.buffers().map(numbers),
  };
}

type Make = () => nn.Module;

/** Parts against the whole, which is what a single device has. */
function expectPooled(make: Make, shape: readonly number[], sizes: readonly number[], tolerance: number): void {
  const total = sizes.reduce((a, b) => a + b);
  const all = [total, ...shape];
  const [values, slopes] = [normals(1, all, 2, 3), normals(2, all)];
  const want = run(make(), values, slopes, all, [total]);
  const got = run(make(), values, slopes, all, sizes);
  expectNear("y", got.y, want.y, tolerance);
  expectNear("dx", got.dx, want.dx, tolerance);
  want.gradients.forEach((gradient, i) => {
    expectNear(`parameter ${i}`, got.gradients[i]!, gradient, tolerance);
  });
  want.buffers.forEach((buffer, i) => {
    expectNear(`buffer ${i}`, got.buffers[i]!, buffer, tolerance);
  });
  expect(got.buffers.length).toBe(want.buffers.length);
}

const images: Make = () => new nn.BatchNorm2d(3);

describe.each(targets)("several devices on $name", ({ name, backend }) => {
  const tolerance = name === "wasm" ? 1e-5 : 1e-11;
  const within = `y, dx, dγ, dβ and running values are the whole batch's within ${tolerance}`;
  const port = (upstream: string, claim: string, fn: () => void) =>
    ports.port(upstream, claim, () => withBackend(backend, () => tidy(fn)));
  const ddp = "test_DistributedDataParallel_SyncBatchNorm";

  port("test_sync_batchnorm_accuracy_cuda", `parts of 1, 9 and 14 images: ${within}`, () =>
    expectPooled(images, [3, 4, 5], [1, 9, 14], tolerance),
  );
  port("test_sync_batchnorm_backward_elemt", `dx of parts of 3, 5 with odd planes of 7 · 3: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm2d(11), [11, 7, 3], [3, 5], tolerance),
  );
  port(ddp, `two equal parts of a net of two layers: ${within}`, () => {
    const net = () => {
      const linear = new nn.Linear(6, 5, { bias: false });
      backend.write(linear.weight.storage, normals(3, linear.weight.shape));
      return new nn.Sequential(linear, new nn.BatchNorm1d(5), new nn.Tanh(), new nn.BatchNorm1d(5));
    };
    const [x, dy] = [normals(4, [8, 6]), normals(5, [8, 5])];
    const results = [[8], [4, 4]].map((sizes) => {
      const model = net();
      const parts = sizes.map((n, i) => tensor(x.slice(i * 24, i * 24 + n * 6), [n, 6]));
      const outputs = sizes.length === 1 ? [model.call(parts[0]!)] : model.callTogether(parts);
      const losses = outputs.map((y, i) => y.mul(tensor(dy.slice(i * 20, i * 20 + y.size), y.shape)).sum());
      losses.reduce((a, b) => a.add(b)).backward();
      return [joined(outputs), ...model.parameters().map((p) => numbers(p.grad)), ...model.buffers().map(numbers)];
    });
    results[0]!.forEach((want, i) => {
      expectNear(`value ${i}`, results[1]![i]!, want, tolerance, 1);
    });
  });
  port(`${ddp}_No_Affine`, `without γ and β: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm2d(3, { affine: false }), [3, 4, 4], [2, 6], tolerance),
  );
  port(`${ddp}_2D_Input`, `rows of 4 channels in parts of 5, 3: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm1d(4), [4], [5, 3], tolerance),
  );
  port(`${ddp}_Single_Input_Per_Process`, `four parts of one row each: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm1d(4), [4], [1, 1, 1, 1], tolerance),
  );
  port(`${ddp}_Diff_Input_Sizes_Running_Value`, `parts of 2, 7, 1 over three steps: ${within}`, () =>
    expectPooled(
      () => {
        const layer = images();
        for (const seed of [6, 7]) layer.call(tensor(normals(seed, [4, 3, 2, 2], seed), [4, 3, 2, 2]));
        return layer;
      },
      [3, 2, 2],
      [2, 7, 1],
      tolerance,
    ),
  );
  port(`${ddp}_Diff_Input_Sizes_gradient`, `parts of 11, 1, 3: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm1d(2), [2], [11, 1, 3], tolerance),
  );
  port("test_sync_batch_norm_empty_input", `one of three parts empty: ${within}`, () =>
    expectPooled(() => new nn.BatchNorm2d(2), [2, 11, 13], [3, 0, 2], tolerance),
  );
  port(
    "test_sync_batch_norm_only_empty_input",
    "all parts empty: empty outputs, gradients of 0, running values as they were",
    () => {
      const layer = new nn.BatchNorm2d(2);
      const before = layer.buffers().map(numbers);
      const parts = [leaf([], [0, 2, 11, 13]), leaf([], [0, 2, 11, 13])];
      const outputs = layer.callTogether(parts);
      expect(outputs.map((y) => y.shape)).toEqual(parts.map((x) => x.shape));
      for (const y of outputs) y.backward(zeros(y.shape));
      expect(layer.parameters().map((p) => numbers(p.grad))).toEqual([
        [0, 0],
        [0, 0],
      ]);
      expect(layer.buffers().map(numbers)).toEqual(before);
    },
  );
});

it("portedTests of several devices: 10", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(10);
});
