import { OptionError, ShapeError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import { Module } from "./module.js";
import { isPlainRelu } from "./sequential.js";

/** A step of a `Graph`: a module, where its inputs come from, and the name of what it gives. */
export interface GraphNode<M = Module> {
  /** Unique, without dots: the module's name among the graph's children, so its state keys begin with it. */
  readonly name: string;
  readonly module: M;
  /** Names of edges: inputs of the graph or outputs of nodes before this one. */
  readonly inputs: readonly string[];
  /** Name of the edge that this node computes (default: the node's name). */
  readonly output?: string;
}

export interface GraphOptions {
  /** Names of the edges that `forward` is given, in order. */
  readonly inputs: readonly string[];
  /** In an order in which they can run. */
  readonly nodes: readonly GraphNode[];
  /** Names of the edges that leave the graph; `forward` returns the first. */
  readonly outputs: readonly string[];
}

/** How a graph is wired; the modules are its children, by name. */
type Wire = Required<Omit<GraphNode, "module">>;

function checkGraph({ inputs, nodes, outputs }: GraphOptions): void {
  const edges = new Set<string>();
  const define = (edge: string, where: string) => {
    if (edges.has(edge))
      throw new OptionError(`Graph: expected every edge to be computed once, got "${edge}" again from ${where}.`);
    edges.add(edge);
  };
  const demand = (edge: string, where: string) => {
    if (edges.has(edge)) return;
    throw new OptionError(`Graph: ${where} needs the edge "${edge}", which no input and no node before it gives.`);
  };
  if (inputs.length === 0 || outputs.length === 0) throw new OptionError("Graph: expected at least one input and one output.");
  for (const edge of inputs) define(edge, "the inputs");
  for (const { name, inputs: needed, output = name } of nodes) {
    if (needed.length === 0) throw new OptionError(`Graph: expected node "${name}" to have inputs, got none.`);
    for (const edge of needed) demand(edge, `node "${name}"`);
    define(output, `node "${name}"`);
  }
  for (const edge of outputs) demand(edge, "the output");
}

/**
 * Modules wired by named edges: what an imported network is, with its residual additions and concatenations.
 *
 * Runs the nodes in order; training or evaluation mode is passed on to all. A batch normalization whose output only a ReLU
 * sees is computed together with it in one pass over memory, with the same bits, unless one of them has hooks. State keys begin
 * with the node's name.
 *
 * @param options.inputs names of the inputs of `forward`
 * @param options.nodes steps, each with a module and the edges between them
 * @param options.outputs names of the edges that leave the graph; `forward` returns the first, `forwardAll` all
 * Shapes: those of the modules.
 * @throws OptionError if an edge is missing, computed twice, or used before it is computed
 * @example
 * const block = new nn.Graph({
 *   inputs: ["x"],
 *   nodes: [
 *     { name: "conv", module: new nn.Conv2d(8, 8, 3, { padding: 1, bias: false }), inputs: ["x"] },
 *     { name: "bn", module: new nn.BatchNorm2d(8), inputs: ["conv"] },
 *     { name: "add", module: new nn.Add(), inputs: ["bn", "x"] },
 *   ],
 *   outputs: ["add"],
 * });
 * block.forward(uniform([2, 8, 4, 4])).shape; // [2, 8, 4, 4]
 */
export class Graph extends Module {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly wires: readonly Wire[];
  /** Index of the ReLU that alone sees the output of the node, by the index of that node. */
  private readonly reluBehind: ReadonlyMap<number, number>;

  constructor(options: GraphOptions) {
    super();
    checkGraph(options);
    this.inputs = [...options.inputs];
    this.outputs = [...options.outputs];
    this.wires = options.nodes.map(({ name, inputs, output = name }) => ({ name, inputs: [...inputs], output }));
    for (const { name, module } of options.nodes) this.child(name, module);
    this.reluBehind = this.onlyReaders();
  }

  /** The nodes in order, with the modules as they are now. */
  get nodes(): Required<GraphNode>[] {
    const modules = this.children();
    return this.wires.map((wire, i) => ({ ...wire, module: modules[i]! }));
  }

  private onlyReaders(): Map<number, number> {
    const readers = new Map<string, number[]>();
    this.wires.forEach(({ inputs }, i) => {
      for (const edge of inputs) readers.set(edge, [...(readers.get(edge) ?? []), i]);
    });
    const found = new Map<number, number>();
    this.wires.forEach(({ output }, i) => {
      const [reader, ...others] = readers.get(output) ?? [];
      if (reader !== undefined && others.length === 0 && !this.outputs.includes(output)) found.set(i, reader);
    });
    return found;
  }

  forward(...inputs: Tensor[]): Tensor {
    return this.forwardAll(...inputs)[0]!;
  }

  /** What leaves the graph, in the order of `outputs`. @throws ShapeError if the number of inputs is another */
  forwardAll(...inputs: Tensor[]): Tensor[] {
    if (inputs.length !== this.inputs.length) {
      throw new ShapeError(
        `${this.who}: expected ${this.inputs.length} inputs (${this.inputs.join(", ")}), got ${inputs.length}.`,
      );
    }
    const values = new Map(this.inputs.map((edge, i) => [edge, inputs[i]!]));
    const modules = this.children();
    this.wires.forEach(({ inputs: needed, output }, i) => {
      if (values.has(output)) return; // a ReLU that its batch normalization has done
      const [first, ...rest] = needed.map((edge) => values.get(edge)!);
      const module = modules[i]!;
      const relu = this.reluBehind.get(i) ?? -1;
      if (module instanceof BatchNorm && !module.hasHooks && isPlainRelu(modules[relu])) {
        values.set(this.wires[relu]!.output, module.forwardRelu(first!));
      } else values.set(output, module.call(first!, ...rest));
    });
    return this.outputs.map((edge) => values.get(edge)!);
  }

  override forwardTogether(parts: readonly Tensor[]): Tensor[] {
    if (this.inputs.length !== 1) return super.forwardTogether(parts);
    const values = new Map([[this.inputs[0]!, [...parts]]]);
    for (const { module, inputs, output } of this.nodes) {
      const given = inputs.map((edge) => values.get(edge)!);
      const isChain = given.length === 1;
      values.set(
        output,
        isChain ? module.callTogether(given[0]!) : parts.map((_, k) => module.call(...given.map((xs) => xs[k]!))),
      );
    }
    return values.get(this.outputs[0]!)!;
  }

  protected override describe(): string {
    return `${this.inputs.join(", ")} → ${this.outputs.join(", ")}`;
  }
}
