import { describe, expect, it } from "vitest";
import { init } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";

await init({ backend: "wasm" });

const x = (shape: number[]) => uniform(shape);

/** A residual block: twice as a graph and of layers, with the same values. */
function twoBlocks() {
  manualSeed(3);
  const [conv, bn, conv2, bn2] = [
    new nn.Conv2d(4, 4, 3, { padding: 1, bias: false }),
    new nn.BatchNorm2d(4),
    new nn.Conv2d(4, 4, 3, { padding: 1 }),
    new nn.BatchNorm2d(4),
  ];
  const graph = new nn.Graph({
    inputs: ["image"],
    nodes: [
      { name: "conv", module: conv, inputs: ["image"] },
      { name: "bn", module: bn, inputs: ["conv"] },
      { name: "relu", module: new nn.ReLU(), inputs: ["bn"] },
      { name: "conv2", module: conv2, inputs: ["relu"] },
      { name: "bn2", module: bn2, inputs: ["conv2"] },
      { name: "add", module: new nn.Add(), inputs: ["bn2", "image"] },
      { name: "relu2", module: new nn.ReLU(), inputs: ["add"], output: "y" },
    ],
    outputs: ["y"],
  });
  const layers = new nn.Sequential(new nn.Residual(new nn.Sequential(conv, bn, new nn.ReLU(), conv2, bn2)), new nn.ReLU());
  return { graph, layers };
}

describe("Graph", () => {
  it.each(["training", "evaluation"])("computes the same bits as Sequential and Residual in %s", (mode) => {
    const { graph, layers } = twoBlocks();
    const image = x([3, 4, 5, 5]);
    graph.train(mode === "training");
    layers.train(mode === "training");
    const [a, b] = [graph.forward(image), layers.forward(image)];
    expect([...a.data()]).toEqual([...b.data()]);
  });

  it("computes parts of a batch together with the bits of Sequential and Residual", () => {
    const { graph, layers } = twoBlocks();
    const parts = [x([2, 4, 5, 5]), x([1, 4, 5, 5])];
    const [a, b] = [graph.callTogether(parts), layers.callTogether(parts)];
    const close = (y: (typeof b)[number]) => [...y.data()].map((v) => expect.closeTo(v, 5));
    expect(a.map((y) => [...y.data()])).toEqual(b.map(close));
  });

  it("looks past no hook: a hook on the ReLU sees the normalized values", () => {
    const { graph } = twoBlocks();
    const seen: number[] = [];
    graph.nodes[2]!.module.registerForwardHook((_, [input]) => {
      seen.push(Math.min(...(input!.data() as Float32Array)));
    });
    graph.call(x([3, 4, 5, 5]));
    expect(seen[0]).toBeLessThan(0);
  });

  it("does not hide a batch normalization whose output a second node reads", () => {
    const bn = new nn.BatchNorm1d(3);
    const graph = new nn.Graph({
      inputs: ["x"],
      nodes: [
        { name: "bn", module: bn, inputs: ["x"] },
        { name: "relu", module: new nn.ReLU(), inputs: ["bn"] },
        { name: "cat", module: new nn.Concat(), inputs: ["bn", "relu"] },
      ],
      outputs: ["cat"],
    });
    const y = graph.forward(x([6, 3])).data();
    expect(Math.min(...y)).toBeLessThan(-0.5);
    expect(graph.forwardAll(x([6, 3]))[0]!.shape).toEqual([6, 6]);
  });

  it("replaces a module by name and runs the new one", () => {
    const { graph } = twoBlocks();
    graph.replaceChild("bn", new nn.Identity());
    expect(graph.nodes[1]!.module).toBeInstanceOf(nn.Identity);
    expect([...graph.stateDict().keys()].filter((key) => key.startsWith("bn."))).toEqual([]);
    expect(graph.forward(x([3, 4, 5, 5])).shape).toEqual([3, 4, 5, 5]);
  });

  const node = (name: string, inputs: string[], output?: string): nn.GraphNode => {
    const rest = output === undefined ? {} : { output };
    return { name, module: new nn.Identity(), inputs, ...rest };
  };
  it.each([
    ["an edge that nobody computes", ["x"], [node("a", ["z"])], ["a"], 'needs the edge "z"'],
    ["a cycle", ["x"], [node("a", ["b"]), node("b", ["a"])], ["b"], 'needs the edge "b"'],
    ["an edge computed twice", ["x"], [node("a", ["x"], "x")], ["x"], '"x" again'],
    ["an output that nobody computes", ["x"], [node("a", ["x"])], ["q"], 'needs the edge "q"'],
    ["a node without inputs", ["x"], [node("a", [])], ["a"], "to have inputs"],
    ["no input", [], [], ["a"], "at least one input"],
    ["two nodes of one name", ["x"], [node("a", ["x"]), node("a", ["x"], "b")], ["b"], "name that is not taken"],
  ])("refuses %s", (_, inputs, nodes, outputs, message) => {
    expect(() => new nn.Graph({ inputs, nodes, outputs })).toThrow(message);
  });

  it("refuses another number of inputs", () => {
    const graph = new nn.Graph({ inputs: ["a", "b"], nodes: [node("c", ["a"])], outputs: ["c"] });
    expect(() => graph.forward(x([2]))).toThrow("expected 2 inputs (a, b), got 1");
  });
});

describe("wiringOf", () => {
  it("sees the same network in a graph and in layers", () => {
    const { graph, layers } = twoBlocks();
    const shape = (wiring: nn.Wiring) =>
      wiring.nodes.map(({ module, op, inputs, output }) => [
        op === "add" || module instanceof nn.Add ? "+" : module.typeName,
        inputs,
        output,
      ]);
    expect(shape(nn.wiringOf(layers))).toEqual(shape(nn.wiringOf(graph)));
  });

  it("gives the paths of the state's keys, and who reads what", () => {
    const { layers } = twoBlocks();
    const wiring = nn.wiringOf(layers);
    const bn = wiring.nodes[1]!;
    expect(wiring.nodes.map(({ path }) => path)).toEqual([
      "0.branch.0",
      "0.branch.1",
      "0.branch.2",
      "0.branch.3",
      "0.branch.4",
      "0",
      "1",
    ]);
    expect(wiring.producer(bn.inputs[0]!)?.path).toBe("0.branch.0");
    expect(wiring.onlyConsumer(bn)?.path).toBe("0.branch.2");
    expect(wiring.consumers(wiring.inputs[0]!).map(({ path }) => path)).toEqual(["0.branch.0", "0"]);
    expect(wiring.isOutput(wiring.nodes.at(-1)!.output)).toBe(true);
  });

  it("shows a class of one's own as one opaque node, and the networks inside it by themselves", () => {
    class Twin extends nn.Module {
      readonly left = this.child("left", new nn.Sequential(new nn.Linear(3, 3), new nn.BatchNorm1d(3)));
      forward(input: ReturnType<typeof x>) {
        return this.left.call(this.left.call(input));
      }
    }
    const model = new nn.Sequential(new Twin(), new nn.ReLU());
    expect(nn.wiringOf(model).nodes.map(({ path, isOpaque }) => [path, isOpaque])).toEqual([
      ["0", true],
      ["1", false],
    ]);
    expect(nn.wiringsOf(model).map(({ nodes }) => nodes.map(({ path }) => path))).toEqual([
      ["0", "1"],
      ["0.left.0", "0.left.1"],
    ]);
  });
});
