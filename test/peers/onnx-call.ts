import type { NodeProto } from "onnx-buf";
import { MAX_RANK } from "../../src/core/shape.js";
import { tensor } from "../../src/tensor/create.js";
import { Tensor } from "../../src/tensor/tensor.js";
import { type FileTensor, readTensor, type Unread } from "./onnx-files.js";

/** What flows along the edges of a graph: floating-point numbers as tensors, all else as read from the files. */
export type Value = Tensor | FileTensor | Unread;

/** The outputs of a node; one value stands for a list of one. */
export type Operator = (call: NodeCall) => Value | readonly Value[];

/** Thrown where evenkeel does not have what a node asks for. Everything else that is thrown is a failure. */
export class NotApplicable extends Error {}

export function notApplicable(reason: string): never {
  throw new NotApplicable(reason);
}

/** Values of a file; float and double become a tensor. */
export function toValue(value: FileTensor | Unread): Value {
  if (!("values" in value) || !["float", "double"].includes(value.type)) return value;
  if (value.shape.length > MAX_RANK) notApplicable(`more than ${MAX_RANK} axes`);
  return tensor(value.values, value.shape);
}

const text = new TextDecoder();

/** One node with its inputs: attributes with their defaults, inputs with their types checked. */
export class NodeCall {
  constructor(
    readonly node: NodeProto,
    readonly opset: number,
    private readonly inputs: readonly (Value | undefined)[],
  ) {}

  /** How many outputs the graph asks for. */
  get outputs(): number {
    return this.node.output.filter((name) => name !== "").length;
  }

  get count(): number {
    return this.inputs.length;
  }

  has(name: string): boolean {
    return this.attribute(name) !== undefined;
  }

  int(name: string, otherwise: number): number {
    return Number(this.attribute(name)?.i ?? otherwise);
  }

  float(name: string, otherwise: number): number {
    return this.attribute(name)?.f ?? otherwise;
  }

  ints<T>(name: string, otherwise: T): number[] | T {
    return this.attribute(name)?.ints.map(Number) ?? otherwise;
  }

  string(name: string, otherwise: string): string {
    const found = this.attribute(name);
    return found ? text.decode(found.s) : otherwise;
  }

  /** What a Constant holds: a tensor, a number or a list of numbers. */
  constant(): Value {
    const found = this.node.attribute[0]!;
    if (found.t) return toValue(readTensor(found.t));
    const [, kind, isList] = /^value_(float|int)(s?)$/.exec(found.name) ?? notApplicable("constants that are no numbers");
    const numbers = kind === "float" ? (isList ? found.floats : [found.f]) : (isList ? found.ints : [found.i]).map(Number);
    const type = kind === "float" ? "float" : "int64";
    return toValue({ type, shape: isList ? [numbers.length] : [], values: Float64Array.from(numbers) });
  }

  value(i: number): Value | undefined {
    return this.inputs[i];
  }

  /** Input `i` as a tensor. */
  x(i = 0): Tensor {
    const value = this.inputs[i];
    if (value === undefined) throw new Error(`${this.node.opType}: input ${i} is missing.`);
    return value instanceof Tensor ? value : notApplicable(`${value.type} data`);
  }

  /** An optional input. */
  maybe(i: number): Tensor | null {
    return this.inputs[i] === undefined ? null : this.x(i);
  }

  /** All inputs as tensors. */
  all(): Tensor[] {
    return this.inputs.map((_, i) => this.x(i));
  }

  /** An input that holds sizes, positions or labels. */
  integers(i: number): number[] | undefined {
    const value = this.inputs[i];
    if (value === undefined) return undefined;
    if (value instanceof Tensor) throw new Error(`${this.node.opType}: input ${i} is not integers.`);
    if (!("values" in value)) notApplicable(`${value.type} data`);
    return [...value.values];
  }

  /** The one number of a scalar input, whatever its type. */
  scalar(i: number): number | undefined {
    const value = this.inputs[i];
    if (value === undefined) return undefined;
    const numbers = value instanceof Tensor ? value.data() : this.integers(i)!;
    return numbers.length === 1 ? numbers[0]! : notApplicable("a tensor where evenkeel takes a number");
  }

  private attribute(name: string) {
    return this.node.attribute.find((attribute) => attribute.name === name);
  }
}

/** Positions of the axes to reduce: an attribute, or an input in newer opsets. None means all, or none if so asked. */
export function axesOf(call: NodeCall): number[] | undefined {
  const axes = call.ints("axes", undefined) ?? call.integers(1);
  return axes === undefined || axes.length === 0 ? (call.int("noop_with_empty_axes", 0) === 1 ? [] : undefined) : axes;
}
