import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  TensorProto_DataType,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { BatchNormExample, Results } from "./batch-norm-examples.js";

export interface BatchNormModel {
  readonly shape: readonly number[];
  readonly eps: number;
  /** ONNX's momentum: the weight of the old value. */
  readonly momentum: number;
  readonly training: boolean;
}

const INPUTS = ["x", "scale", "bias", "mean", "variance"];
const OUTPUTS = ["y", "running_mean", "running_variance"];

const float = (name: string, f: number): AttributeProto =>
  create(AttributeProtoSchema, { name, f, type: AttributeProto_AttributeType.FLOAT });

/** A float32 input or output of the graph. */
function declare(name: string, shape: readonly number[]) {
  const dim = shape.map((n) => ({ value: { case: "dimValue" as const, value: BigInt(n) } }));
  const value = { elemType: TensorProto_DataType.FLOAT, shape: { dim } };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value } } });
}

/** A model file with one BatchNormalization of opset 15. In training it has both running values as further outputs. */
export function batchNormModel({ shape, eps, momentum, training }: BatchNormModel): Uint8Array {
  const perChannel = [shape[1]!];
  const outputs = training ? OUTPUTS : OUTPUTS.slice(0, 1);
  const mode = create(AttributeProtoSchema, { name: "training_mode", i: 1n, type: AttributeProto_AttributeType.INT });
  const attribute = [float("epsilon", eps), float("momentum", momentum), ...(training ? [mode] : [])];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 15n }],
      graph: {
        name: "batch_norm",
        input: INPUTS.map((name, i) => declare(name, i === 0 ? shape : perChannel)),
        output: outputs.map((name, i) => declare(name, i === 0 ? shape : perChannel)),
        node: [{ opType: "BatchNormalization", input: INPUTS, output: outputs, attribute }],
      },
    }),
  );
}

/** What onnxruntime computes from an example: y, and in training the running values. */
export async function runInOnnxRuntime(example: BatchNormExample, training: boolean): Promise<Results> {
  const { shape, eps, momentum } = example;
  const model = batchNormModel({ shape, eps, momentum: 1 - momentum, training });
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const perChannel = [shape[1]!];
  const feeds = {
    x: new Tensor(example.x, shape),
    scale: new Tensor(example.weight, perChannel),
    bias: new Tensor(example.bias, perChannel),
    mean: new Tensor(example.mean, perChannel),
    variance: new Tensor(example.variance, perChannel),
  };
  const results = await session.run(feeds);
  await session.release();
  const data = (name: string) => results[name]!.data as Float32Array;
  const { mean, variance } = example;
  return training
    ? { y: data("y"), mean: data("running_mean"), variance: data("running_variance") }
    : { y: data("y"), mean, variance };
}
