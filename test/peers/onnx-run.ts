import type { GraphProto, NodeProto } from "onnx-buf";
import { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside } from "../fixtures/compare.js";
import { NodeCall, notApplicable, toValue, type Value } from "./onnx-call.js";
import { type FileTensor, type OnnxCase, readTensor, type Unread } from "./onnx-files.js";
import { operators, plumbing } from "./onnx-node.js";

/** Operators that the graph itself carries out. */
const GRADIENT = "Gradient";

const isOurs = ({ opType }: NodeProto) => opType in operators || opType === GRADIENT;

/** Whether a model has an operator that evenkeel has. */
export function isRelevant({ model }: OnnxCase): boolean {
  return model.graph!.node.some(isOurs);
}

/** Outputs of Gradient: those of the value `y` with respect to the values `xs`. */
function gradient(node: NodeProto, values: ReadonlyMap<string, Value>): Value[] {
  const text = new TextDecoder();
  const attribute = (name: string) => node.attribute.find((found) => found.name === name)!;
  const tensorOf = (name: string) => values.get(name) as Tensor;
  tensorOf(text.decode(attribute("y").s)).backward();
  return attribute("xs").strings.map((name) => tensorOf(text.decode(name)).grad!);
}

function runNode(node: NodeProto, opset: number, values: ReadonlyMap<string, Value>): readonly Value[] {
  if (node.opType === GRADIENT) return gradient(node, values);
  const inputs = node.input.map((name) => values.get(name));
  const outputs = (operators[node.opType] ?? plumbing[node.opType])!(new NodeCall(node, opset, inputs));
  return Array.isArray(outputs) ? outputs : [outputs as Value];
}

/** Values of all edges of a graph. */
function runGraph(graph: GraphProto, opset: number, inputs: readonly (FileTensor | Unread)[]): Map<string, Value> {
  const missing = graph.node.filter((node) => !isOurs(node) && !(node.opType in plumbing)).map(({ opType }) => opType);
  if (missing.length > 0) notApplicable(`needs ${[...new Set(missing)].sort().join(", ")}`);
  const values = new Map<string, Value>();
  for (const proto of graph.initializer) values.set(proto.name, toValue(readTensor(proto)));
  graph.input.forEach(({ name }, i) => {
    if (inputs[i] !== undefined) values.set(name, toValue(inputs[i]));
  });
  if (graph.node.some(({ opType }) => opType === GRADIENT)) {
    for (const value of values.values()) if (value instanceof Tensor) value.requiresGrad = true;
  }
  for (const node of graph.node) {
    const outputs = runNode(node, opset, values);
    node.output.forEach((name, i) => {
      if (name !== "" && outputs[i] !== undefined) values.set(name, outputs[i]);
    });
  }
  return values;
}

/** What is wrong with an output, or null. */
function problemOf(name: string, got: Value | undefined, want: FileTensor | Unread, tolerance: number): string | null {
  if (!("values" in want)) return notApplicable(`${want.type} data`);
  if (!(got instanceof Tensor)) return `${name} was not computed`;
  if (got.shape.join() !== want.shape.join()) return `${name} has shape [${got.shape}], expected [${want.shape}]`;
  const values = got.data();
  const odd = want.values.findIndex((value, i) => !Number.isFinite(value) && !Object.is(value, values[i]));
  if (odd >= 0) return `${name}[${odd}] is ${values[odd]}, expected ${want.values[odd]}`;
  const finite = (_: number, i: number) => Number.isFinite(want.values[i]);
  const [a, b] = [Float64Array.from(values).filter(finite), want.values.filter(finite)];
  return outside(name, a, b, tolerance * largest(b));
}

/**
 * Runs a case on the current backend and compares all outputs with those of the files.
 * @param tolerance of an output, relative to the largest of its values
 * @returns what is wrong
 * @throws NotApplicable
 */
export function runCase({ model, sets }: OnnxCase, tolerance: number): string[] {
  const graph = model.graph!;
  const opset = Number(model.opsetImport.find(({ domain }) => domain === "")?.version ?? 0);
  if (sets.length === 0) return ["there is no data set"];
  return sets.flatMap(({ inputs, outputs }) => {
    const values = runGraph(graph, opset, inputs);
    if (outputs.length === 0) return ["there is no output to compare with"];
    return outputs
      .map((want, i) => problemOf(graph.output[i]!.name, values.get(graph.output[i]!.name), want, tolerance))
      .filter((problem) => problem !== null);
  });
}
