import { DataError } from "../core/errors.js";

/** What all data sets say about themselves. */
interface SetInfo {
  readonly name: string;
  /** Number of examples. */
  readonly count: number;
  /** Shape of one example: [1, 28, 28] for MNIST, [width] for a table. */
  readonly shape: readonly number[];
  /** Names of the classes, in the order of the labels; empty where the labels are real numbers. */
  readonly classes: readonly string[];
  /** Where the examples came from, in words. */
  readonly source: string;
  /** True if this is a small sample that stands in for the data set of that name. */
  readonly sample: boolean;
}

/** Labelled images as bytes, row-major [count, ...shape]. */
export interface ImageSet extends SetInfo {
  readonly images: Uint8Array;
  readonly labels: Int32Array;
}

/** Labelled rows of real numbers, row-major [count, width]. */
export interface TableSet extends SetInfo {
  readonly features: Float32Array;
  /** Class indices, or real-valued targets when it is a Float32Array. */
  readonly labels: Int32Array | Float32Array;
  /** Values in a row. */
  readonly width: number;
  /** Names of the columns of `features`; empty where there are none. */
  readonly columns: readonly string[];
}

export type DataSet = ImageSet | TableSet;

export function isImageSet(set: DataSet): set is ImageSet {
  return "images" in set;
}

/**
 * Checks that the sizes of a set fit and that each label names a class, and returns the set.
 * @throws DataError naming the set and the first example that does not fit
 */
export function checkSet<T extends DataSet>(set: T): T {
  const width = set.shape.reduce((product, n) => product * n, 1);
  const values = isImageSet(set) ? set.images.length : set.features.length;
  if (values !== set.count * width) {
    throw new DataError(`${set.name}: expected ${set.count} × ${width} values, got ${values}.`);
  }
  if (set.labels.length !== set.count) {
    throw new DataError(`${set.name}: expected ${set.count} labels, one per example, got ${set.labels.length}.`);
  }
  if (set.labels instanceof Int32Array) checkLabels(set.name, set.labels, set.classes.length);
  return set;
}

function checkLabels(name: string, labels: Int32Array, classes: number): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label < 0 || label >= classes) {
      throw new DataError(`${name}: expected labels from 0 to ${classes - 1}, got ${label} at example ${i}.`);
    }
  }
}
