/** Eigenvalues of a symmetric matrix, and unit eigenvectors beside them. */
export interface SymmetricEigen {
  values: number[];
  /** vectors[k] belongs to values[k]. */
  vectors: number[][];
}

/** Rotations stop when what is left beside the diagonal is below this part of the whole. */
const TOLERANCE = 1e-15;
const MOST_SWEEPS = 60;

/**
 * All eigenvalues and eigenvectors of a small symmetric matrix, in no order, by Jacobi's rotations: some 10·n³ steps.
 *
 * @see Golub & Van Loan 2013, "Matrix computations", section 8.5
 */
export function symmetricEigen(matrix: readonly (readonly number[])[]): SymmetricEigen {
  const a = matrix.map((row) => [...row]);
  const n = a.length;
  const vectors = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < MOST_SWEEPS && offDiagonal(a) > TOLERANCE * frobenius(a); sweep++) {
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, vectors, p, q);
  }
  return { values: a.map((row, i) => row[i]!), vectors };
}

const frobenius = (a: readonly number[][]) => Math.sqrt(a.flat().reduce((sum, x) => sum + x * x, 0));

function offDiagonal(a: readonly number[][]): number {
  let sum = 0;
  for (const [i, row] of a.entries()) for (const [j, x] of row.entries()) if (i !== j) sum += x * x;
  return Math.sqrt(sum);
}

/** Turns axes p and q so that a[p][q] becomes 0; rows of `vectors` turn along. */
function rotate(a: number[][], vectors: number[][], p: number, q: number): void {
  const apq = a[p]![q]!;
  if (apq === 0) return;
  const theta = (a[q]![q]! - a[p]![p]!) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of a) {
    const x = row[p]!;
    row[p] = c * x - s * row[q]!;
    row[q] = s * x + c * row[q]!;
  }
  turn(a[p]!, a[q]!, c, s);
  turn(vectors[p]!, vectors[q]!, c, s);
}

/** (x, y) ← (c·x − s·y, s·x + c·y), element by element. */
function turn(x: number[], y: number[], c: number, s: number): void {
  for (let k = 0; k < x.length; k++) {
    const xk = x[k]!;
    x[k] = c * xk - s * y[k]!;
    y[k] = s * xk + c * y[k]!;
  }
}
