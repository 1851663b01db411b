// How many directions a layer's outputs span, without their singular values: cheap enough for every layer of a deep network.

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
 * @see Daneshmand et al. 2020, "Batch normalization provably avoids rank collapse"
 */
export function participationRatio(x: ArrayLike<number>, rows: number): number {
  const gram = gramOf(x, rows);
  const trace = gram.reduce((sum, row, i) => sum + row[i]!, 0);
  return trace ** 2 / gram.flat().reduce((sum, value) => sum + value * value, 0);
}
