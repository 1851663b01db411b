import { reduceOps } from "../kernels.js";
import type { Args } from "./arrays.js";

/** The value of an empty reduction, and the step. NaN wins in max and min. */
const steps: { readonly [Op in (typeof reduceOps)[number]]: readonly [start: number, step: (a: number, x: number) => number] } = {
  sum: [0, (a, x) => a + x],
  mean: [0, (a, x) => a + x],
  max: [-Infinity, (a, x) => Math.max(a, x)],
  min: [Infinity, (a, x) => Math.min(a, x)],
};

/** y[o, i] = sum, mean, maximum or minimum of x[o, :, i]; op is an index into reduceOps. The mean of nothing is NaN. */
export function reduce({ x, y, op, outer, count, inner }: Args<"reduce">): void {
  const name = reduceOps[op]!;
  const [start, step] = steps[name];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let value = start;
      for (let k = 0; k < count; k++) value = step(value, x[(o * count + k) * inner + i]!);
      y[o * inner + i] = name === "mean" ? value / count : value;
    }
  }
}

/** y[o, i] = the first k at which x[o, k, i] is greatest, or the first k at which it is NaN; y is int32, count ≥ 1. */
export function argmax({ x, y, outer, count, inner }: Args<"argmax">): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let best = 0;
      for (let k = 1; k < count; k++) {
        const candidate = x[(o * count + k) * inner + i]!;
        const held = x[(o * count + best) * inner + i]!;
        if (candidate > held || (Number.isNaN(candidate) && !Number.isNaN(held))) best = k;
      }
      y[o * inner + i] = best;
    }
  }
}

/** y[c] = Σ over n and s of x[n, c, s]. */
export function sumChannels({ x, y, n, c, s }: Args<"sumChannels">): void {
  for (let channel = 0; channel < c; channel++) {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < s; j++) sum += x[(i * c + channel) * s + j]!;
    }
    y[channel] = sum;
  }
}
