import { expect } from "vitest";
import type { Tensor } from "../../src/tensor/tensor.js";

/** Expects |got − want| ≤ tolerance · max(1, |want|), value by value; NaN and infinities must be the same. */
export function expectClose(got: Tensor, want: ArrayLike<number>, tolerance = 1e-6): void {
  const values = got.data();
  expect(values.length).toBe(want.length);
  const wrong: string[] = [];
  for (let i = 0; i < want.length; i++) {
    const [a, b] = [values[i]!, want[i]!];
    const same = Object.is(a, b) || a === b || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));
    if (!same) wrong.push(`[${i}] is ${a}, expected ${b} ± ${tolerance}`);
  }
  expect(wrong).toEqual([]);
}
