import { ShapeError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { DataSet } from "../data/dataset.js";
import { DataLoader } from "../data/loader.js";
import { releaseSet } from "../data/resident.js";
import type { Module } from "../nn/module.js";
import { tidy } from "../tensor/scope.js";
import { evaluating } from "./evaluate.js";

/** The values of a tensor, outside of any engine. */
export interface StateArray {
  shape: readonly number[];
  values: Float32Array | Int32Array;
}

/** How examples reach a network: their shape, and what becomes of bytes. */
export type InputForm = Pick<DataLoader, "scale" | "shift" | "flatten"> & { shape: readonly number[] };

/** Examples are computed so many at a time. */
const BATCH = 512;

/** Parameters and buffers as arrays, under PyTorch's keys. */
export function stateArrays(model: Module): Map<string, StateArray> {
  const state = new Map<string, StateArray>();
  tidy(() => {
    for (const [key, t] of model.stateDict()) state.set(key, { shape: t.shape, values: float32(t.data()) });
  });
  return state;
}

function float32(values: Float32Array | Float64Array | Int32Array): Float32Array | Int32Array {
  return values instanceof Float64Array ? Float32Array.from(values) : values;
}

/** Inputs as a data set, so that they take the way of training examples. Labels are not looked at. */
function setOf(inputs: Uint8Array | Float32Array, shape: readonly number[]): DataSet {
  const width = sizeOf(shape);
  const count = inputs.length / width;
  if (!Number.isInteger(count) || count === 0) {
    throw new ShapeError(
      `predict: expected whole examples ${formatShape(shape)} of ${width} values, got ${inputs.length} values.`,
    );
  }
  const info = { name: "inputs", count, shape, classes: ["?"], source: "predict", sample: false, labels: new Int32Array(count) };
  return inputs instanceof Uint8Array ? { ...info, images: inputs } : { ...info, features: inputs, width, columns: [] };
}

/**
 * The model's outputs for inputs, in evaluation mode; it is left as it was.
 *
 * @param inputs examples one after the other; bytes are scaled as in training, floats are taken as they are
 * @throws ShapeError if they are no whole examples
 */
export function predict(model: Module, { shape, ...form }: InputForm, inputs: Uint8Array | Float32Array): StateArray {
  const set = setOf(inputs, shape);
  const loader = new DataLoader(set, { batchSize: Math.min(BATCH, set.count), ...form });
  const parts: StateArray[] = [];
  try {
    evaluating(model, () => {
      for (const indices of loader.epoch(0)) {
        tidy(() => {
          const y = model.call(loader.tensors(indices).inputs);
          parts.push({ shape: y.shape, values: float32(y.data()) });
        });
      }
    });
  } finally {
    releaseSet(set);
  }
  const rest = parts[0]!.shape.slice(1);
  const values = new Float32Array(set.count * sizeOf(rest));
  parts.forEach((part, i) => {
    values.set(part.values, i * BATCH * sizeOf(rest));
  });
  return { shape: [set.count, ...rest], values };
}
