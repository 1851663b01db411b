// Moments of the channels of [n, c, s] at the positions where a mask [n, s] is not 0. Plain loops in float64: masks are rare.
import { at } from "./channels";
import { MaskedMoments } from "./generated";
import { storeMean } from "./moments";

@inline function isThere(a: MaskedMoments, position: i32): bool { return load<f32>(at(a.mask, position)) != 0; }

function presentCount(a: MaskedMoments): i32 {
  let count = 0;
  for (let i = 0; i < a.n * a.s; i++) count += <i32>isThere(a, i);
  return count;
}

/** Σ (x − from) or Σ (x − from)² of a channel. A constant is summed without rounding: 24 bits times fewer than 2²⁹ values. */
@inline function sumOf(a: MaskedMoments, channel: i32, from: f64, squared: bool): f64 {
  let sum: f64 = 0;
  for (let image = 0; image < a.n; image++) {
    const run = at(a.x, (image * a.c + channel) * a.s);
    for (let j = 0; j < a.s; j++) {
      if (!isThere(a, image * a.s + j)) continue;
      const d = <f64>load<f32>(at(run, j)) - from;
      sum += squared ? d * d : d;
    }
  }
  return sum;
}

/** Unit: a channel. Moments of no values are 0. */
export function maskedMoments(a: MaskedMoments, from: i32, to: i32): void {
  const count = presentCount(a), m = <f64>max(1, count);
  if (from == 0) store<f32>(a.count, <f32>count);
  for (let channel = from; channel < to; channel++) {
    const mean = sumOf(a, channel, 0, false) / m;
    storeMean(at(a.moments, channel), at(a.moments, a.c + channel), mean);
    store<f32>(at(a.moments, 2 * a.c + channel), <f32>(sumOf(a, channel, mean, true) / m));
  }
}
