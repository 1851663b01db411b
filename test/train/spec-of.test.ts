import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { OptionError } from "../../src/core/errors.js";
import * as nn from "../../src/nn/index.js";
import { normal } from "../../src/tensor/create.js";
import { buildNetwork, type LayerSpec, specOf } from "../../src/train/index.js";
import { layerSchema } from "../../src/train/layer-schema.js";

/** Layers that take images and give images, each type with and without its options. */
const onImages: LayerSpec[] = [
  { type: "conv2d", out: 4, kernel: 3, padding: 1 },
  { type: "conv2d", out: 4, kernel: [1, 3], padding: [0, 1], stride: [2, 1], groups: 2, bias: false },
  { type: "stdConv2d", out: 4, kernel: 3, padding: 2, dilation: 2, eps: 1e-4 },
  { type: "convTranspose2d", out: 4, kernel: 3, stride: 2, padding: 1, outputPadding: 1 },
  { type: "batchNorm" },
  { type: "batchNorm", eps: 1e-3, momentum: null, bias: false, unbiasedRunningVar: false },
  { type: "batchNorm", affine: false, trackRunningStats: false, compat: "torch", detachStats: true },
  { type: "batchNorm", decay: 0.99 },
  { type: "batchRenorm" },
  { type: "batchRenorm", rMax: 2, dMax: 1 },
  { type: "ghostBatchNorm", ghostSize: 2 },
  { type: "iterNorm", groupSize: 2, iterations: 3, affine: false },
  { type: "layerNorm" },
  { type: "layerNorm", eps: 1e-3, bias: false },
  { type: "rmsNorm", affine: false },
  { type: "rmsNorm", eps: 1e-6 },
  { type: "groupNorm", groups: 2, eps: 1e-3, affine: false },
  { type: "instanceNorm", affine: true, momentum: 0.2, trackRunningStats: true },
  { type: "relu" },
  { type: "sigmoid" },
  { type: "tanh" },
  { type: "gelu" },
  { type: "silu" },
  { type: "identity" },
  { type: "leakyRelu", slope: 0.2 },
  { type: "softmax" },
  { type: "softmax", axis: -1 },
  { type: "dropout", p: 0.2 },
  { type: "maxPool2d", kernel: 2, stride: 1, padding: 1 },
  { type: "avgPool2d", kernel: [2, 1], stride: 1, padding: [1, 0], countIncludePad: false },
  { type: "adaptiveAvgPool2d", size: [5, 6] },
];

/** Endings, from images on. */
const endings: LayerSpec[][] = [
  [],
  [{ type: "flatten" }, { type: "linear", out: 3 }, { type: "batchNorm" }, { type: "linear", out: 2, bias: false }],
  [
    { type: "flatten", startAxis: 2 },
    { type: "conv1d", out: 3, kernel: 3, stride: 2 },
    { type: "layerNorm", shape: [2] },
  ],
];

const named = fc.option(fc.constantFrom("conv1", "bn", "down-1"), { nil: undefined });
const preserving = onImages.filter(({ type }) => ["batchNorm", "relu", "identity", "groupNorm"].includes(type));
const { list } = fc.letrec<{ list: LayerSpec[]; layer: LayerSpec }>((tie) => ({
  list: fc.array(tie("layer"), { minLength: 1, maxLength: 4, depthIdentifier: "nesting" }),
  layer: fc.oneof(
    { depthIdentifier: "nesting", maxDepth: 3 },
    fc.constantFrom(...onImages),
    fc
      .tuple(fc.array(fc.constantFrom(...preserving), { minLength: 1, maxLength: 2 }), named)
      .map(([branch, name]): LayerSpec => ({ type: "residual", branch, shortcut: branch, ...(name ? { name } : {}) })),
    tie("list").map((layers): LayerSpec => ({ type: "sequential", layers })),
    tie("layer").map(
      ({ name: _, ...layer }): LayerSpec => ({
        type: "graph",
        inputs: ["x"],
        nodes: [
          { name: "a", layer: layer as LayerSpec, inputs: ["x"] },
          { name: "b", layer: { type: "relu" }, inputs: ["a"], output: "edge" },
          { name: "c", layer: { type: "add" }, inputs: ["a", "edge"] },
          { name: "d", layer: { type: "concat" }, inputs: ["c", "a"] },
        ],
        outputs: ["d"],
      }),
    ),
  ),
}));

/** Names may not repeat within a list. */
const unique = (specs: LayerSpec[]) => new Set(specs.map(({ name }, i) => name ?? String(i))).size === specs.length;

describe("specOf", () => {
  test("is the inverse of buildNetwork: keys, text and evaluation output are the same bits, in 200 networks", () => {
    let built = 0;
    const property = fc.property(list, fc.constantFrom(...endings), (body, ending) => {
      const specs = [...body, ...ending];
      fc.pre(unique(specs));
      let first: ReturnType<typeof buildNetwork>;
      try {
        first = buildNetwork(specs, [4, 6, 6]);
      } catch (error) {
        expect(error).toBeInstanceOf(OptionError); // windows that no longer fit
        fc.pre(false);
        throw error;
      }
      const written = JSON.parse(JSON.stringify(specOf(first.module))) as LayerSpec[];
      for (const spec of written) layerSchema.parse(spec);
      const second = buildNetwork(written, [4, 6, 6]);
      expect(second.shape).toEqual(first.shape);
      expect(second.module.toString()).toBe(first.module.toString());
      expect(specOf(second.module)).toEqual(written);
      second.module.loadStateDict(first.module.stateDict());
      noGrad(() => {
        const x = normal([2, 4, 6, 6]);
        const [a, b] = [first, second].map(({ module }) => module.eval().call(x).data());
        expect(b).toEqual(a);
      });
      built++;
      for (const { module } of [first, second]) module.dispose();
    });
    fc.assert(property, { seed: 6, numRuns: 200 });
    expect(built).toBe(200);
  });

  test("writes nothing that stands at its default", () => {
    const specs: LayerSpec[] = [
      { type: "conv2d", out: 4, kernel: 3 },
      { type: "batchNorm" },
      { type: "maxPool2d", kernel: 2, stride: 2 },
    ];
    expect(specOf(buildNetwork(specs, [1, 8, 8]).module)).toEqual(specs);
  });

  test("a layer of one's own is refused by its path", () => {
    class Doubled extends nn.ReLU {}
    const model = new nn.Sequential(new nn.Residual(new nn.Sequential(new nn.ReLU(), new Doubled())));
    expect(() => specOf(model)).toThrow('specOf: layer "0.branch.1": expected a layer that net.json can describe, got Doubled.');
    const own = new nn.Sequential(new nn.BatchRenorm(4, { rMax: () => 2 }));
    expect(() => specOf(own)).toThrow('specOf: layer "0": expected rMax to be a number, got a function');
  });
});
