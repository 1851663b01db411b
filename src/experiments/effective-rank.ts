// How many directions a layer's outputs really span, counted in two ways.
import { symmetricEigen } from "../instruments/symmetric-eigen.js";

/** M = X·Xᵀ of a matrix [rows, columns], given row by row. */
function gramOf(x: ArrayLike<number>, rows: number): number[][] {
  const columns = x.length / rows;
  const gram = Array.from({ length: rows }, () => new Array<number>(rows).fill(0));
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += x[i * columns + k]! * x[j * columns + k]!;
      gram[i]![j] = sum;
      gram[j]![i] = sum;
    }
  }
  return gram;
}

/**
 * tr(M)² / ‖M‖²_F with M = X·Xᵀ, the participation ratio of the squared singular values: from 1, where one direction carries
 * everything, to the number of rows or columns. A lower bound of the rank.
 *
 * @param x [rows, columns], row by row
 * @see Daneshmand et al. 2020, "Batch normalization provably avoids rank collapse", section 4
 */
export function participationRatio(x: ArrayLike<number>, rows: number): number {
  const gram = gramOf(x, rows);
  const trace = gram.reduce((sum, row, i) => sum + row[i]!, 0);
  return trace ** 2 / gram.flat().reduce((sum, value) => sum + value * value, 0);
}

/**
 * exp(H), where H is the entropy of the singular values over their sum. It counts weak directions more than `participationRatio`.
 *
 * @param x [rows, columns], row by row
 * @see Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality"
 */
export function effectiveRank(x: ArrayLike<number>, rows: number): number {
  // Rounding may leave an eigenvalue that should be 0 just below it.
  const singular = symmetricEigen(gramOf(x, rows)).values.map((value) => Math.sqrt(Math.max(value, 0)));
  const total = singular.reduce((sum, value) => sum + value, 0);
  const shares = singular.map((value) => value / total);
  return Math.exp(-shares.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0));
}
