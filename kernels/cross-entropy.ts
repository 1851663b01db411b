// Softmax and cross-entropy in one, over the middle axis of [outer, classes, inner]; targets are int32 [outer, inner].
import { CrossEntropy, CrossEntropyBackward, CrossEntropyReduce } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { exp } from "./math";
import { sumRow, zeroRow } from "./row-sums";
import { expColumns, expRow, logOf, peakColumns, peakRow } from "./softmax";

@inline function classWeight(weight: usize, c: i32): f64 {
  return weight ? <f64>load<f32>(weight + (<usize>c << 2)) : 1;
}

/** Of one outer index: the largest logits go to `m`, log(sum(exp(x - m))) to `out`. */
function logSums(x: usize, count: i32, inner: i32, m: usize, out: usize): void {
  if (inner == 1) {
    const largest = peakRow(x, count);
    store<f32>(m, largest);
    store<f32>(out, logOf(expRow(x, 0, count, largest)));
    return;
  }
  const stride = <usize>inner << 2;
  for (let i = 0; i < inner; i += 4) {
    const n = min(4, inner - i), offset = <usize>i << 2, largest = peakColumns(x + offset, count, stride, n);
    storeLanes(m + offset, largest, n);
    storeLanes(out + offset, expColumns(x + offset, 0, count, stride, n, largest, true), n);
  }
}

/** The sum of w (lse - x) over the classes of one position. */
function smoothLoss(x: usize, weight: usize, count: i32, stride: usize, lse: f64): f64 {
  let sum: f64 = 0;
  for (let c = 0; c < count; c++, x += stride) sum += classWeight(weight, c) * (lse - <f64>load<f32>(x));
  return sum;
}

/** Turns what `logSums` left for one position, at offset p, into its results; its logits start at `x`. */
function positionLoss(a: CrossEntropy, x: usize, p: usize): void {
  const count = a.count, smoothing = a.smoothing, stride = <usize>a.inner << 2;
  // The logarithm is kept apart from the largest logit here: their sum has lost digits if that is large.
  const m = load<f32>(a.lse + p), logSum = load<f32>(a.loss + p), target = load<i32>(a.target + p);
  store<f32>(a.lse + p, m + logSum);
  let loss: f64 = NaN, weight: f64 = 1;
  if (target == a.ignoreIndex) loss = weight = 0;
  else if (target >= 0 && target < count) {
    weight = classWeight(a.weight, target);
    loss = weight * (<f64>logSum + (<f64>m - <f64>load<f32>(x + <usize>target * stride)));
    if (smoothing != 0) {
      const smooth = smoothLoss(x, a.weight, count, stride, <f64>m + <f64>logSum);
      loss = (1 - smoothing) * loss + smoothing / <f64>count * smooth;
    }
  }
  store<f32>(a.loss + p, <f32>loss);
  store<f32>(a.rowWeight + p, <f32>weight);
}

/**
 * Per position: lse = log(sum(exp(x))), loss = (1 - s) w[t] (lse - x[t]) + s / classes * sum(w (lse - x)), and the weight
 * w[t]; loss and weight are 0 where the target is `ignoreIndex`, NaN and 1 where it is no class. A unit is an outer index.
 */
export function crossEntropy(a: CrossEntropy, from: i32, to: i32): void {
  const count = a.count, inner = a.inner;
  for (let o = from; o < to; o++) {
    const x = a.x + (<usize>(o * count * inner) << 2), p = <usize>(o * inner) << 2;
    logSums(x, count, inner, a.lse + p, a.loss + p);
    for (let i = 0; i < inner; i++) positionLoss(a, x + (<usize>i << 2), p + (<usize>i << 2));
  }
}

/** The sum of the losses, or their weighted mean. */
export function crossEntropyReduce(a: CrossEntropyReduce, from: i32, to: i32): void {
  const weight = a.mean ? sumRow(a.rowWeight, a.n) : 1;
  store<f32>(a.total, <f32>(sumRow(a.loss, a.n) / weight));
  store<f32>(a.totalWeight, <f32>weight);
}

/** y = exp(x - lse) over [classes, inner]. */
function probabilities(x: usize, y: usize, count: i32, inner: i32, lse: usize): void {
  if (inner == 1) {
    const shift = v128.load32_splat(lse);
    for (let i = 0; i < count; i += 4, x += 16, y += 16) storeLanes(y, exp(f32x4.sub(loadLanes(x, count - i), shift)), count - i);
    return;
  }
  for (let c = 0; c < count; c++) {
    for (let i = 0; i < inner; i += 4) {
      const offset = <usize>(c * inner + i) << 2, n = inner - i;
      storeLanes(y + offset, exp(f32x4.sub(loadLanes(x + offset, n), loadLanes(lse + (<usize>i << 2), n))), n);
    }
  }
}

/** dx = scale · dx - share · weight, in place. */
function scaleRow(dx: usize, count: i32, scale: f32, share: f32, weight: usize): void {
  const factor = f32x4.splat(scale), constant = f32x4.splat(share);
  for (let i = 0; i < count; i += 4, dx += 16) {
    const n = count - i, w = weight ? f32x4.mul(constant, loadLanes(weight + (<usize>i << 2), n)) : constant;
    storeLanes(dx, f32x4.sub(f32x4.mul(factor, loadLanes(dx, n)), w), n);
  }
}

function scaleColumn(dx: usize, count: i32, stride: usize, scale: f32, share: f32, weight: usize): void {
  for (let c = 0; c < count; c++, dx += stride) {
    store<f32>(dx, scale * load<f32>(dx) - (weight ? share * load<f32>(weight + (<usize>c << 2)) : share));
  }
}

/**
 * dx = g ((1 - s) w[t] (p - [c = t]) + s / classes (p sum(w) - w)) with p = exp(x - lse); 0 where ignored, NaN where the
 * target is no class. g is dloss[0] / totalWeight[0], or dloss of the position if `totalWeight` is null.
 */
export function crossEntropyBackward(a: CrossEntropyBackward, from: i32, to: i32): void {
  const count = a.count, inner = a.inner, smoothing = a.smoothing, stride = <usize>inner << 2;
  const weight = smoothing != 0 ? a.weight : 0, weightSum = weight ? sumRow(weight, count) : <f64>count;
  for (let o = from; o < to; o++) {
    const plane = <usize>(o * count * inner) << 2;
    if (inner > 1 || load<i32>(a.target + (<usize>o << 2)) != a.ignoreIndex) {
      probabilities(a.x + plane, a.dx + plane, count, inner, a.lse + (<usize>(o * inner) << 2));
    }
    for (let i = 0; i < inner; i++) {
      const p = <usize>(o * inner + i) << 2, dx = a.dx + plane + (<usize>i << 2), target = load<i32>(a.target + p);
      if (target == a.ignoreIndex) {
        if (inner == 1) zeroRow(dx, count);
        else for (let c = 0; c < count; c++) store<f32>(dx + <usize>c * stride, 0);
        continue;
      }
      const valid = target >= 0 && target < count;
      const g: f64 = a.totalWeight ? <f64>load<f32>(a.dloss) / <f64>load<f32>(a.totalWeight) : <f64>load<f32>(a.dloss + p);
      const peak: f64 = valid ? g * (1 - smoothing) * classWeight(a.weight, target) : NaN, share = g * smoothing / <f64>count;
      const scale = <f32>(peak + share * weightSum);
      if (inner == 1) scaleRow(dx, count, scale, <f32>share, weight);
      else scaleColumn(dx, count, stride, scale, <f32>share, weight);
      if (valid) store<f32>(dx + <usize>target * stride, load<f32>(dx + <usize>target * stride) - <f32>peak);
    }
  }
}
