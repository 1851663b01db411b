import type { Args, NumericArray } from "./arrays.js";
import { expSum } from "./softmax.js";

const weightOf = (weight: NumericArray | null, c: number): number => (weight ? weight[c]! : 1);

/**
 * Per position [outer, inner], with C = count logits x and a target t (int32): lse = log Σ exp x,
 * loss = (1 - ε)·w[t]·(lse - x[t]) + ε/C·Σ_c w[c]·(lse - x[c]), rowWeight = w[t]; ε is `smoothing`, w `weight` [C] or 1.
 *
 * Where t = ignoreIndex, loss and rowWeight are 0. Where t is no class, loss is NaN and rowWeight 1: a wrong label shows.
 */
export function crossEntropy(a: Args<"crossEntropy">): void {
  const { x, target, weight, outer, count, inner, smoothing } = a;
  for (let position = 0; position < outer * inner; position++) {
    const start = Math.floor(position / inner) * count * inner + (position % inner);
    const { max, sum } = expSum(x, start, count, inner);
    const lse = max + Math.log(sum);
    const t = target[position]!;
    a.lse[position] = lse;
    if (t === a.ignoreIndex) {
      a.loss[position] = 0;
      a.rowWeight[position] = 0;
    } else if (t < 0 || t >= count) {
      a.loss[position] = NaN;
      a.rowWeight[position] = 1;
    } else {
      let loss = weightOf(weight, t) * (lse - x[start + t * inner]!);
      if (smoothing !== 0) {
        let all = 0;
        for (let c = 0; c < count; c++) all += weightOf(weight, c) * (lse - x[start + c * inner]!);
        loss = (1 - smoothing) * loss + (smoothing / count) * all;
      }
      a.loss[position] = loss;
      a.rowWeight[position] = weightOf(weight, t);
    }
  }
}

/** total[0] = Σ loss, over totalWeight[0] = Σ rowWeight if mean; else totalWeight[0] = 1. No position counts: NaN. */
export function crossEntropyReduce({ loss, rowWeight, total, totalWeight, n, mean }: Args<"crossEntropyReduce">): void {
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < n; i++) {
    sum += loss[i]!;
    weight += rowWeight[i]!;
  }
  total[0] = mean ? sum / weight : sum;
  totalWeight[0] = mean ? weight : 1;
}

/**
 * dx[c] = g·((1 - ε)·w[t]·(p[c] - [c = t]) + ε/C·(p[c]·Σ w - w[c])) with p = exp(x - lse); g = dloss[0] / totalWeight[0], or
 * dloss[position] if totalWeight is null. 0 where t = ignoreIndex, NaN where t is no class.
 */
export function crossEntropyBackward(a: Args<"crossEntropyBackward">): void {
  const { x, target, weight, lse, totalWeight, dloss, dx, outer, count, inner, smoothing } = a;
  let weightSum = 0;
  for (let c = 0; c < count; c++) weightSum += weightOf(weight, c);
  for (let position = 0; position < outer * inner; position++) {
    const start = Math.floor(position / inner) * count * inner + (position % inner);
    const t = target[position]!;
    const isClass = t >= 0 && t < count;
    const g = totalWeight ? dloss[0]! / totalWeight[0]! : dloss[position]!;
    for (let c = 0; c < count; c++) {
      const p = Math.exp(x[start + c * inner]! - lse[position]!);
      const hard = isClass ? weightOf(weight, t) * (p - (c === t ? 1 : 0)) : NaN;
      const smooth = (p * weightSum - weightOf(weight, c)) / count;
      dx[start + c * inner] = t === a.ignoreIndex ? 0 : g * ((1 - smoothing) * hard + smoothing * smooth);
    }
  }
}
