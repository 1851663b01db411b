// Moments of the channels of [n, c, s] as values of their own: what batchNormTrain computes and does with them, cut apart, for
// statistics that come from more than one tensor. Moments are [3, c]: mean (high part), mean (low part), biased variance.
import { at, first, groupSize, isFinite64, join, moments, second } from "./channels";
import { ChannelMoments, MergeMoments, UpdateRunning } from "./generated";
import { workspace } from "./runtime";

/** The float32 next to `mean`, and what it leaves over; an infinite mean has no low part. */
@inline export function storeMean(hi: usize, lo: usize, mean: f64): void {
  const rounded = <f32>mean;
  store<f32>(hi, rounded);
  store<f32>(lo, isFinite64(mean) ? <f32>(mean - <f64>rounded) : 0);
}

@inline function storeMoments(to: usize, c: i32, channel: i32, mean: f64, variance: f64): void {
  storeMean(at(to, channel), at(to, c + channel), mean);
  store<f32>(at(to, 2 * c + channel), <f32>variance);
}

/** Unit: a channel. Moments of no values are 0. */
export function channelMoments(a: ChannelMoments, from: i32, to: i32): void {
  const w = workspace, step = groupSize(a.n, a.c, a.s), isEmpty = a.n == 0 || a.s == 0;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    if (!isEmpty) moments(a.x, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0;
      if (isEmpty) storeMoments(a.moments, a.c, channel, 0, 0);
      else storeMoments(a.moments, a.c, channel, load<f64>(first(w, i)), load<f64>(second(w, i)));
    }
  }
}

/** Where row `row` of part `part` has the value of a channel. */
@inline function inPart(a: MergeMoments, part: i32, row: i32, channel: i32): usize {
  return at(a.parts, (part * 3 + row) * a.c + channel);
}

@inline function meanOf(a: MergeMoments, part: i32, channel: i32): f64 {
  return <f64>load<f32>(inPart(a, part, 0, channel)) + <f64>load<f32>(inPart(a, part, 1, channel));
}

/** The plain mean of all parts: Infinity stays Infinity where joining them would give NaN. */
function plainMean(a: MergeMoments, channel: i32, total: f64): f64 {
  let sum: f64 = 0;
  for (let part = 0; part < a.k; part++) {
    const count = load<i32>(at(a.counts, part));
    if (count > 0) sum += <f64>count * meanOf(a, part, channel);
  }
  return sum / total;
}

/** Unit: a channel. Parts of 0 values are passed over; moments of no values are 0. */
export function mergeMoments(a: MergeMoments, from: i32, to: i32): void {
  const w = workspace;
  for (let channel = from; channel < to; channel++) {
    let seen: f64 = 0;
    for (let part = 0; part < a.k; part++) {
      const count = <f64>load<i32>(at(a.counts, part));
      if (!(count > 0)) continue;
      join(w, 0, seen, count, meanOf(a, part, channel), <f64>load<f32>(inPart(a, part, 2, channel)) * count);
      seen += count;
    }
    if (seen == 0) {
      storeMoments(a.moments, a.c, channel, 0, 0);
      continue;
    }
    const mean = load<f64>(first(w, 0));
    storeMoments(a.moments, a.c, channel, isFinite64(mean) ? mean : plainMean(a, channel, seen), load<f64>(second(w, 0)) / seen);
  }
}

/**
 * Moves the running values of one channel towards the moments of `m` values. A guarded channel whose new values would not be
 * finite is left and counted. A is BatchNormTrain or UpdateRunning, which have the same options.
 */
@inline export function moveRunning<A>(a: A, channel: i32, mean: f64, variance: f64, m: f64): void {
  const estimate = a.unbiased ? variance * (m / (m - 1)) : variance, refused = a.rejected ? at(a.rejected, channel) : 0;
  const entered = a.cumulative ? load<i32>(a.counter) - (refused ? load<i32>(refused) : 0) : 0;
  const factor = a.cumulative ? 1 / <f64>entered : a.momentum;
  const pm = at(a.runningMean, channel), pv = at(a.runningVar, channel);
  const newMean = <f32>((1 - factor) * <f64>load<f32>(pm) + factor * mean);
  const newVar = <f32>((1 - factor) * <f64>load<f32>(pv) + factor * estimate);
  // In float32: what it cannot hold must not get in either, nor what an odd momentum makes of it.
  if (a.guard && !(isFinite64(<f64><f32>mean) && isFinite64(<f64><f32>estimate) && isFinite64(<f64>newMean) && isFinite64(<f64>newVar))) {
    if (refused) store<i32>(refused, load<i32>(refused) + 1);
    return;
  }
  store<f32>(pm, newMean);
  store<f32>(pv, newVar);
}

/** Unit: a channel. Nothing moves if count is 0. */
export function updateRunning(a: UpdateRunning, from: i32, to: i32): void {
  const m = <f64>load<f32>(a.count);
  if (!(m > 0)) return;
  for (let channel = from; channel < to; channel++) {
    const mean = <f64>load<f32>(at(a.moments, channel)) + <f64>load<f32>(at(a.moments, a.c + channel));
    moveRunning(a, channel, mean, <f64>load<f32>(at(a.moments, 2 * a.c + channel)), m);
  }
}
