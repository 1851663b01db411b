// Batch normalization over [n, c, s], Ioffe & Szegedy 2015, algorithm 1. Statistics and application follow each other channel
// by channel (chunk by chunk if s = 1), so that the second read of x comes from the cache. The unit of work is a channel.
import { applyAffine, applyGradient, CHUNK, coefficient, first, moments, plainMean, products, second } from "./channels";
import { BatchNormBackward, BatchNormEval, BatchNormEvalBackward, BatchNormTrain } from "./generated";
import { workspace } from "./runtime";

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }
@inline function orElse(base: usize, i: i32, otherwise: f64): f64 { return base ? <f64>load<f32>(at(base, i)) : otherwise; }
@inline function isFinite64(x: f64): bool { return x - x == 0; }

@inline function setMean(w: usize, i: i32, mean: f64): void {
  const hi = <f32>mean;
  store<f32>(coefficient(w, 0, i), hi);
  // An infinite mean has no low part.
  store<f32>(coefficient(w, 1, i), isFinite64(mean) ? <f32>(mean - <f64>hi) : 0);
}

/** 1 / sqrt(variance + eps); a constant channel with eps = 0 gives 0, so that y = bias. */
@inline function inverseStd(variance: f64, eps: f64): f64 {
  return variance == 0 && eps == 0 ? 0 : 1 / sqrt<f64>(variance + eps);
}

function updateRunning(a: BatchNormTrain, channel: i32, mean: f64, variance: f64, m: f64): void {
  if (a.guard && !(isFinite64(mean) && isFinite64(variance))) {
    if (a.rejected) atomic.add<i32>(a.rejected, 1);
    return;
  }
  const factor = a.cumulative ? 1 / <f64>load<i32>(a.counter) : a.momentum;
  const estimate = a.unbiased ? variance * (m / (m - 1)) : variance;
  const pm = at(a.runningMean, channel), pv = at(a.runningVar, channel);
  store<f32>(pm, <f32>((1 - factor) * <f64>load<f32>(pm) + factor * mean));
  store<f32>(pv, <f32>((1 - factor) * <f64>load<f32>(pv) + factor * estimate));
}

export function batchNormTrain(a: BatchNormTrain, from: i32, to: i32): void {
  const w = workspace, step = a.s == 1 ? CHUNK : 1, m = <f64>a.n * <f64>a.s;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    moments(a.x, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, variance = load<f64>(second(w, i)) / m;
      let mean = load<f64>(first(w, i));
      if (!isFinite64(mean)) mean = plainMean(a.x, a.n, a.c, a.s, channel);
      const inverse = inverseStd(variance, a.eps);
      setMean(w, i, mean);
      store<f32>(at(a.stats, channel), load<f32>(coefficient(w, 0, i)));
      store<f32>(at(a.stats, a.c + channel), load<f32>(coefficient(w, 1, i)));
      store<f32>(at(a.stats, 2 * a.c + channel), <f32>inverse);
      store<f32>(coefficient(w, 2, i), <f32>(orElse(a.weight, channel, 1) * inverse));
      store<f32>(coefficient(w, 3, i), <f32>orElse(a.bias, channel, 0));
      if (a.runningMean) updateRunning(a, channel, mean, variance, m);
    }
    applyAffine(a.x, a.y, a.n, a.c, a.s, c0, c1, w);
  }
}

export function batchNormEval(a: BatchNormEval, from: i32, to: i32): void {
  const w = workspace, step = a.s == 1 ? CHUNK : 1;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, inverse = 1 / sqrt<f64>(<f64>load<f32>(at(a.variance, channel)) + a.eps);
      setMean(w, i, <f64>load<f32>(at(a.mean, channel)));
      store<f32>(coefficient(w, 2, i), <f32>(orElse(a.weight, channel, 1) * inverse));
      store<f32>(coefficient(w, 3, i), <f32>orElse(a.bias, channel, 0));
    }
    applyAffine(a.x, a.y, a.n, a.c, a.s, c0, c1, w);
  }
}

export function batchNormBackward(a: BatchNormBackward, from: i32, to: i32): void {
  const w = workspace, step = a.s == 1 ? CHUNK : 1, m = <f64>a.n * <f64>a.s;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) {
      store<f32>(coefficient(w, 0, channel - c0), load<f32>(at(a.stats, channel)));
      store<f32>(coefficient(w, 1, channel - c0), load<f32>(at(a.stats, a.c + channel)));
    }
    products(a.x, a.dy, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, inverse = <f64>load<f32>(at(a.stats, 2 * a.c + channel));
      const sum = load<f64>(first(w, i)), product = load<f64>(second(w, i));
      if (a.dweight) store<f32>(at(a.dweight, channel), <f32>(product * inverse));
      if (a.dbias) store<f32>(at(a.dbias, channel), <f32>sum);
      store<f32>(coefficient(w, 2, i), <f32>(sum / m));
      store<f32>(coefficient(w, 3, i), <f32>(product * inverse * inverse / m));
      store<f32>(coefficient(w, 4, i), <f32>(orElse(a.weight, channel, 1) * inverse));
    }
    if (a.dx) applyGradient(a.x, a.dy, a.dx, a.n, a.c, a.s, c0, c1, w);
  }
}

export function batchNormEvalBackward(a: BatchNormEvalBackward, from: i32, to: i32): void {
  const w = workspace, step = a.s == 1 ? CHUNK : 1;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) setMean(w, channel - c0, <f64>load<f32>(at(a.mean, channel)));
    if (a.dweight || a.dbias) products(a.x, a.dy, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, inverse = 1 / sqrt<f64>(<f64>load<f32>(at(a.variance, channel)) + a.eps);
      if (a.dweight) store<f32>(at(a.dweight, channel), <f32>(load<f64>(second(w, i)) * inverse));
      if (a.dbias) store<f32>(at(a.dbias, channel), <f32>load<f64>(first(w, i)));
      store<f32>(coefficient(w, 0, i), 0);
      store<f32>(coefficient(w, 1, i), 0);
      store<f32>(coefficient(w, 2, i), <f32>(orElse(a.weight, channel, 1) * inverse));
      store<f32>(coefficient(w, 3, i), 0);
    }
    if (a.dx) applyAffine(a.dy, a.dx, a.n, a.c, a.s, c0, c1, w);
  }
}
