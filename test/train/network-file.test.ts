import { describe, expect, test } from "vitest";
import { buildNetworkFile, parseNetworkFile } from "../../src/train/index.js";

const net = { input: [1, 8, 8], network: [{ type: "conv2d", out: 4, kernel: 3, name: "conv1" }, { type: "flatten" }] };
const parse = (change: object) => parseNetworkFile(JSON.stringify({ ...net, ...change }), "net.json");

describe("net.json", () => {
  test("gives a network with the names that it says", () => {
    const { module, shape } = buildNetworkFile(parse({ classes: ["a", "b"], normalize: { mean: [0.5], std: 0.25 } }));
    expect([...module.stateDict().keys()]).toEqual(["conv1.weight", "conv1.bias"]);
    expect(shape).toEqual([4 * 36]);
  });

  const wrong: [string, () => unknown, string][] = [
    ["no JSON", () => parseNetworkFile("{", "n.json"), "n.json: expected JSON, got text that does not parse"],
    ["no input", () => parse({ input: undefined }), "net.json: at input: "],
    ["an unknown layer", () => parse({ network: [{ type: "dense" }] }), "net.json: at network[0].type: "],
    ["an unknown option", () => parse({ network: [{ type: "relu", slope: 1 }] }), "net.json: at network[0]: "],
    [
      "a name with a dot",
      () => parse({ network: [{ type: "relu", name: "a.b" }] }),
      "net.json: at network[0].name: Expected a name without dots.",
    ],
    [
      "too many means",
      () => parse({ normalize: { mean: [0, 0], std: 1 } }),
      "net.json: at normalize.mean: expected one number for each of 1 channels, got 2.",
    ],
    [
      "a deviation of 0",
      () => parse({ normalize: { mean: 0, std: [0] } }),
      "net.json: at normalize.std: expected numbers other than 0.",
    ],
    [
      "a layer that does not fit",
      () => buildNetworkFile(parse({ network: [{ type: "linear", out: 3 }] })),
      "net.json: network[0]: linear needs one axis per example",
    ],
    [
      "two layers of one name",
      () => buildNetworkFile(parse({ network: ["a", "a"].map((name) => ({ type: "relu", name })) })),
      'net.json: network[1]: expected a name that no other layer of the list has, got "a".',
    ],
    [
      "an edge that nobody gives",
      () =>
        buildNetworkFile(
          parse({
            network: [
              {
                type: "graph",
                inputs: ["x"],
                nodes: [{ name: "a", layer: { type: "add" }, inputs: ["x", "y"] }],
                outputs: ["a"],
              },
            ],
          }),
        ),
      'net.json: network[0].nodes[0]: needs the edge "y", which no input and no node before it gives.',
    ],
    [
      "a network of billions of weights, before memory is taken",
      () => buildNetworkFile(parse({ network: [{ type: "flatten" }, { type: "linear", out: 16_000_000 }] })),
      "net.json: network[1]: the network has more than 268435456 weights with this layer.",
    ],
    [
      "lists 20,000 deep",
      () => parseNetworkFile(`{"network":${"[".repeat(20_000)}${"]".repeat(20_000)}}`),
      "net.json: expected lists at most 64 deep, got deeper ones.",
    ],
  ];
  test.each(wrong)("%s is refused with file and place", (_, act, message) => {
    expect(act).toThrow(message);
  });
});
