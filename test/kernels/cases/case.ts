import { Random } from "../../../src/core/random.js";
import type { DType, HostArray } from "../../../src/engine/backend.js";
import type { KernelArgs, KernelName, kernels, ScalarKind } from "../../../src/engine/kernels.js";

/** One tensor of a case. Without data it is an output, whose contents before the call mean nothing. */
export interface BufferSpec {
  readonly dtype: DType;
  readonly length: number;
  readonly data?: HostArray;
}

type Signature<K extends KernelName> = (typeof kernels)[K];
type ScalarName<K extends KernelName> = {
  [P in keyof Signature<K>]: Signature<K>[P] extends ScalarKind ? P : never;
}[keyof Signature<K>];

/** Arguments of one kernel as data, float32 numbers already rounded, so that every backend gets the same. */
export interface KernelCase<K extends KernelName> {
  readonly title: string;
  readonly buffers: Omit<KernelArgs<K, BufferSpec>, ScalarName<K>>;
  readonly scalars: Pick<KernelArgs<K, never>, ScalarName<K> & keyof KernelArgs<K, never>>;
  /** Replaces the kernel's tolerance; see compare.ts. */
  readonly tolerance?: number;
}

export type CaseTable<K extends KernelName> = { readonly [P in K]: readonly KernelCase<P>[] };

/** Seven sizes: nothing, one element, ragged ones, several grains of 8192, several parts of 16384. */
export const sizes = [0, 1, 5, 13, 65, 8193, 40003];

export const output = (length: number, dtype: DType = "float32"): BufferSpec => ({ dtype, length });
export const floats = (values: ArrayLike<number>): BufferSpec => {
  const data = Float32Array.from(values);
  return { dtype: "float32", length: data.length, data };
};
export const ints = (values: ArrayLike<number>): BufferSpec => {
  const data = Int32Array.from(values);
  return { dtype: "int32", length: data.length, data };
};
export const bytes = (values: ArrayLike<number>): BufferSpec => {
  const data = Uint8Array.from(values);
  return { dtype: "uint8", length: data.length, data };
};
/** A scalar that kernels read: float64. */
export const cell = (value: number): BufferSpec => ({ dtype: "float64", length: 1, data: Float64Array.of(value) });

/** Seeded data for one file of cases. */
export class Maker {
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Float32 numbers from a normal distribution. */
  normal(n: number, mean = 0, std = 1): BufferSpec {
    return floats(Float64Array.from({ length: n }, () => mean + std * this.random.normal()));
  }

  uniform(n: number, low: number, high: number): BufferSpec {
    return floats(Float64Array.from({ length: n }, () => low + this.random.uniform() * (high - low)));
  }

  /** Integers from 0 to limit - 1. */
  integers(n: number, limit: number): BufferSpec {
    return ints(Float64Array.from({ length: n }, () => this.random.integer(limit)));
  }

  bytes(n: number): BufferSpec {
    return bytes(Float64Array.from({ length: n }, () => this.random.integer(256)));
  }
}

/** `spec` with some values replaced, given as [position, value]. */
export function withValues(spec: BufferSpec, ...changes: readonly (readonly [number, number])[]): BufferSpec {
  const data = spec.data!.slice();
  for (const [i, value] of changes) data[i] = value;
  return { ...spec, data };
}

/** Shape or strides of up to six axes, padded in front as kernels take them. */
export function pad(dims: readonly number[], filler: number): number[] {
  return [...new Array<number>(6 - dims.length).fill(filler), ...dims];
}

/** Pixels along one axis of the output of a convolution or pooling. */
export const outputSize = (size: number, kernel: number, stride: number, padding: number, dilation = 1): number =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
