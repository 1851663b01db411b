import { describe, expect, test } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { OptionError } from "../../src/core/errors.js";
import { normal, zeros } from "../../src/tensor/create.js";
import { buildNetwork, type LayerSpec, parseTrainConfig } from "../../src/train/index.js";

const resnet: LayerSpec[] = [
  { type: "conv2d", out: 8, kernel: 3, padding: 1, bias: false },
  { type: "batchNorm" },
  { type: "relu" },
  {
    type: "residual",
    branch: [{ type: "conv2d", out: 16, kernel: 3, stride: 2, padding: 1 }, { type: "batchNorm" }],
    shortcut: [{ type: "conv2d", out: 16, kernel: 1, stride: 2 }],
  },
  { type: "maxPool2d", kernel: 3, stride: 2, padding: 1 },
  { type: "avgPool2d", kernel: [2, 1] },
  { type: "adaptiveAvgPool2d", size: 1 },
  { type: "flatten" },
  { type: "dropout", p: 0.2 },
  { type: "linear", out: 10 },
];

describe("a network from a list of layers", () => {
  test("has the shape that was found out, layer by layer, when it runs", () => {
    for (let n = 1; n <= resnet.length; n++) {
      const { module, shape } = buildNetwork(resnet.slice(0, n), [3, 14, 13]);
      const y = noGrad(() => module.eval().call(zeros([2, 3, 14, 13])));
      expect(y.shape).toEqual([2, ...shape]);
    }
  });

  const norms: [string, LayerSpec][] = (
    [
      { type: "batchNorm", decay: 0.9, bias: false },
      { type: "batchRenorm", rMax: 2, dMax: 1 },
      { type: "ghostBatchNorm", ghostSize: 2 },
      { type: "iterNorm", groupSize: 2, iterations: 3 },
      { type: "layerNorm" },
      { type: "rmsNorm", eps: 1e-6 },
      { type: "groupNorm", groups: 2 },
      { type: "instanceNorm", affine: true },
    ] satisfies LayerSpec[]
  ).map((spec) => [spec.type, spec]);
  test.each(norms)(
    "%s is read from JSON, built behind a convolution, and trained: every parameter gets a gradient",
    (_, spec) => {
      const json = JSON.stringify({
        data: { type: "mnist" },
        network: [{ type: "conv2d", out: 4, kernel: 3 }, spec, { type: "flatten" }, { type: "linear", out: 3 }],
        optimizer: { type: "sgd", lr: 0.1 },
        epochs: 1,
      });
      const { module } = buildNetwork(parseTrainConfig(json).network, [1, 5, 5]);
      module
        .call(normal([6, 1, 5, 5]))
        .square()
        .sum()
        .backward();
      const without = [...module.namedParameters()].filter(([, p]) => p.grad === null).map(([key]) => key);
      expect(without).toEqual([]);
    },
  );

  const wrong: [string, LayerSpec[], number[], string][] = [
    ["groups that do not divide", [{ type: "groupNorm", groups: 3 }], [4], "network[0]: groupNorm expects groups that divide"],
    [
      "instances without space",
      [{ type: "instanceNorm" }],
      [4],
      "network[0]: instanceNorm needs 2 to 4 axes per example, got [4].",
    ],
    ["a linear layer on images", [{ type: "linear", out: 3 }], [1, 4, 4], "network[0]: linear needs one axis per example"],
    [
      "a size that is given and wrong",
      [{ type: "relu" }, { type: "linear", in: 9, out: 3 }],
      [4],
      "network[1]: linear expects in = 4",
    ],
    ["a convolution on a row", [{ type: "conv2d", out: 3, kernel: 3 }], [4], "network[0]: conv2d needs images [C, H, W]"],
    ["a window that does not fit", [{ type: "maxPool2d", kernel: 5 }], [1, 4, 4], "network[0]: a window of 5 does not fit"],
    [
      "a branch of another shape",
      [{ type: "residual", branch: [{ type: "linear", out: 5 }] }],
      [4],
      "network[0]: the branch gives [5] and the shortcut [4]",
    ],
    [
      "a layer inside a branch",
      [{ type: "relu" }, { type: "residual", branch: [{ type: "batchNorm", features: 3 }] }],
      [4],
      "network[1].branch[0]: batchNorm expects features = 4",
    ],
  ];
  test.each(wrong)("%s is refused with its place", (_, layers, input, phrase) => {
    expect(() => buildNetwork(layers, input)).toThrow(OptionError);
    expect(() => buildNetwork(layers, input)).toThrow(phrase);
  });
});

describe("a configuration", () => {
  const good = {
    data: { type: "moons" },
    network: [{ type: "linear", out: 2 }],
    optimizer: { type: "sgd", lr: 0.1 },
    epochs: 2,
  };

  test("fills in what is left out", () => {
    const { batchSize, seed, validation, labelSmoothing } = parseTrainConfig(JSON.stringify(good));
    expect({ batchSize, seed, validation, labelSmoothing }).toEqual({
      batchSize: 64,
      seed: 0,
      validation: 0.1,
      labelSmoothing: 0,
    });
  });

  const wrong: [string, object, string][] = [
    ["a missing part", { epochs: undefined }, "c.json: at epochs: "],
    ["an unknown key", { epoch: 3 }, "c.json: at the top level: "],
    ["an unknown layer", { network: [{ type: "linear", out: 2 }, { type: "lineal" }] }, "c.json: at network[1].type: "],
    ["an unknown key of a layer", { network: [{ type: "linear", out: 2, bais: true }] }, "c.json: at network[0]: "],
    [
      "a wrong size in a branch",
      { network: [{ type: "residual", branch: [{ type: "linear", out: 0 }] }] },
      "network[0].branch[0].out: ",
    ],
    ["a negative rate", { optimizer: { type: "sgd", lr: -1 } }, "c.json: at optimizer.lr: "],
    ["an unknown optimizer", { optimizer: { type: "lion" } }, "c.json: at optimizer.type: "],
    ["an unknown data set", { data: { type: "emnist" } }, "c.json: at data.type: "],
  ];
  test.each(wrong)("%s is named with its file and place, on one line", (_, change, phrase) => {
    const text = JSON.stringify({ ...good, ...change });
    expect(() => parseTrainConfig(text, "c.json")).toThrow(OptionError);
    expect(() => parseTrainConfig(text, "c.json")).toThrow(phrase);
    try {
      parseTrainConfig(text, "c.json");
    } catch (error) {
      expect((error as Error).message).not.toContain("\n");
    }
  });

  test("text that is no JSON is refused with the file's name", () => {
    expect(() => parseTrainConfig("{", "c.json")).toThrow(/^c\.json: expected JSON/);
  });
});
