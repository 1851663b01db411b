import { afterAll, describe, expect, it } from "vitest";
import { BackendError, DTypeError, OptionError, ShapeError, TrainingError } from "../../src/core/errors.js";
import { setWarningHandler } from "../../src/core/warnings.js";
import { withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import * as nn from "../../src/nn/index.js";
import { ones, tensor, zeros } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const reference = new ReferenceBackend();
afterAll(() => reference.dispose());

const bits = (t: Tensor | null) => [...t!.data()];

describe("refusals", () => {
  const instance = (shape: readonly number[], options = {}) => nn.instanceNorm(ones(shape), options);
  // biome-ignore format: a table
  it.each([
    [ShapeError, "LayerNorm: Given normalized_shape=[3, 4], expected input with shape [*, 3, 4], but got input of size[4, 5].", () => new nn.LayerNorm([3, 4]).call(ones([4, 5]))],
    [ShapeError, "LayerNorm: Given normalized_shape=[3, 4], expected input with shape [*, 3, 4], but got input of size[4].", () => new nn.LayerNorm([3, 4]).call(ones([4]))],
    [ShapeError, "LayerNorm: Expected normalized_shape to be at least 1-dimensional, got [].", () => new nn.LayerNorm([])],
    [ShapeError, "RMSNorm: expected normalizedShape to hold integers of at least 1, got [3, 0].", () => new nn.RMSNorm([3, 0])],
    [ShapeError, "RMSNorm: Given normalized_shape=[5], expected input with shape [*, 5], but got input of size[4, 6].", () => new nn.RMSNorm(5).call(ones([4, 6]))],
    [ShapeError, "layerNorm: Expected weight to be of same shape as normalized_shape, but got weight of shape [4] and normalized_shape = [5].", () => nn.layerNorm(ones([4, 5]), 5, { weight: ones([4]) })],
    [ShapeError, "layerNorm: Expected bias to be of same shape as normalized_shape, but got bias of shape [5, 1] and normalized_shape = [5].", () => nn.layerNorm(ones([4, 5]), 5, { bias: ones([5, 1]) })],
    [ShapeError, "rmsNorm: Expected weight to be of same shape as normalized_shape, but got weight of shape [] and normalized_shape = [5].", () => nn.rmsNorm(ones([4, 5]), 5, { weight: ones([]) })],
    [OptionError, "LayerNorm: expected eps of at least 0, got -1.", () => new nn.LayerNorm(3, { eps: -1 })],
    [OptionError, "rmsNorm: expected eps of at least 0, got NaN.", () => nn.rmsNorm(ones([3]), 3, { eps: NaN })],
    [OptionError, "GroupNorm: num_channels (6) must be divisible by num_groups (4).", () => new nn.GroupNorm(4, 6)],
    [OptionError, "GroupNorm: expected numGroups to be an integer of at least 1, got 0.", () => new nn.GroupNorm(0, 6)],
    [OptionError, "GroupNorm: expected eps of at least 0, got Infinity.", () => new nn.GroupNorm(2, 6, { eps: Infinity })],
    [ShapeError, "GroupNorm: expected input [N, 6, …], got [2, 4]. The layer was built with numChannels = 6.", () => new nn.GroupNorm(2, 6).call(ones([2, 4]))],
    [ShapeError, "GroupNorm: Expected at least 2 dimensions for input tensor but received 1: expected [N, C] or [N, C, …], got [6].", () => new nn.GroupNorm(2, 6).call(ones([6]))],
    [OptionError, "groupNorm: expected numGroups to be an integer of at least 1, got 1.5.", () => nn.groupNorm(ones([2, 3]), 1.5)],
    [ShapeError, "groupNorm: Expected number of channels in input to be divisible by num_groups, but got input of shape [4, 5] and num_groups=2.", () => nn.groupNorm(ones([4, 5]), 2)],
    [ShapeError, "groupNorm: Expected weight to be a vector of size equal to the number of channels in input, but got weight of shape [3] and input of shape [4, 6, 2].", () => nn.groupNorm(ones([4, 6, 2]), 2, { weight: ones([3]) })],
    [TrainingError, "GroupNorm: Expected more than 1 value per channel when training, got input size [1, 2].", () => new nn.GroupNorm(2, 2).call(ones([1, 2]))],
    [TrainingError, "InstanceNorm2d: Expected more than 1 spatial element when training, got input size [4, 3, 1, 1].", () => new nn.InstanceNorm2d(3).call(ones([4, 3, 1, 1]))],
    [TrainingError, "InstanceNorm2d: Expected more than 1 spatial element when training", () => new nn.InstanceNorm2d(3).eval().call(ones([4, 3, 1, 1]))],
    [ShapeError, "InstanceNorm1d: expected 3D input (got 2D input): expected [N, 3, L], got [4, 3].", () => new nn.InstanceNorm1d(3).call(ones([4, 3]))],
    [ShapeError, "InstanceNorm3d: expected 5D input (got 4D input): expected [N, 3, D, H, W], got [4, 3, 2, 2].", () => new nn.InstanceNorm3d(3).call(ones([4, 3, 2, 2]))],
    [ShapeError, "InstanceNorm2d: expected input's size at dim=1 to match num_features (3), but got: 4 in [2, 4, 2, 2]. The layer was built with numFeatures = 3.", () => new nn.InstanceNorm2d(3).call(ones([2, 4, 2, 2]))],
    [OptionError, "InstanceNorm1d: expected numFeatures to be an integer of at least 1, got 0.", () => new nn.InstanceNorm1d(0)],
    [OptionError, "InstanceNorm1d: expected momentum to be a number from 0 to 1 or null, got NaN.", () => new nn.InstanceNorm1d(2, { momentum: NaN })],
    [ShapeError, "instanceNorm: expected input [N, C, L] or [N, C, …], got [2, 3].", () => instance([2, 3])],
    [ShapeError, "instanceNorm: expected at least one channel at axis 1, got [2, 0, 3].", () => instance([2, 0, 3])],
    [ShapeError, "instanceNorm: Expected bias to be a vector of size equal to the number of channels in input, but got bias of shape [2] and input of shape [2, 3, 4].", () => instance([2, 3, 4], { bias: ones([2]) })],
    [TrainingError, "instanceNorm: Expected running_mean and running_var to be defined when use_input_stats is false.", () => instance([2, 3, 4], { useInputStats: false })],
    [OptionError, "instanceNorm: expected runningMean and runningVar both or neither, got only runningVar.", () => instance([2, 3, 4], { runningVar: ones([3]) })],
    [ShapeError, "instanceNorm: running_var should contain 3 elements not 2: the input is [2, 3, 4].", () => instance([2, 3, 4], { runningMean: zeros([3]), runningVar: ones([2]) })],
    [OptionError, "instanceNorm: expected momentum to be a number, or null with a counter of batches, got null.", () => instance([2, 3, 4], { runningMean: zeros([3]), runningVar: ones([3]), momentum: null })],
    [DTypeError, "instanceNorm: expected counter to be one int32, got float32 of shape [].", () => instance([2, 3, 4], { runningMean: zeros([3]), runningVar: ones([3]), counter: zeros([]) })],
    [DTypeError, "LayerNorm: expected float32, got int32 of shape [2].", () => new nn.LayerNorm(2).call(tensor(Int32Array.of(1, 2)))],
    [BackendError, "groupNorm: the input and the layer's tensors lie on different backends.", () => nn.groupNorm(ones([2, 2]), 1, { bias: withBackend(reference, () => ones([2])) })],
  ] as const)("%o: %s", (type, text, call) => {
    const thrown = (() => {
      try {
        return call();
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toBeInstanceOf(type);
    expect((thrown as Error).message).toContain(text);
  });

  it("as in PyTorch, groups of one value are taken if there are two examples: y is β", () => {
    const layer = new nn.GroupNorm(2, 2);
    const bias = [0.25, -3];
    layer.bias!.backend.write(layer.bias!.storage, bias);
    expect(bits(layer.call(tensor([1, 2, 3, 4], [2, 2])))).toEqual([...bias, ...bias]);
  });

  it("InstanceNorm: a momentum outside 0 to 1 warns once; 0, 1 and null do not", () => {
    const warnings: string[] = [];
    const previous = setWarningHandler((message) => void warnings.push(message));
    for (const momentum of [0, 1, null, 1.75, 1.75]) new nn.InstanceNorm3d(3, { momentum });
    setWarningHandler(previous);
    expect(warnings.map((text) => text.slice(0, 27))).toEqual(["InstanceNorm3d: momentum is"]);
  });
});

describe("options and state", () => {
  it("defaults, keys and starting values are PyTorch's", () => {
    const start = (layer: nn.Module) => [...layer.stateDict()].map(([key, t]) => [key, t.shape, [...new Set(t.data())]]);
    expect(start(new nn.LayerNorm([2, 3]))).toEqual([
      ["weight", [2, 3], [1]],
      ["bias", [2, 3], [0]],
    ]);
    expect(start(new nn.LayerNorm(3, { bias: false }))).toEqual([["weight", [3], [1]]]);
    expect(start(new nn.LayerNorm(3, { elementwiseAffine: false }))).toEqual([]);
    expect(start(new nn.RMSNorm(3))).toEqual([["weight", [3], [1]]]);
    expect(start(new nn.RMSNorm(3, { elementwiseAffine: false }))).toEqual([]);
    expect(start(new nn.GroupNorm(2, 4))).toEqual([
      ["weight", [4], [1]],
      ["bias", [4], [0]],
    ]);
    expect(start(new nn.GroupNorm(2, 4, { affine: false }))).toEqual([]);
    expect(start(new nn.InstanceNorm2d(3))).toEqual([]);
    expect(start(new nn.InstanceNorm2d(3, { affine: true, trackRunningStats: true }))).toEqual([
      ["weight", [3], [1]],
      ["bias", [3], [0]],
      ["running_mean", [3], [0]],
      ["running_var", [3], [1]],
      ["num_batches_tracked", [], [0]],
    ]);
  });

  it("a negative variance is refused when loaded", () => {
    const layer = new nn.InstanceNorm1d(2, { trackRunningStats: true });
    const state = new Map([
      ["running_mean", zeros([2])],
      ["running_var", tensor([1, -1])],
    ]);
    expect(() => layer.loadStateDict(state)).toThrow("expected variances of at least 0, got -1 for channel 1.");
  });

  it("toString shows the options", () => {
    expect(
      [
        new nn.LayerNorm([2, 3]),
        new nn.GroupNorm(2, 4, { affine: false }),
        new nn.InstanceNorm1d(3, { trackRunningStats: true }),
        new nn.RMSNorm(5),
      ].map(String),
    ).toEqual([
      "LayerNorm([2, 3], eps = 0.00001, elementwiseAffine = true, bias = true)",
      "GroupNorm(2, 4, eps = 0.00001, affine = false)",
      "InstanceNorm1d(3, eps = 0.00001, momentum = 0.1, affine = false, trackRunningStats = true)",
      "RMSNorm([5], eps = null, elementwiseAffine = true)",
    ]);
  });

  it("resetParameters brings back the start", () => {
    const layers = [
      new nn.LayerNorm(3),
      new nn.RMSNorm([2, 3]),
      new nn.GroupNorm(1, 2),
      new nn.InstanceNorm1d(2, { affine: true, trackRunningStats: true }),
    ];
    for (const layer of layers) {
      const values = () => [...layer.stateDict().values()].map(bits);
      const start = values();
      for (const p of layer.parameters()) nn.init.constant(p, 5);
      if (layer instanceof nn.InstanceNorm1d) layer.call(ones([2, 2, 3]));
      expect(values()).not.toEqual(start);
      layer.resetParameters();
      expect(values()).toEqual(start);
    }
  });
});
