import { OptionError } from "../core/errors.js";
import type { DataSet } from "./dataset.js";
import { randomFor } from "./seed.js";

/** Positions of examples in a data set. Splits and subsets are lists of indices; no example is copied. */
export type Indices = Int32Array;

/** 0, 1, …, count − 1. */
export function allIndices(count: number): Indices {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/**
 * Parts a set at random into training and validation examples, each in ascending order.
 *
 * @param options.validation a share of the examples between 0 and 1, or a whole number of them from 1 on
 * @param options.seed (default 0)
 * @throws OptionError if either part would be empty
 */
export function trainValidationSplit(
  set: Pick<DataSet, "count">,
  options: { validation: number; seed?: number },
): { train: Indices; validation: Indices } {
  const { validation, seed = 0 } = options;
  const n = validation < 1 ? Math.round(set.count * validation) : validation;
  if (!Number.isInteger(n) || n < 1 || n >= set.count) {
    throw new OptionError(
      `trainValidationSplit: expected a share between 0 and 1 or a number from 1 to ${set.count - 1} that leaves both ` +
        `parts filled, got ${validation} of ${set.count}.`,
    );
  }
  const order = randomFor("trainValidationSplit", seed, "split").permutation(set.count);
  return { validation: order.slice(0, n).sort(), train: order.slice(n).sort() };
}

/**
 * The first `n` examples, of a set or of a list of indices.
 * @throws OptionError if there are fewer
 */
export function take(from: Pick<DataSet, "count"> | Indices, n: number): Indices {
  const available = from instanceof Int32Array ? from.length : from.count;
  if (!Number.isInteger(n) || n < 1 || n > available) {
    throw new OptionError(`take: expected a number of examples from 1 to ${available}, got ${n}.`);
  }
  return from instanceof Int32Array ? from.slice(0, n) : allIndices(n);
}

/**
 * As many examples of each class, chosen at random, in ascending order.
 *
 * @param options.perClass examples of each class
 * @param options.seed (default 0)
 * @param options.indices chooses among these only (default: all)
 * @throws OptionError if a class has fewer, naming the class
 */
export function balancedSubset(
  set: Pick<DataSet, "count" | "labels" | "classes">,
  options: { perClass: number; seed?: number; indices?: Indices },
): Indices {
  const { perClass, seed = 0, indices = allIndices(set.count) } = options;
  if (!Number.isInteger(perClass) || perClass < 1) {
    throw new OptionError(`balancedSubset: expected perClass to be a positive integer, got ${perClass}.`);
  }
  const order = randomFor("balancedSubset", seed, "subset").permutation(indices.length);
  const taken = new Int32Array(set.classes.length);
  const chosen: number[] = [];
  for (const at of order) {
    const index = indices[at]!;
    const label = set.labels[index]!;
    if (taken[label]! < perClass) {
      taken[label]!++;
      chosen.push(index);
    }
  }
  const short = taken.findIndex((n) => n < perClass);
  if (set.classes.length === 0 || short >= 0) {
    const got = short < 0 ? "a set without classes" : `${taken[short]} of class "${set.classes[short]}"`;
    throw new OptionError(`balancedSubset: expected ${perClass} examples of each class, got ${got}.`);
  }
  return Int32Array.from(chosen).sort();
}
