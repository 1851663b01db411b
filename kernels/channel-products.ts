// Sums of dy and of dy · (x − mean) over the channels of an array [n, c, s], which batch normalization's gradients need.
// F (activation.ts) is what followed the normalization: dy is its gradient.
import { BLOCK, coefficient, first, lane4, lower, ROWS, second, total, upper } from "./channels";
import { madd } from "./gemm";

@inline function addTo(w: usize, i: i32, s: f64, q: f64): void {
  store<f64>(first(w, i), load<f64>(first(w, i)) + s);
  store<f64>(second(w, i), load<f64>(second(w, i)) + q);
}

/** Adds one block of channel i of the workspace; `offset` is dy − x. */
function blockProducts<F>(x: usize, offset: usize, runs: i32, length: i32, stride: usize, w: usize, i: i32): void {
  const f = changetype<F>(0), mean = v128.load32_splat(coefficient(w, 0, i));
  const k = v128.load32_splat(coefficient(w, 2, i)), bias = v128.load32_splat(coefficient(w, 3, i));
  let s0 = f64x2.splat(0), s1 = s0, q0 = s0, q1 = s0, restS: f64 = 0, restQ: f64 = 0;
  for (let r = 0, run = x; r < runs; r++, run += stride) {
    let p = run;
    const end8 = run + ((<usize>(length & ~31)) << 2), end = run + ((<usize>(length & ~3)) << 2);
    for (; p < end8; p += 128) {
      let t = f32x4.sub(v128.load(p), mean), d = f.gradient(v128.load(p + offset), t, k, bias), sa = d, qa = f32x4.mul(d, t);
      t = f32x4.sub(v128.load(p, 16), mean);
      d = f.gradient(v128.load(p + offset, 16), t, k, bias);
      let sb = d, qb = f32x4.mul(d, t);
      t = f32x4.sub(v128.load(p, 32), mean);
      d = f.gradient(v128.load(p + offset, 32), t, k, bias);
      sa = f32x4.add(sa, d);
      qa = madd(d, t, qa);
      t = f32x4.sub(v128.load(p, 48), mean);
      d = f.gradient(v128.load(p + offset, 48), t, k, bias);
      sb = f32x4.add(sb, d);
      qb = madd(d, t, qb);
      t = f32x4.sub(v128.load(p, 64), mean);
      d = f.gradient(v128.load(p + offset, 64), t, k, bias);
      sa = f32x4.add(sa, d);
      qa = madd(d, t, qa);
      t = f32x4.sub(v128.load(p, 80), mean);
      d = f.gradient(v128.load(p + offset, 80), t, k, bias);
      sb = f32x4.add(sb, d);
      qb = madd(d, t, qb);
      t = f32x4.sub(v128.load(p, 96), mean);
      d = f.gradient(v128.load(p + offset, 96), t, k, bias);
      sa = f32x4.add(sa, d);
      qa = madd(d, t, qa);
      t = f32x4.sub(v128.load(p, 112), mean);
      d = f.gradient(v128.load(p + offset, 112), t, k, bias);
      sa = f32x4.add(sa, f32x4.add(sb, d));
      qa = f32x4.add(qa, madd(d, t, qb));
      s0 = f64x2.add(s0, lower(sa));
      s1 = f64x2.add(s1, upper(sa));
      q0 = f64x2.add(q0, lower(qa));
      q1 = f64x2.add(q1, upper(qa));
    }
    for (; p < end; p += 16) {
      const t = f32x4.sub(v128.load(p), mean), d = f.gradient(v128.load(p + offset), t, k, bias), q = f32x4.mul(d, t);
      s0 = f64x2.add(s0, lower(d));
      s1 = f64x2.add(s1, upper(d));
      q0 = f64x2.add(q0, lower(q));
      q1 = f64x2.add(q1, upper(q));
    }
    for (const stop = run + ((<usize>length) << 2); p < stop; p += 4) {
      const t = f32x4.sub(v128.load32_zero(p), mean), d = f.gradient(v128.load32_zero(p + offset), t, k, bias);
      restS += <f64>f32x4.extract_lane(d, 0);
      restQ += <f64>f32x4.extract_lane(d, 0) * <f64>f32x4.extract_lane(t, 0);
    }
  }
  addTo(w, i, total(s0, s1) + restS, total(q0, q1) + restQ);
}

function planeProducts<F>(x: usize, offset: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  const plane = (<usize>s) << 2, stride = (<usize>c) * plane, images = max(1, BLOCK / s);
  for (let image = 0; image < n; image += images) {
    const runs = min(images, n - image);
    let p = x + (<usize>image) * stride + (<usize>c0) * plane;
    for (let i = 0; i < c1 - c0; i++, p += plane) {
      if (s <= BLOCK) blockProducts<F>(p, offset, runs, s, stride, w, i);
      else for (let j = 0; j < s; j += BLOCK) blockProducts<F>(p + ((<usize>j) << 2), offset, 1, min(BLOCK, s - j), 0, w, i);
    }
  }
}

function columnProducts<F>(x: usize, offset: usize, n: i32, c: i32, c0: i32, c1: i32, w: usize): void {
  const f = changetype<F>(0), stride = (<usize>c) << 2;
  for (let row = 0; row < n; row += ROWS) {
    const rows = min(ROWS, n - row), start = x + (<usize>row) * stride;
    for (let channel = c0; channel < c1; channel += 4) {
      const i = channel - c0, mean = v128.load(coefficient(w, 0, i));
      const k = v128.load(coefficient(w, 2, i)), bias = v128.load(coefficient(w, 3, i));
      let sum = f32x4.splat(0), product = sum, p = start + ((<usize>channel) << 2);
      for (let r = 0; r < rows; r++, p += stride) {
        const t = f32x4.sub(v128.load(p), mean), d = f.gradient(v128.load(p + offset), t, k, bias);
        sum = f32x4.add(sum, d);
        product = madd(d, t, product);
      }
      for (let lane = 0; lane < min(4, c1 - channel); lane++) addTo(w, i + lane, <f64>lane4(sum, lane), <f64>lane4(product, lane));
    }
  }
}

/** Σ dy and Σ dy · (x − mean) of channels [c0, c1) into the workspace, with the coefficients 0 to 3 of channel-apply.ts. */
export function products<F>(x: usize, dy: usize, n: i32, c: i32, s: i32, c0: i32, c1: i32, w: usize): void {
  memory.fill(first(w, 0), 0, first(w, c1 - c0) - first(w, 0));
  if (s == 1) columnProducts<F>(x, dy - x, n, c, c0, c1, w);
  else planeProducts<F>(x, dy - x, n, c, s, c0, c1, w);
  // Differences were taken from the high part of the mean alone.
  for (let i = 0; i < c1 - c0; i++) addTo(w, i, 0, -<f64>load<f32>(coefficient(w, 1, i)) * load<f64>(first(w, i)));
}
