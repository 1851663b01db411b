import { DataError } from "../core/errors.js";
import { sizeOf } from "../core/shape.js";
import { tensor } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { bfloat16Values, float8Values, float16Values } from "./small-floats.js";

/** Types of values in files, under the names that safetensors gives them. */
export type StoredDType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "F8_E4M3"
  | "F8_E5M2"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

/** A tensor as it lies in a file: nothing is computed yet. */
export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** The values one after the other, row-major, little-endian. May be a view into the file. */
  readonly bytes: Uint8Array;
}

/** What a file of weights holds. */
export interface StoredState {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of one value. */
export const BYTES_PER_VALUE: Readonly<Record<StoredDType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** Whether `name` is a type that can be read. */
export function isStoredDType(name: unknown): name is StoredDType {
  return typeof name === "string" && Object.hasOwn(BYTES_PER_VALUE, name);
}

/** Whether the values are integers (BOOL included). */
export const isInteger = (dtype: StoredDType): boolean => /^[IUB]/.test(dtype) && dtype !== "BF16";

/** The bytes at an address of their own, so that arrays of wider values can lie over them. */
function aligned(bytes: Uint8Array, width: number): ArrayBufferLike {
  const isWhole = bytes.byteOffset % width === 0;
  return isWhole ? bytes.buffer : bytes.slice().buffer;
}

function view<T>(bytes: Uint8Array, width: number, make: (buffer: ArrayBufferLike, offset: number, length: number) => T): T {
  const buffer = aligned(bytes, width);
  return make(buffer, buffer === bytes.buffer ? bytes.byteOffset : 0, bytes.length / width);
}

/** 64-bit integers as numbers. @throws DataError if one does not fit into an int32 */
function int64Values(bytes: Uint8Array, signed: boolean, what: string): Int32Array {
  const wide = view(bytes, 8, (b, o, n) => (signed ? new BigInt64Array(b, o, n) : new BigUint64Array(b, o, n)));
  return Int32Array.from(wide, (value) => checkedInt(Number(value), what));
}

function checkedInt(value: number, what: string): number {
  if (value < -(2 ** 31) || value >= 2 ** 31) throw new DataError(`${what}: expected integers of 32 bits, got ${value}.`);
  return value;
}

/**
 * The values of a stored tensor: F64 as Float64Array, smaller floats as Float32Array (exactly: each of their values is a
 * float32), integers and BOOL (0 or 1) as Int32Array.
 *
 * @param what what an error begins with (default "tensor")
 * @throws DataError if an integer does not fit into 32 bits
 */
export function valuesOf({ dtype, bytes }: StoredTensor, what = "tensor"): Float32Array | Float64Array | Int32Array {
  switch (dtype) {
    case "F64":
      return view(bytes, 8, (b, o, n) => new Float64Array(b, o, n));
    case "F32":
      return view(bytes, 4, (b, o, n) => new Float32Array(b, o, n));
    case "F16":
      return float16Values(view(bytes, 2, (b, o, n) => new Uint16Array(b, o, n)));
    case "BF16":
      return bfloat16Values(view(bytes, 2, (b, o, n) => new Uint16Array(b, o, n)));
    case "F8_E4M3":
    case "F8_E5M2":
      return float8Values(bytes, dtype);
    case "I64":
    case "U64":
      return int64Values(bytes, dtype === "I64", what);
    case "I32":
      return view(bytes, 4, (b, o, n) => new Int32Array(b, o, n));
    case "U32":
      return Int32Array.from(
        view(bytes, 4, (b, o, n) => new Uint32Array(b, o, n)),
        (value) => checkedInt(value, what),
      );
    case "I16":
      return Int32Array.from(view(bytes, 2, (b, o, n) => new Int16Array(b, o, n)));
    case "U16":
      return Int32Array.from(view(bytes, 2, (b, o, n) => new Uint16Array(b, o, n)));
    case "I8":
      return Int32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    case "U8":
    case "BOOL":
      return Int32Array.from(bytes);
  }
}

/**
 * A stored tensor on the current backend: floats of all widths become float32 (F64 is rounded), integers int32.
 *
 * @throws DataError if an integer does not fit into 32 bits
 */
export function tensorOf(stored: StoredTensor, what?: string): Tensor {
  const values = valuesOf(stored, what);
  return tensor(values, stored.shape, { dtype: isInteger(stored.dtype) ? "int32" : "float32" });
}

/** A tensor as it goes into a file: float32 as F32, int32 as I32. Computed in float64, it is rounded to float32. */
export function storedOf(t: Tensor): StoredTensor {
  const data = t.data();
  const values = data instanceof Float64Array ? Float32Array.from(data) : data;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { dtype: t.dtype === "int32" ? "I32" : "F32", shape: [...t.shape], bytes };
}

/** An int32 tensor as I64, which is what PyTorch counts batches with. */
export function storedAsInt64(t: Tensor): StoredTensor {
  const wide = BigInt64Array.from(t.data() as Int32Array, (value) => BigInt(value));
  return { dtype: "I64", shape: [...t.shape], bytes: new Uint8Array(wide.buffer) };
}

/** What a state dictionary is in a file: `num_batches_tracked` is I64, as PyTorch has it. */
export function storedState(state: ReadonlyMap<string, StoredTensor | Tensor>): Map<string, StoredTensor> {
  const stored = (key: string, value: StoredTensor | Tensor): StoredTensor => {
    if (!(value instanceof Tensor)) return value;
    const isCounter = value.dtype === "int32" && /(^|\.)num_batches_tracked(@[\w-]+)?$/.test(key);
    return isCounter ? storedAsInt64(value) : storedOf(value);
  };
  return new Map([...state].map(([key, value]) => [key, stored(key, value)]));
}

/** Number of values that a shape stands for, or null if that is beyond what can be counted exactly. */
export function countOf(shape: readonly number[]): number | null {
  let count = 1;
  for (const n of shape) {
    count *= n;
    if (count > Number.MAX_SAFE_INTEGER) return null;
  }
  return shape.includes(0) ? 0 : sizeOf(shape);
}
