import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { loadModelFile, saveModelFile } from "../../src/cli/load-model.js";
import { writeSafetensors } from "../../src/io/safetensors.js";
import * as nn from "../../src/nn/index.js";
import { normal } from "../../src/tensor/create.js";
import { buildNetwork, type LayerSpec } from "../../src/train/index.js";

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "evenkeel-model-"));
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const network: LayerSpec[] = [
  { type: "conv2d", out: 4, kernel: 3, name: "conv1" },
  { type: "batchNorm", name: "bn1" },
  { type: "relu", name: "relu" },
  { type: "flatten", name: "flat" },
  { type: "linear", out: 3, name: "fc" },
];
const input = [1, 6, 6];

function trained() {
  const { module } = buildNetwork(network, input);
  noGrad(() => module.call(normal([8, ...input])));
  return module.eval();
}

const save = (name: string, content: string | Uint8Array) => writeFileSync(join(cwd, name), content);
const outputs = (...models: nn.Module[]) => {
  const x = normal([4, ...input]);
  return noGrad(() => models.map((model) => model.eval().call(x).data()));
};

describe("a model file", () => {
  test("that evenkeel wrote needs no --arch, and gives the same bits", async () => {
    const model = trained();
    await saveModelFile(join(cwd, "m.safetensors"), model, { input, classes: ["a", "b", "c"] });
    const loaded = await loadModelFile("m.safetensors", { cwd });
    expect(loaded.input).toEqual(input);
    expect(loaded.net?.classes).toEqual(["a", "b", "c"]);
    const [a, b] = outputs(model, loaded.model);
    expect(b).toEqual(a);
  });

  test("of weights alone finds its network by --arch, a net.json or a configuration of train", async () => {
    const model = trained();
    save("weights.safetensors", writeSafetensors(model.stateDict()));
    save("net.json", JSON.stringify({ input, network }));
    const [a, b] = outputs(model, (await loadModelFile("weights.safetensors", { cwd, arch: "net.json" })).model);
    expect(b).toEqual(a);
    const linear: LayerSpec[] = [{ type: "linear", out: 2 }];
    save("two.safetensors", writeSafetensors(buildNetwork(linear, [2]).module.stateDict()));
    save("config.json", JSON.stringify({ data: { type: "moons" }, network: linear, optimizer: { type: "adam" }, epochs: 1 }));
    expect((await loadModelFile("two.safetensors", { cwd, arch: "config.json" })).input).toEqual([2]);
  });

  test("of a graph is a list of that one layer, with the same bits", async () => {
    const graph = new nn.Graph({
      inputs: ["x"],
      nodes: [
        { name: "conv", module: new nn.Conv2d(1, 2, 3), inputs: ["x"] },
        { name: "bn", module: new nn.BatchNorm2d(2), inputs: ["conv"] },
        { name: "sum", module: new nn.Add(), inputs: ["conv", "bn"] },
      ],
      outputs: ["sum"],
    });
    await saveModelFile(join(cwd, "graph.safetensors"), graph, { input });
    const [a, b] = outputs(graph, (await loadModelFile("graph.safetensors", { cwd })).model);
    expect(b).toEqual(a);
  });

  const wrong: [string, () => Promise<unknown>, string][] = [
    [
      "weights alone",
      () => loadModelFile("weights.safetensors", { cwd }),
      "weights.safetensors: has weights only, and nothing about the network. Pass --arch net.json.",
    ],
    ["another network", () => loadModelFile("two.safetensors", { cwd, arch: "net.json" }), "Missing key(s) in state_dict"],
    ["no file", () => loadModelFile("none.safetensors", { cwd, arch: "net.json" }), "none.safetensors: could not read the file"],
    ["no architecture", () => loadModelFile("two.safetensors", { cwd, arch: "none.json" }), "--arch: could not read"],
    [
      "a name that promises another format",
      () => saveModelFile(join(cwd, "m.onnx"), trained(), { input }),
      "expected a name that ends in .safetensors.",
    ],
  ];
  test.each(wrong)("%s is refused in one line", async (_, act, message) => {
    await expect(act()).rejects.toThrow(message);
  });
});
