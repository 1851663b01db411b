/**
 * Iterative normalization in float64, by plain loops over matrices as arrays of rows: an oracle for tests. It follows Huang et
 * al. 2019, algorithms 1 (training) and 2 (evaluation), and shares no code with the library.
 */

export type Matrix = number[][];

export interface Options {
  readonly groupSize: number;
  readonly iterations: number;
  readonly eps: number;
}

/** Mean [d] and whitening matrix [d, d] of each group. */
export interface Statistics {
  readonly mean: number[];
  readonly wm: Matrix;
}

const matrix = (rows: number, columns: number, value: (i: number, j: number) => number): Matrix =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => value(i, j)));

function product(a: Matrix, b: Matrix): Matrix {
  return matrix(a.length, b[0]!.length, (i, j) => {
    let sum = 0;
    for (let k = 0; k < b.length; k++) sum += a[i]![k]! * b[k]![j]!;
    return sum;
  });
}

/** Where the value of a channel at a place of a tensor [N, C, …] lies. */
function positions(shape: readonly number[], channel: number): number[] {
  const [n, c] = shape as [number, number];
  const s = shape.slice(2).reduce((a, b) => a * b, 1);
  return Array.from({ length: n * s }, (_, i) => (Math.floor(i / s) * c + channel) * s + (i % s));
}

/** Rows of the values of a group's channels. */
function rowsOf(x: ArrayLike<number>, shape: readonly number[], group: number, d: number): Matrix {
  return Array.from({ length: d }, (_, i) => positions(shape, group * d + i).map((at) => x[at]!));
}

const meanOf = (row: readonly number[]) => row.reduce((sum, v) => sum + v / row.length, 0);

/** (1/m) · X_c · X_cᵀ of rows, less their means. */
function covarianceOf(rows: Matrix): Matrix {
  const centred = rows.map((row) => {
    const mean = meanOf(row);
    return row.map((v) => v - mean);
  });
  return matrix(rows.length, rows.length, (i, j) => meanOf(centred[i]!.map((v, k) => v * centred[j]![k]!)));
}

/** Covariance of the channels of each group. */
export function covariances(x: ArrayLike<number>, shape: readonly number[], groupSize: number): Matrix[] {
  return Array.from({ length: shape[1]! / groupSize }, (_, g) => covarianceOf(rowsOf(x, shape, g, groupSize)));
}

/** Algorithm 1: the statistics of each group of a batch. */
export function batchStatistics(x: ArrayLike<number>, shape: readonly number[], options: Options): Statistics[] {
  const { groupSize: d, iterations, eps } = options;
  return covariances(x, shape, d).map((covariance, g) => {
    const sigma = matrix(d, d, (i, j) => covariance[i]![j]! + (i === j ? eps : 0));
    const trace = sigma.reduce((sum, row, i) => sum + row[i]!, 0);
    const normalized = matrix(d, d, (i, j) => sigma[i]![j]! / trace);
    let p = matrix(d, d, (i, j) => (i === j ? 1 : 0));
    for (let k = 0; k < iterations; k++) {
      const cubed = product(product(product(p, p), p), normalized);
      const last = p;
      p = matrix(d, d, (i, j) => (3 * last[i]![j]! - cubed[i]![j]!) / 2);
    }
    const wm = matrix(d, d, (i, j) => p[i]![j]! / Math.sqrt(trace));
    return { mean: rowsOf(x, shape, g, d).map(meanOf), wm };
  });
}

/** D · (x − μ) with given statistics, then γ and β. */
export function whiten(
  x: ArrayLike<number>,
  shape: readonly number[],
  groups: readonly Statistics[],
  weight?: ArrayLike<number>,
  bias?: ArrayLike<number>,
): Float64Array {
  const y = new Float64Array(x.length);
  const d = shape[1]! / groups.length;
  groups.forEach(({ mean, wm }, g) => {
    const centred = rowsOf(x, shape, g, d).map((row, i) => row.map((v) => v - mean[i]!));
    product(wm, centred).forEach((row, i) => {
      const channel = g * d + i;
      positions(shape, channel).forEach((at, k) => {
        y[at] = (weight?.[channel] ?? 1) * row[k]! + (bias?.[channel] ?? 0);
      });
    });
  });
  return y;
}

/** Running values of a new layer. */
export function startRunning(channels: number, d: number): Statistics[] {
  return Array.from({ length: channels / d }, () => ({
    mean: new Array<number>(d).fill(0),
    wm: matrix(d, d, (i, j) => (i === j ? 1 : 0)),
  }));
}

/** Running values after one more batch. */
export function nextRunning(running: readonly Statistics[], batch: readonly Statistics[], momentum: number): Statistics[] {
  const mix = (old: number, found: number) => (1 - momentum) * old + momentum * found;
  return running.map(({ mean, wm }, g) => ({
    mean: mean.map((v, i) => mix(v, batch[g]!.mean[i]!)),
    wm: wm.map((row, i) => row.map((v, j) => mix(v, batch[g]!.wm[i]![j]!))),
  }));
}
