import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type TensorProto, TensorProto_DataType, TensorProtoSchema } from "onnx-buf";

/** A tensor of a file: ONNX's name of its type in lower case, and its values, where this type's are read. */
export interface FileTensor {
  readonly type: string;
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** A sequence, an optional value or a tensor of a type that is not read. */
export interface Unread {
  readonly type: string;
}

export interface OnnxCase {
  /** Folder and name, as "node/test_relu". */
  readonly name: string;
  readonly model: ModelProto;
  /** Inputs and outputs of the graph, one list for each data set. */
  readonly sets: readonly { inputs: readonly (FileTensor | Unread)[]; outputs: readonly (FileTensor | Unread)[] }[];
}

type Reader = (view: DataView, at: number) => number;

/** How many bytes a value has, and how it is read. */
const READERS: Readonly<Record<string, readonly [number, Reader]>> = {
  float: [4, (view, at) => view.getFloat32(at, true)],
  double: [8, (view, at) => view.getFloat64(at, true)],
  int32: [4, (view, at) => view.getInt32(at, true)],
  int64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  uint8: [1, (view, at) => view.getUint8(at)],
  bool: [1, (view, at) => view.getUint8(at)],
};

/** The values of a tensor: in `rawData`, or in the list for its type. */
export function readTensor(proto: TensorProto): FileTensor | Unread {
  const type = TensorProto_DataType[proto.dataType]!.toLowerCase();
  const reader = READERS[type];
  if (reader === undefined) return { type };
  const shape = proto.dims.map(Number);
  const size = shape.reduce((product, n) => product * n, 1);
  if (proto.rawData.length > 0) {
    const [bytes, read] = reader;
    const view = new DataView(proto.rawData.buffer, proto.rawData.byteOffset, proto.rawData.byteLength);
    return { type, shape, values: Float64Array.from({ length: size }, (_, i) => read(view, i * bytes)) };
  }
  const lists = { float: proto.floatData, double: proto.doubleData, int64: proto.int64Data };
  const list = lists[type as keyof typeof lists] ?? proto.int32Data;
  if (list.length !== size) throw new Error(`tensor "${proto.name}": expected ${size} values, got ${list.length}.`);
  return { type, shape, values: Float64Array.from(list, Number) };
}

/** Files input_0.pb, input_1.pb, … or output_….pb of a data set, with the kinds that the graph declares. */
function readValues(folder: string, kind: "input" | "output", declared: readonly (string | undefined)[]) {
  const values: (FileTensor | Unread)[] = [];
  for (let i = 0; existsSync(join(folder, `${kind}_${i}.pb`)); i++) {
    const isTensor = declared[i] === "tensorType";
    const bytes = () => readFileSync(join(folder, `${kind}_${i}.pb`));
    values.push(isTensor ? readTensor(fromBinary(TensorProtoSchema, bytes())) : { type: declared[i] ?? "unknown" });
  }
  return values;
}

/** A model and its data sets. */
export function readCase(root: string, name: string): OnnxCase {
  const folder = join(root, name);
  const model = fromBinary(ModelProtoSchema, readFileSync(join(folder, "model.onnx")));
  const [inputs, outputs] = [model.graph!.input, model.graph!.output].map((list) => list.map(({ type }) => type?.value.case));
  const sets = readdirSync(folder)
    .filter((entry) => entry.startsWith("test_data_set_"))
    .map((entry) => ({
      inputs: readValues(join(folder, entry), "input", inputs!),
      outputs: readValues(join(folder, entry), "output", outputs!),
    }));
  return { name, model, sets };
}

/** Names of all cases that have a model (those in real/ are only links to downloads), sorted. */
export function listCases(root: string): string[] {
  const groups = readdirSync(root).sort();
  return groups
    .flatMap((group) => readdirSync(join(root, group)).map((name) => `${group}/${name}`))
    .filter((name) => existsSync(join(root, name, "model.onnx")))
    .sort();
}
