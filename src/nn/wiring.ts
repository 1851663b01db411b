import { Graph } from "./graph.js";
import { isExactly } from "./is-exactly.js";
import type { Module } from "./module.js";
import { Residual } from "./residual.js";
import { Sequential } from "./sequential.js";

/** A module that runs, and the edges that it reads and writes. */
export interface WiredModule {
  /** Path in the model, as in the keys of `stateDict`. A module used twice appears twice, under the path it has first. */
  readonly path: string;
  readonly module: Module;
  /** "add" for the sum at the end of a `Residual`, whose module it is then; else the module is called. */
  readonly op: "call" | "add";
  readonly inputs: readonly string[];
  readonly output: string;
  /** Whether it is a class of its own making with modules inside, into which nobody can see. */
  readonly isOpaque: boolean;
}

/**
 * Who feeds whom in a network, whether it is built of `Sequential`, `Residual` or `Graph`: what folding, export and the doctor
 * need to know. A module of another class that has children is opaque; `wiringsOf` shows the networks inside it.
 */
export class Wiring {
  constructor(
    readonly inputs: readonly string[],
    /** In the order in which they run. */
    readonly nodes: readonly WiredModule[],
    readonly outputs: readonly string[],
  ) {}

  /** The node that computes an edge; null for an input. */
  producer(edge: string): WiredModule | null {
    return this.nodes.find((node) => node.output === edge) ?? null;
  }

  /** The nodes that read an edge. */
  consumers(edge: string): WiredModule[] {
    return this.nodes.filter((node) => node.inputs.includes(edge));
  }

  /** Whether an edge leaves the network. */
  isOutput(edge: string): boolean {
    return this.outputs.includes(edge);
  }

  /** The one node that reads what `node` writes, if nobody else does; null otherwise. */
  onlyConsumer(node: WiredModule): WiredModule | null {
    const [first, ...others] = this.consumers(node.output);
    return first !== undefined && others.length === 0 && !this.isOutput(node.output) ? first : null;
  }
}

/** Collects the nodes of a network; edges are numbered as they appear. */
class Walk {
  readonly nodes: WiredModule[] = [];
  private count = 0;
  private readonly paths: ReadonlyMap<Module, string>;

  constructor(model: Module) {
    this.paths = new Map([...model.namedModules()].map(([path, module]) => [module, path]));
  }

  edge(): string {
    return `#${this.count++}`;
  }

  private add(module: Module, op: WiredModule["op"], inputs: readonly string[]): string {
    const output = this.edge();
    const isOpaque = op === "call" && module.namedChildren().size > 0;
    this.nodes.push({ path: this.paths.get(module) ?? "", module, op, inputs, output, isOpaque });
    return output;
  }

  /** Returns the edge of the module's first output. */
  visit(module: Module, inputs: readonly string[]): string {
    if (isExactly(module, Sequential)) return [...module].reduce((edge, inner) => this.visit(inner, [edge]), inputs[0]!);
    if (isExactly(module, Graph)) return this.graph(module, inputs)[0]!;
    if (!isExactly(module, Residual)) return this.add(module, "call", inputs);
    const kept = module.shortcut === null ? inputs[0]! : this.visit(module.shortcut, inputs);
    return this.add(module, "add", [this.visit(module.branch, inputs), kept]);
  }

  graph(graph: Graph, inputs: readonly string[]): string[] {
    const edges = new Map(graph.inputs.map((name, i) => [name, inputs[i]!]));
    for (const { module, inputs: needed, output } of graph.nodes) {
      edges.set(
        output,
        this.visit(
          module,
          needed.map((edge) => edges.get(edge)!),
        ),
      );
    }
    return graph.outputs.map((name) => edges.get(name)!);
  }
}

/** The wiring of a model. Models built of Sequential, Residual and Graph are seen through, others are one opaque node. */
export function wiringOf(model: Module): Wiring {
  return wiringOfPart(model, model);
}

function wiringOfPart(part: Module, model: Module): Wiring {
  const walk = new Walk(model);
  const inputs = isExactly(part, Graph) ? part.inputs.map(() => walk.edge()) : [walk.edge()];
  const outputs = isExactly(part, Graph) ? walk.graph(part, inputs) : [walk.visit(part, inputs)];
  return new Wiring(inputs, walk.nodes, outputs);
}

/** The wiring of a model and of every network inside its opaque modules, each once; paths are those in the model. */
export function wiringsOf(model: Module): Wiring[] {
  const found: Wiring[] = [];
  const seen = new Set<Module>();
  const visit = (part: Module): void => {
    if (seen.has(part)) return;
    seen.add(part);
    const wiring = wiringOfPart(part, model);
    found.push(wiring);
    for (const node of wiring.nodes) if (node.isOpaque) for (const child of node.module.children()) visit(child);
  };
  visit(model);
  return found;
}
