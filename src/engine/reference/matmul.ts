import type { Args } from "./arrays.js";

/**
 * y[b, i, j] = Σ over l of A[i, l]·B[l, j], plus bias[j] if there is one: y is [batch, m, n], A [m, k], B [k, n].
 * a holds A, or its transpose [k, m] if transA; b likewise ([n, k] if transB). aBatch and bBatch are the elements from one
 * batch to the next, 0 to use the same matrix again. k = 0 gives the bias or 0.
 */
export function matmul(args: Args<"matmul">): void {
  const { a, b, bias, y, batch, m, n, k, transA, transB, aBatch, bBatch } = args;
  const [aRow, aColumn] = transA ? [1, m] : [k, 1];
  const [bRow, bColumn] = transB ? [1, k] : [n, 1];
  for (let p = 0; p < batch; p++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a[p * aBatch + i * aRow + l * aColumn]! * b[p * bBatch + l * bRow + j * bColumn]!;
        y[(p * m + i) * n + j] = sum + (bias ? bias[j]! : 0);
      }
    }
  }
}
