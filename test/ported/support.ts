import { expect, it } from "vitest";
import { Random } from "../../src/core/random.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside } from "../fixtures/compare.js";

const sizeOf = (shape: readonly number[]) => shape.reduce((product, k) => product * k, 1);

/** Normal float32 values, the same on every backend. */
export function normals(seed: number, shape: readonly number[], mean = 0, std = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: sizeOf(shape) }, () => mean + std * random.normal());
}

/** Float32 values uniform in [0, 1). */
export function uniforms(seed: number, shape: readonly number[]): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: sizeOf(shape) }, () => random.uniform());
}

/** A tensor that asks for its gradient. */
export function leaf(values: ArrayLike<number>, shape: readonly number[] = [values.length]): Tensor {
  return tensor(values, shape, { requiresGrad: true });
}

export const numbers = (t: Tensor | null | undefined): number[] => [...t!.data()];

/** Compares values with a tolerance that is relative to the largest expected one (or to `scale` if that is larger). */
export function expectNear(what: string, got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number, scale = 0): void {
  expect(outside(what, got, want, tolerance * Math.max(largest(want), scale))).toBeNull();
}

/**
 * Registers tests that are named by the upstream test they correspond to, and counts the upstream tests, each once however many
 * backends and shapes it runs on.
 */
export class Ports {
  private readonly names = new Set<string>();

  port(upstream: string, claim: string, run: () => void): void {
    this.names.add(upstream);
    it(`${upstream}: ${claim}`, run);
  }

  /** Number of upstream tests so far. */
  get count(): number {
    return this.names.size;
  }
}
