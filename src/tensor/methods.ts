import type { Tensor } from "./tensor.js";

/** A tensor, or a number that stands for a tensor of no axes. */
export type Operand = Tensor | number;

export interface BackwardOptions {
  /** Records the backward pass itself, so that gradients can be differentiated again (default false). */
  createGraph?: boolean;
  /** Keeps what the forward pass saved, so that `backward` can run again (default: `createGraph`). */
  retainGraph?: boolean;
}

/**
 * What ops and autograd add to tensors. `src/ops/` and `src/autograd/` install the functions; they are described there under
 * the same names.
 */
export interface TensorMethods {
  add(other: Operand): Tensor;
  sub(other: Operand): Tensor;
  mul(other: Operand): Tensor;
  div(other: Operand): Tensor;
  pow(exponent: number): Tensor;
  neg(): Tensor;
  abs(): Tensor;
  exp(): Tensor;
  log(): Tensor;
  sqrt(): Tensor;
  square(): Tensor;
  reciprocal(): Tensor;
  relu(): Tensor;
  sigmoid(): Tensor;
  tanh(): Tensor;
  matmul(other: Tensor): Tensor;
  sum(axes?: number | readonly number[], keepDims?: boolean): Tensor;
  mean(axes?: number | readonly number[], keepDims?: boolean): Tensor;
  argmax(axis?: number): Tensor;
  reshape(shape: readonly number[]): Tensor;
  flatten(startAxis?: number): Tensor;
  transpose(axis0?: number, axis1?: number): Tensor;
  permute(axes: readonly number[]): Tensor;
  expand(shape: readonly number[]): Tensor;
  /** Sums over the axes along which `shape` was broadcast to this tensor's. */
  sumTo(shape: readonly number[]): Tensor;
  slice(axis: number, start: number, end: number): Tensor;
  /** Adds the gradients of this tensor to `grad` of every leaf it was computed from; `dy` defaults to 1 for a single value. */
  backward(dy?: Tensor, options?: BackwardOptions): void;
}
