// Batch normalization over [n, c, s], Ioffe & Szegedy 2015, algorithm 1. Statistics and application follow each other for a
// group of channels at a time. The unit of work is a channel.
import { Plain, Relu } from "./activation";
import { applyAffine, applyGradient, applyScale } from "./channel-apply";
import { products } from "./channel-products";
import { at, coefficient, first, groupSize, isLong, moments, second } from "./channels";
import { BatchNormBackward, BatchNormEval, BatchNormEvalBackward, BatchNormTrain } from "./generated";
import { moveRunning, storeMean } from "./moments";
import { workspace } from "./runtime";

@inline function orElse(base: usize, i: i32, otherwise: f64): f64 { return base ? <f64>load<f32>(at(base, i)) : otherwise; }

/** 1 / sqrt(variance + eps); a constant channel with eps = 0 gives 0, so that y = bias. */
@inline function inverseStd(variance: f64, eps: f64): f64 {
  return variance == 0 && eps == 0 ? 0 : 1 / sqrt<f64>(variance + eps);
}

/** Scale and bias of channel i of the workspace, whose mean is set; the sum makes a bias of -0 0. */
@inline function setAffine<A>(a: A, w: usize, i: i32, channel: i32, inverse: f64): void {
  const k = <f32>(orElse(a.weight, channel, 1) * inverse), low = load<f32>(coefficient(w, 1, i));
  store<f32>(coefficient(w, 2, i), k);
  // 0 · Infinity is no shift: without a low part the bias is what it is.
  const shift = low == 0 ? 0 : <f64>low * <f64>k;
  store<f32>(coefficient(w, 3, i), <f32>(orElse(a.bias, channel, 0) - shift) + 0);
}

@inline function givenInverse<A>(a: A, channel: i32): f64 {
  return 1 / sqrt<f64>(<f64>load<f32>(at(a.variance, channel)) + a.eps);
}

/** The mean of channel i of the workspace from the given one. */
@inline function setMean<A>(a: A, w: usize, i: i32, channel: i32): void {
  store<f32>(coefficient(w, 0, i), load<f32>(at(a.mean, channel)));
  store<f32>(coefficient(w, 1, i), a.meanLow ? load<f32>(at(a.meanLow, channel)) : 0);
}

export function batchNormTrain(a: BatchNormTrain, from: i32, to: i32): void {
  const w = workspace, step = groupSize(a.n, a.c, a.s), m = <f64>a.n * <f64>a.s;
  // The running mean is to be right to the last digit: the sums for it are taken where x is read for the second time.
  const isLater = isLong(a.n, a.s);
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    moments(a.x, a.n, a.c, a.s, c0, c1, w, !isLater);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, mean = load<f64>(first(w, i)), variance = load<f64>(second(w, i));
      // Rounded as in stats, from where the backward pass takes it.
      const inverse = <f32>inverseStd(variance, a.eps);
      storeMean(coefficient(w, 0, i), coefficient(w, 1, i), mean);
      setAffine(a, w, i, channel, <f64>inverse);
      store<f32>(at(a.stats, channel), load<f32>(coefficient(w, 0, i)));
      store<f32>(at(a.stats, a.c + channel), load<f32>(coefficient(w, 1, i)));
      store<f32>(at(a.stats, 2 * a.c + channel), inverse);
      if (isLater) store<f64>(first(w, i), 0);
      else if (a.runningMean) moveRunning(a, channel, mean, variance, m);
    }
    const isSummed = isLater && a.runningMean != 0;
    if (a.relu) applyAffine<Relu>(a.x, a.y, a.n, a.c, a.s, c0, c1, w, isSummed);
    else applyAffine<Plain>(a.x, a.y, a.n, a.c, a.s, c0, c1, w, isSummed);
    if (isSummed) for (let i = 0; i < c1 - c0; i++) moveRunning(a, c0 + i, load<f64>(first(w, i)) / m, load<f64>(second(w, i)), m);
  }
}

export function batchNormEval(a: BatchNormEval, from: i32, to: i32): void {
  const w = workspace, step = groupSize(a.n, a.c, a.s);
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) {
      setMean(a, w, channel - c0, channel);
      setAffine(a, w, channel - c0, channel, givenInverse(a, channel));
    }
    if (a.relu) applyAffine<Relu>(a.x, a.y, a.n, a.c, a.s, c0, c1, w);
    else applyAffine<Plain>(a.x, a.y, a.n, a.c, a.s, c0, c1, w);
  }
}

function trainBackward<F>(a: BatchNormBackward, from: i32, to: i32): void {
  const w = workspace, step = groupSize(a.n, a.c, a.s), m = <f64>a.n * <f64>a.s, hasSums = !a.detached || a.dweight || a.dbias;
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0;
      store<f32>(coefficient(w, 0, i), load<f32>(at(a.stats, channel)));
      store<f32>(coefficient(w, 1, i), load<f32>(at(a.stats, a.c + channel)));
      setAffine(a, w, i, channel, <f64>load<f32>(at(a.stats, 2 * a.c + channel)));
    }
    if (hasSums) products<F>(a.x, a.dy, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0, inverse = <f64>load<f32>(at(a.stats, 2 * a.c + channel));
      const sum = load<f64>(first(w, i)), product = load<f64>(second(w, i));
      if (a.dweight) store<f32>(at(a.dweight, channel), <f32>(product * inverse));
      if (a.dbias) store<f32>(at(a.dbias, channel), <f32>sum);
      const slope = product * inverse * inverse / m, low = <f64>load<f32>(coefficient(w, 1, i));
      store<f32>(coefficient(w, 4, i), <f32>(sum / m - low * slope));
      store<f32>(coefficient(w, 5, i), -<f32>slope);
    }
    if (!a.dx) continue;
    if (a.detached) applyScale<F>(a.x, a.dy, a.dx, a.n, a.c, a.s, c0, c1, w);
    else applyGradient<F>(a.x, a.dy, a.dx, a.n, a.c, a.s, c0, c1, w);
  }
}

export function batchNormBackward(a: BatchNormBackward, from: i32, to: i32): void {
  if (a.relu) trainBackward<Relu>(a, from, to);
  else trainBackward<Plain>(a, from, to);
}

function evalBackward<F>(a: BatchNormEvalBackward, from: i32, to: i32): void {
  const w = workspace, step = groupSize(a.n, a.c, a.s);
  for (let c0 = from; c0 < to; c0 += step) {
    const c1 = min(to, c0 + step);
    for (let channel = c0; channel < c1; channel++) {
      setMean(a, w, channel - c0, channel);
      setAffine(a, w, channel - c0, channel, givenInverse(a, channel));
    }
    if (a.dweight || a.dbias) products<F>(a.x, a.dy, a.n, a.c, a.s, c0, c1, w);
    for (let channel = c0; channel < c1; channel++) {
      const i = channel - c0;
      if (a.dweight) store<f32>(at(a.dweight, channel), <f32>(load<f64>(second(w, i)) * givenInverse(a, channel)));
      if (a.dbias) store<f32>(at(a.dbias, channel), <f32>load<f64>(first(w, i)));
    }
    if (a.dx) applyScale<F>(a.x, a.dy, a.dx, a.n, a.c, a.s, c0, c1, w);
  }
}

export function batchNormEvalBackward(a: BatchNormEvalBackward, from: i32, to: i32): void {
  if (a.relu) evalBackward<Relu>(a, from, to);
  else evalBackward<Plain>(a, from, to);
}
