import { afterAll, describe, expect, it } from "vitest";
import { DTypeError, OptionError, ShapeError } from "../../src/core/errors.js";
import { Random } from "../../src/core/random.js";
import type { Backend } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import * as nn from "../../src/nn/index.js";
import * as ops from "../../src/ops/index.js";
import { ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { bitDifference } from "../kernels/compare.js";

const random = new Random(23);
const normals = (...shape: number[]) => {
  const size = shape.reduce((p, q) => p * q, 1);
  return tensor(
    Float32Array.from({ length: size }, () => random.normal()),
    shape,
  );
};
const sizeOf = (shape: readonly number[]) => shape.reduce((p, q) => p * q, 1);

interface Kind {
  name: string;
  make: () => nn.Module & { weight: Tensor; bias: Tensor | null; resetParameters(): void };
  /** Shapes of one example, of the weight and of one output. */
  shape: number[];
  weight: number[];
  out: number[];
  /** Weights that the range of the first values follows, as PyTorch counts them. */
  fanIn: number;
  text: string;
}

const kinds: readonly Kind[] = [
  {
    name: "Conv1d",
    make: () => new nn.Conv1d(4, 6, 3, { stride: 2, padding: 1, dilation: 2, groups: 2 }),
    shape: [4, 11],
    weight: [6, 2, 3],
    out: [6, 5],
    fanIn: 6,
    text: "Conv1d(4, 6, kernelSize = 3, stride = 2, padding = 1, dilation = 2, groups = 2)",
  },
  {
    name: "Conv3d",
    make: () => new nn.Conv3d(4, 6, [3, 2, 2], { stride: [2, 1, 1], padding: 1, groups: 2 }),
    shape: [4, 5, 4, 6],
    weight: [6, 2, 3, 2, 2],
    out: [6, 3, 5, 7],
    fanIn: 24,
    text: "Conv3d(4, 6, kernelSize = [3, 2, 2], stride = [2, 1, 1], padding = 1, groups = 2)",
  },
  {
    name: "ConvTranspose2d",
    make: () => new nn.ConvTranspose2d(4, 6, 3, { stride: 2, padding: 1, outputPadding: [1, 0], groups: 2 }),
    shape: [4, 5, 3],
    weight: [4, 3, 3, 3],
    out: [6, 10, 5],
    fanIn: 27,
    text: "ConvTranspose2d(4, 6, kernelSize = 3, stride = 2, padding = 1, outputPadding = [1, 0], groups = 2)",
  },
];

const backends: Backend[] = [];
const open = async (options: Parameters<typeof createWasmBackend>[0]) => {
  const backend = await createWasmBackend(options);
  backends.push(backend);
  return backend;
};
afterAll(() => backends.forEach((b) => void b.dispose()));

describe.each(kinds)("$name", ({ make, shape, weight, out, fanIn, text }) => {
  it("has PyTorch's keys and shapes of the weight, the output and the bias, and shows its options", () => {
    const layer = make();
    const entries = [...layer.stateDict()].map(([key, t]) => [key, t.shape]);
    expect(entries).toEqual([
      ["weight", weight],
      ["bias", [6]],
    ]);
    expect(layer.call(normals(2, ...shape)).shape).toEqual([2, ...out]);
    expect(layer.toString()).toBe(text);
  });

  it("starts within ±1 / √fanIn and reaches out to 0.95 of it; the same seed gives the same values", () => {
    const limit = 1 / Math.sqrt(fanIn);
    const layer = make();
    const draw = () => [...layer.weight.data(), ...layer.bias!.data()];
    const most: number[] = [];
    for (let i = 0; i < 20; i++) {
      layer.resetParameters();
      most.push(...draw().map(Math.abs));
    }
    expect(Math.max(...most)).toBeLessThanOrEqual(Math.fround(limit));
    expect(Math.max(...most)).toBeGreaterThan(0.95 * limit);
    const [first, second] = [0, 0].map(() => {
      manualSeed(3);
      layer.resetParameters();
      return draw();
    });
    expect(first).toEqual(second);
  });

  it("an empty batch gives an empty output, and gradients of 0 for the parameters", () => {
    const layer = make();
    const x = zeros([0, ...shape], { requiresGrad: true });
    const y = layer.call(x);
    expect(y.shape).toEqual([0, ...out]);
    y.sum().backward();
    expect(x.grad!.shape).toEqual(x.shape);
    for (const p of layer.parameters()) expect([...p.grad!.data()].every((v) => v === 0)).toBe(true);
  });

  it("an example has the same output bits alone and in any batch, at any place, in both builds", async () => {
    for (const deterministic of [false, true]) {
      const backend = await open({ deterministic });
      withBackend(backend, () => {
        const layer = make();
        const one = normals(1, ...shape);
        const alone = layer.call(one).data();
        for (const [n, place] of [
          [2, 0],
          [2, 1],
          [7, 3],
          [16, 15],
        ] as const) {
          const others = [place, n - 1 - place].map((count) => normals(count, ...shape));
          const all = layer.call(ops.cat([others[0]!, one, others[1]!], 0));
          expect([n, place, bitDifference(all.slice(0, place, place + 1).data(), alone)]).toEqual([n, place, null]);
        }
      });
    }
  });

  it("outputs and gradients have the same bits with 1 and 3 threads", async () => {
    const n = 64;
    const values = [normals(n, ...shape), normals(n, ...out)].map((t) => t.data());
    const run = (backend: Backend) =>
      withBackend(backend, () =>
        tidy(() => {
          manualSeed(5);
          const layer = make();
          const x = tensor(values[0]!, [n, ...shape], { requiresGrad: true });
          const y = layer.call(x);
          y.backward(tensor(values[1]!, y.shape));
          return [y, x.grad!, ...layer.parameters().map((p) => p.grad!)].map((t) => t.data());
        }),
      );
    const [one, three] = [run(await open({ threads: 1 })), run(await open({ threads: 3 }))];
    expect(one.map((data, i) => bitDifference(data, three[i]!))).toEqual([null, null, null, null]);
  });

  it("frees all tensors between input and output once the graph is gone", () => {
    const layer = make();
    const x = normals(2, ...shape);
    x.requiresGrad = true;
    const { backend } = x;
    const { used, storages } = backend.memory();
    const dx = tidy(() => {
      layer.call(x).sum().backward();
      return x.grad!.data();
    });
    expect(dx.length).toBe(x.size);
    x.grad!.dispose();
    x.grad = null;
    layer.zeroGrad();
    expect(backend.memory()).toMatchObject({ used, storages });
  });

  it("names what it was built with when the input does not fit", () => {
    const layer = make();
    const axes = ["", "", "L", "H, W", "D, H, W"][shape.length]!;
    for (const wrong of [[2, 5, ...shape.slice(1)], shape]) {
      expect(() => layer.call(ones(wrong))).toThrow(ShapeError);
      expect(() => layer.call(ones(wrong))).toThrow(
        `: expected input [N, 4, ${axes}], got [${wrong.join(", ")}]. The layer was built with inChannels = 4.`,
      );
    }
  });
});

describe("layers refuse", () => {
  it("groups that do not divide the channels", () => {
    const text = (who: string) =>
      new OptionError(`${who}: expected groups to divide inChannels and outChannels, got groups = 3 for 4 and 6.`);
    expect(() => new nn.Conv1d(4, 6, 3, { groups: 3 })).toThrow(text("Conv1d"));
    expect(() => new nn.Conv3d(4, 6, 3, { groups: 3 })).toThrow(text("Conv3d"));
    expect(() => new nn.ConvTranspose2d(4, 6, 3, { groups: 3 })).toThrow(text("ConvTranspose2d"));
  });

  it("sizes that are no integers in range", () => {
    expect(() => new nn.Conv1d(0, 6, 3)).toThrow("Conv1d: expected inChannels to be an integer of at least 1, got 0.");
    expect(() => new nn.Conv1d(4, 6, 0)).toThrow("Conv1d: expected kernelSize to be an integer of at least 1, got 0.");
    expect(() => new nn.Conv1d(4, 6, 3, { stride: 0.5 })).toThrow(
      "Conv1d: expected stride to be an integer of at least 1, got 0.5.",
    );
    expect(() => new nn.Conv3d(4, 6, [3, 3] as never)).toThrow(
      "Conv3d: expected kernelSize to be a number or three of them [depth, height, width], got [3,3].",
    );
    expect(() => new nn.Conv3d(4, 6, 3, { padding: [0, -1, 0] })).toThrow(
      "Conv3d: expected padding to be an integer of at least 0, got -1.",
    );
    expect(() => new nn.ConvTranspose2d(4, 6, 3, { dilation: [1, 0] })).toThrow(
      "ConvTranspose2d: expected dilation to be an integer of at least 1, got 0.",
    );
  });

  it("output padding that is below neither stride nor dilation, on the axis where it is", () => {
    expect(() => new nn.ConvTranspose2d(4, 6, 3, { stride: [3, 2], outputPadding: 2 })).toThrow(
      new OptionError(
        "ConvTranspose2d: expected outputPadding to be smaller than the stride or the dilation, got outputPadding [2, 2], stride [3, 2], dilation [1, 1].",
      ),
    );
    const layer = new nn.ConvTranspose2d(4, 6, 3, { stride: [3, 2], dilation: [1, 3], outputPadding: 2, bias: false });
    expect(layer.toString()).toBe(
      "ConvTranspose2d(4, 6, kernelSize = 3, stride = [3, 2], outputPadding = 2, dilation = [1, 3], bias = false)",
    );
  });
});

describe("functions refuse", () => {
  const x = { line: ones([2, 4, 5]), image: ones([2, 4, 5, 5]), volume: ones([2, 4, 5, 5, 5]) };

  it("inputs and weights of the wrong rank or channels", () => {
    expect(() => ops.conv1d(x.image, ones([3, 4, 3]))).toThrow(
      new ShapeError("conv1d: expected input [N, C, L] and weight [O, C / groups, kL], got [2, 4, 5, 5] and [3, 4, 3]."),
    );
    expect(() => ops.conv1d(x.line, ones([3, 2, 3]))).toThrow(
      new ShapeError("conv1d: expected input [N, 2, L], got [2, 4, 5]: the weight is [3, 2, 3], groups 1."),
    );
    expect(() => ops.conv3d(x.volume, ones([3, 4, 3, 3]))).toThrow(
      "conv3d: expected input [N, C, D, H, W] and weight [O, C / groups, kD, kH, kW], got [2, 4, 5, 5, 5] and [3, 4, 3, 3].",
    );
    expect(() => ops.convTranspose2d(x.line, ones([4, 4, 3, 3]))).toThrow(
      new ShapeError(
        "convTranspose2d: expected input [N, C, H, W] and weight [C, O / groups, kH, kW], got [2, 4, 5] and [4, 4, 3, 3].",
      ),
    );
    for (const [image, weight] of [
      [x.image, ones([3, 4, 3, 3])],
      [ones([2, 3, 0, 5]), ones([3, 4, 3, 3])],
    ] as const) {
      expect(() => ops.convTranspose2d(image, weight)).toThrow(
        `convTranspose2d: expected input [N, 3, H, W] with at least one pixel, got [${image.shape.join(", ")}]: the weight is [3, 4, 3, 3].`,
      );
    }
    expect(() => ops.convTranspose2d(x.image, ones([4, 0, 3, 3]))).toThrow(
      "convTranspose2d: expected at least one channel and one tap, got input [2, 4, 5, 5] and weight [4, 0, 3, 3].",
    );
  });

  it("groups that do not divide the channels", () => {
    expect(() => ops.conv1d(x.line, ones([4, 1, 3]), null, { groups: 3 })).toThrow(
      new OptionError("conv1d: expected groups to divide the 4 input and 4 output channels, got 3."),
    );
    expect(() => ops.convTranspose2d(x.image, ones([4, 2, 3, 3]), null, { groups: 3 })).toThrow(
      new OptionError("convTranspose2d: expected groups to divide the 4 input and 6 output channels, got 3."),
    );
  });

  it("outputs without a pixel", () => {
    expect(() => ops.conv1d(x.line, ones([3, 4, 8]), null, { padding: 1 })).toThrow(
      new ShapeError("conv1d: the kernel [8] is larger than the padded input: got [2, 4, 5], padding [1]."),
    );
    expect(() => ops.conv3d(x.volume, ones([3, 4, 2, 3, 2]), null, { dilation: [5, 1, 1] })).toThrow(
      "conv3d: the kernel [2, 3, 2] is larger than the padded input: got [2, 4, 5, 5, 5], padding [0, 0, 0].",
    );
    expect(() => ops.convTranspose2d(ones([2, 4, 2, 1]), ones([4, 1, 1, 2]), null, { padding: 1 })).toThrow(
      new ShapeError(
        "convTranspose2d: expected an output of at least one pixel, not [0, 0]: got [2, 4, 2, 1], kernel [1, 2], padding [1, 1]; pad less.",
      ),
    );
  });

  it("a bias of the wrong size, other types, strides of three for two axes", () => {
    expect(() => ops.conv1d(x.line, ones([3, 4, 3]), ones([4]))).toThrow("conv1d: expected bias [3], got [4].");
    expect(() => ops.convTranspose2d(x.image, ones([4, 3, 3, 3]), ones([4]))).toThrow(
      "convTranspose2d: expected bias [3], got [4].",
    );
    expect(() => ops.conv3d(zeros([1, 1, 1, 1, 1], { dtype: "int32" }), ones([1, 1, 1, 1, 1]))).toThrow(DTypeError);
    expect(() => ops.conv1d(x.line, ones([3, 4, 3]), null, { stride: 0 })).toThrow(
      new OptionError("conv1d: expected stride to be an integer of at least 1, got 0."),
    );
    expect(() => ops.conv3d(x.volume, ones([3, 4, 3, 3, 3]), null, { padding: [1, 1] as never })).toThrow(
      new OptionError("conv3d: expected padding to be an integer of at least 0 or three of them, got [1,1]."),
    );
    expect(() => ops.convTranspose2d(x.image, ones([4, 3, 3, 3]), null, { outputPadding: 1 })).toThrow(
      "convTranspose2d: expected outputPadding to be smaller than the stride or the dilation, got outputPadding [1, 1], stride [1, 1], dilation [1, 1].",
    );
  });
});

describe("by hand and by each other", () => {
  it("conv1d: [1, 2, 3, 4] with taps [1, 10] and bias 100 is [121, 132, 143]; by steps of 3 with a zero at each end [110, 143]", () => {
    const [x, w, b] = [tensor([1, 2, 3, 4], [1, 1, 4]), tensor([1, 10], [1, 1, 2]), tensor([100])];
    expect([...ops.conv1d(x, w, b).data()]).toEqual([121, 132, 143]);
    expect([...ops.conv1d(x, w, b, { stride: 3, padding: 1 }).data()]).toEqual([110, 143]);
  });

  it("convTranspose2d: pixels 1 and 2 with taps [1, 10, 100], two apart, give [1, 10, 102, 20, 200]", () => {
    const [x, w] = [tensor([1, 2], [1, 1, 1, 2]), tensor([1, 10, 100], [1, 1, 1, 3])];
    expect([...ops.convTranspose2d(x, w, null, { stride: 2 }).data()]).toEqual([1, 10, 102, 20, 200]);
    expect([...ops.convTranspose2d(x, w, tensor([5]), { stride: 2, padding: [0, 1] }).data()]).toEqual([15, 107, 25]);
  });

  it("conv3d of a kernel one deep is conv2d of every layer, bit by bit; of volumes one deep with padding, of the middle of its kernel", () => {
    const [x, w, b] = [normals(2, 3, 4, 6, 5), normals(4, 3, 1, 3, 3), normals(4)];
    const y = ops.conv3d(x, w, b, { padding: [0, 1, 1] });
    for (let d = 0; d < 4; d++) {
      const layer = ops.conv2d(x.slice(2, d, d + 1).reshape([2, 3, 6, 5]), w.reshape([4, 3, 3, 3]), b, { padding: 1 });
      expect(bitDifference(y.slice(2, d, d + 1).data(), layer.data())).toBeNull();
    }
    const deep = normals(4, 3, 3, 3, 3);
    const [flat, middle] = [x.slice(2, 0, 1), deep.slice(2, 1, 2).reshape([4, 3, 3, 3])];
    const want = ops.conv2d(flat.reshape([2, 3, 6, 5]), middle, b, { padding: 1 }).data();
    const got = ops.conv3d(flat, deep, b, { padding: 1 }).data();
    expect(Math.max(...Array.from(want, (v, i) => Math.abs(v - got[i]!)))).toBeLessThan(1e-5);
  });

  it.each([
    [{}, [0, 0]],
    [{ stride: 2, padding: 1 }, [0, 0]],
    [{ stride: [3, 2] as const, padding: [1, 2] as const, dilation: [1, 2] as const, groups: 3 }, [2, 1]],
  ])("ConvTranspose2d is the adjoint of Conv2d with %o: Σ conv(x)·y = Σ x·convT(y) within 1e-5", (options, outputPadding) => {
    const conv = new nn.Conv2d(6, 9, [3, 2], { ...options, bias: false });
    const back = new nn.ConvTranspose2d(9, 6, [3, 2], {
      ...options,
      bias: false,
      outputPadding: outputPadding as [number, number],
    });
    back.loadStateDict(conv.stateDict());
    const x = normals(2, 6, 9, 10);
    const convolved = conv.call(x);
    const y = normals(...convolved.shape);
    const spread = back.call(y);
    expect(spread.shape).toEqual(x.shape);
    const dot = (a: Tensor, b: Tensor) => a.mul(b).sum().item();
    const size = Math.sqrt(dot(convolved, convolved) * dot(y, y));
    expect(Math.abs(dot(convolved, y) - dot(x, spread)) / size).toBeLessThan(1e-5);
  });

  it("a penalty on the gradient of the input reaches every weight: its gradients are finite and not 0", () => {
    for (const { make, shape } of kinds) {
      const layer = make();
      const x = uniform([2, ...shape], 0, 1, { requiresGrad: true });
      const y = layer.call(x);
      y.square().sum().backward(undefined, { createGraph: true });
      const penalty = x.grad!.square().sum();
      layer.zeroGrad();
      penalty.backward();
      const values = layer.weight.grad!.data();
      expect(values.length).toBe(sizeOf(layer.weight.shape));
      expect([...values].every((v) => Number.isFinite(v) && v !== 0)).toBe(true);
    }
  });
});
