import type { KernelArgs, KernelName } from "../kernels.js";

/** What a storage of the reference backend holds: Float64Array for float32 and float64. */
export type NumericArray = Float64Array | Int32Array | Uint8Array;

/** The arguments of kernel `K` on the reference backend. */
export type Args<K extends KernelName> = KernelArgs<K, NumericArray>;

/**
 * Visits the elements of a six-dimensional `shape` in row-major order. `visit` gets the element's number and Σ i·strides for
 * each of the two sets of strides.
 */
export function forEachStrided(
  shape: readonly number[],
  aStrides: readonly number[],
  bStrides: readonly number[],
  visit: (i: number, a: number, b: number) => void,
): void {
  let i = 0;
  const walk = (axis: number, a: number, b: number): void => {
    if (axis === shape.length) {
      visit(i++, a, b);
      return;
    }
    for (let k = 0; k < shape[axis]!; k++) walk(axis + 1, a + k * aStrides[axis]!, b + k * bStrides[axis]!);
  };
  walk(0, 0, 0);
}
