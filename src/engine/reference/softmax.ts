import type { Args, NumericArray } from "./arrays.js";

/**
 * The maximum m of `count` elements from `start`, `stride` apart, and Σ exp(x - m): nothing overflows. log Σ exp x is
 * m + log sum.
 */
export function expSum(x: NumericArray, start: number, count: number, stride: number): { max: number; sum: number } {
  let max = -Infinity;
  for (let k = 0; k < count; k++) max = Math.max(max, x[start + k * stride]!);
  let sum = 0;
  for (let k = 0; k < count; k++) sum += Math.exp(x[start + k * stride]! - max);
  return { max, sum };
}

/** y[o, :, i] = exp x / Σ exp x[o, :, i], or its logarithm if log. */
export function softmax({ x, y, outer, count, inner, log }: Args<"softmax">): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * count * inner + i;
      const { max, sum } = expSum(x, start, count, inner);
      for (let k = 0; k < count; k++) {
        const p = start + k * inner;
        y[p] = log ? x[p]! - max - Math.log(sum) : Math.exp(x[p]! - max) / sum;
      }
    }
  }
}

/** From the output y: dx = y·(dy - Σ dy·y), or dx = dy - exp(y)·Σ dy if log. */
export function softmaxBackward({ y, dy, dx, outer, count, inner, log }: Args<"softmaxBackward">): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * count * inner + i;
      let sum = 0;
      for (let k = 0; k < count; k++) {
        const p = start + k * inner;
        sum += log ? dy[p]! : dy[p]! * y[p]!;
      }
      for (let k = 0; k < count; k++) {
        const p = start + k * inner;
        dx[p] = log ? dy[p]! - Math.exp(y[p]!) * sum : y[p]! * (dy[p]! - sum);
      }
    }
  }
}
