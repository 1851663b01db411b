import { ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { checkFloat } from "../ops/operand.js";
import type { Tensor } from "../tensor/tensor.js";
import { refuseInRecording } from "./measure.js";
import { symmetricEigen } from "./symmetric-eigen.js";

export interface EffectiveRankOptions {
  /** Whether the mean of each column is taken away first (default false). A large common mean looks like rank 1. */
  centred?: boolean;
}

export interface EffectiveRank {
  /** exp of the entropy of σ / Σσ: k for k singular values of the same size, near 1 where one is far above the others. */
  effectiveRank: number;
  /** (Σσ²)² / Σσ⁴, which weighs large ones more: at most effectiveRank. */
  participationRatio: number;
  /** All min(n, d), largest first. */
  singularValues: number[];
}

/** Eigenvalues of the Gram matrix below this part of the largest, times its size, are rounding. */
const EPSILON = 2 ** -52;

/**
 * In how many directions the rows of a matrix [n, d] spread, such as a batch of a layer's outputs: between 1 and min(n, d). Of a
 * matrix of zeros both are 0; where a value is not finite, NaN.
 *
 * Singular values are square roots of the eigenvalues of the smaller one of XᵀX and XXᵀ, in float64: those below some 10⁻⁷ of the
 * largest, of which float32 values say nothing, are taken as 0. Cost: the values are read into JavaScript; n·d·k multiplications
 * and some 60·k³ for the eigenvalues, with k = min(n, d): 30 ms for k = 100, seconds for k = 500.
 *
 * @param x float32 [n, d]
 * @throws ShapeError if x has another rank or no values; DTypeError; RecordingError in a recorded step
 * @example
 * effectiveRank(hidden, { centred: true }).effectiveRank;
 * @see Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality"
 */
export function effectiveRank(x: Tensor, { centred = false }: EffectiveRankOptions = {}): EffectiveRank {
  refuseInRecording("effectiveRank");
  checkFloat("effectiveRank", x);
  if (x.rank !== 2 || x.size === 0) {
    throw new ShapeError(`effectiveRank: expected a matrix [n, d] with values, got shape ${formatShape(x.shape)}.`);
  }
  const [n, d] = x.shape as [number, number];
  const values = Float64Array.from(x.data());
  if (centred) centre(values, n, d);
  const eigenvalues = symmetricEigen(gram(n < d ? transposed(values, n, d) : values, Math.max(n, d), Math.min(n, d))).values;
  eigenvalues.sort((a, b) => b - a);
  const least = eigenvalues[0]! * eigenvalues.length * EPSILON;
  const squares = eigenvalues.map((value) => (value <= least ? 0 : value));
  const singularValues = squares.map(Math.sqrt);
  const [total, energy] = [sum(singularValues), sum(squares)];
  if (total === 0) return { effectiveRank: 0, participationRatio: 0, singularValues };
  const entropy = -sum(singularValues.map((s) => (s === 0 ? 0 : (s / total) * Math.log(s / total))));
  const ratio = 1 / sum(squares.map((square) => (square / energy) ** 2));
  return { effectiveRank: Math.exp(entropy), participationRatio: ratio, singularValues };
}

const sum = (values: readonly number[]): number => values.reduce((total, v) => total + v, 0);

/** Takes the mean of each column away, in place; differences from the first row, so that constant columns become 0. */
function centre(values: Float64Array, n: number, d: number): void {
  for (let column = 0; column < d; column++) {
    const origin = values[column]!;
    let total = 0;
    for (let i = column; i < n * d; i += d) total += values[i]! - origin;
    for (let i = column; i < n * d; i += d) values[i] = values[i]! - origin - total / n;
  }
}

function transposed(values: Float64Array, n: number, d: number): Float64Array {
  const result = new Float64Array(n * d);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) result[j * n + i] = values[i * d + j]!;
  return result;
}

/** XᵀX of rows [n, k]. */
function gram(values: Float64Array, n: number, k: number): number[][] {
  const product = Array.from({ length: k }, () => new Array<number>(k).fill(0));
  for (let row = 0; row < n * k; row += k) {
    for (let i = 0; i < k; i++) {
      const own = product[i]!;
      const xi = values[row + i]!;
      for (let j = i; j < k; j++) own[j]! += xi * values[row + j]!;
    }
  }
  for (let i = 0; i < k; i++) for (let j = 0; j < i; j++) product[i]![j] = product[j]![i]!;
  return product;
}
