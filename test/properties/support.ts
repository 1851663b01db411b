import * as fc from "fast-check";
import { it } from "vitest";
import { Random } from "../../src/core/random.js";

/** Of all properties: fast-check prints it, and the path of the smallest counterexample, on failure. */
const SEED = 20261123;

/** Registers properties, and counts the random cases. */
export class Properties {
  /** Random cases so far. */
  declared = 0;

  property<T>(claim: string, runs: number, examples: fc.Arbitrary<T>, check: (example: T) => void): void {
    this.declared += runs;
    it(`${claim} (${runs} random cases)`, () => {
      fc.assert(fc.property(examples, check), { numRuns: runs, seed: SEED });
    });
  }
}

export const sizeOf = (shape: readonly number[]) => shape.reduce((product, k) => product * k, 1);

export const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** [N, C, …] of rank 2 to 5 with at least two values per channel; one in five is long enough for several blocks of a kernel. */
export const shapes: fc.Arbitrary<number[]> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 3 }),
      )
      .map(([n, c, space]) => [n * sizeOf(space) < 2 ? 2 : n, c, ...space]),
  },
  { weight: 1, arbitrary: fc.tuple(fc.integer({ min: 60, max: 200 }), fc.integer({ min: 1, max: 5 })).map(([n, c]) => [n, c]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 900, max: 1300 }))
      .map(([n, c, s]) => [n, c, s]),
  },
);

/** Float32 values of a normal distribution. */
export function normals(random: Random, size: number, mean = 0, std = 1): Float32Array {
  return Float32Array.from({ length: size }, () => mean + std * random.normal());
}

/** Random numbers of an example. */
export const randomOf = (seed: number) => new Random(seed);

/** 0 … n − 1 in random order. */
export function permutation(random: Random, n: number): number[] {
  return Array.from({ length: n }, (_, i) => [random.uniform(), i] as const)
    .sort(([a], [b]) => a - b)
    .map(([, i]) => i);
}

/** A whole cut into parts, of which some may be empty. */
export function splits(total: fc.Arbitrary<number>): fc.Arbitrary<number[]> {
  return fc.tuple(total, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 0, maxLength: 5 })).map(([n, at]) => {
    const cuts = [0, ...at.map((share) => Math.round(share * n)).sort((a, b) => a - b), n];
    return cuts.slice(1).map((cut, i) => cut - cuts[i]!);
  });
}
