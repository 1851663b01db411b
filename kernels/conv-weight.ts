// Gradient of a convolution towards its weights: dW[co, k] = Σ over images and pixels of dy[co, pixel] · patch[k, pixel].
// Each thread owns some k, packs their patches of one image row by row, and takes dot products with the rows of dy.
import { madd } from "./gemm";
import { laneSum } from "./channels";
import { Conv2dBackwardWeight } from "./generated";
import { workspace } from "./runtime";

/** k that are packed together, and pixels at a time; 4 · 1024 numbers, 16 KiB. */
const KB: i32 = 4;
const PIXELS: i32 = 1024;

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

/** Patch values of one k for output pixels [p0, p0 + count) of one input plane. */
function packPatch(a: Conv2dBackwardWeight, plane: usize, ky: i32, kx: i32, p0: i32, count: i32, to: usize): void {
  let row = p0 / a.ow, column = p0 % a.ow;
  for (let left = count; left > 0; row++, column = 0) {
    const run = min(left, a.ow - column), y = row * a.sh - a.ph + ky * a.dh, x0 = column * a.sw - a.pw + kx * a.dw;
    if (<u32>y >= <u32>a.h) memory.fill(to, 0, (<usize>run) << 2);
    else if (a.sw == 1) {
      const skip = min(run, max(0, -x0)), valid = max(0, min(run, a.w - x0) - skip);
      memory.fill(to, 0, (<usize>skip) << 2);
      copyRun(at(to, skip), at(plane, y * a.w + x0 + skip), valid);
      memory.fill(at(to, skip + valid), 0, (<usize>(run - skip - valid)) << 2);
    } else {
      for (let j = 0; j < run; j++) {
        const x = x0 + j * a.sw;
        store<f32>(at(to, j), <u32>x < <u32>a.w ? load<f32>(at(plane, y * a.w + x)) : 0);
      }
    }
    to = at(to, run);
    left -= run;
  }
}

@inline function copyRun(to: usize, from: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(at(to, i), v128.load(at(from, i)));
  for (; i < count; i++) store<f32>(at(to, i), load<f32>(at(from, i)));
}

@inline function addTo(address: usize, v: v128, rest: f32): void {
  store<f32>(address, load<f32>(address) + (<f32>laneSum(v) + rest));
}

/** Adds the products of two rows of dy with four packed rows to dW; `second` is 0 where there is no second row. */
function dot(d0: usize, d1: usize, patches: usize, count: i32, out0: usize, out1: usize, step: usize, ks: i32): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, i = 0;
  const p1 = patches + (PIXELS << 2), p2 = p1 + (PIXELS << 2), p3 = p2 + (PIXELS << 2), vectors = count & ~3;
  for (; i < vectors; i += 4) {
    const u = v128.load(at(d0, i)), v = v128.load(at(d1, i));
    let t = v128.load(at(patches, i));
    a0 = madd(u, t, a0);
    b0 = madd(v, t, b0);
    t = v128.load(at(p1, i));
    a1 = madd(u, t, a1);
    b1 = madd(v, t, b1);
    t = v128.load(at(p2, i));
    a2 = madd(u, t, a2);
    b2 = madd(v, t, b2);
    t = v128.load(at(p3, i));
    a3 = madd(u, t, a3);
    b3 = madd(v, t, b3);
  }
  for (let k = 0; k < ks; k++) {
    const row = patches + (<usize>k) * (PIXELS << 2);
    let restA: f32 = 0, restB: f32 = 0;
    for (let j = vectors; j < count; j++) {
      restA += load<f32>(at(d0, j)) * load<f32>(at(row, j));
      restB += load<f32>(at(d1, j)) * load<f32>(at(row, j));
    }
    addTo(out0 + (<usize>k) * step, k == 0 ? a0 : k == 1 ? a1 : k == 2 ? a2 : a3, restA);
    if (out1) addTo(out1 + (<usize>k) * step, k == 0 ? b0 : k == 1 ? b1 : k == 2 ? b2 : b3, restB);
  }
}

/** Unit: one k = (input channel, kernel row, kernel column) of a group. */
export function conv2dBackwardWeight(a: Conv2dBackwardWeight, from: i32, to: i32): void {
  const inG = a.ci / a.groups, outG = a.co / a.groups, taps = a.kh * a.kw, kG = inG * taps, pixels = a.oh * a.ow;
  for (let k = from; k < to; ) {
    const group = k / kG, k0 = k % kG, ks = min(min(KB, to - k), kG - k0);
    for (let o = 0; o < outG; o++) memory.fill(at(a.dweight, (group * outG + o) * kG + k0), 0, (<usize>ks) << 2);
    for (let n = 0; n < a.n; n++) {
      for (let p0 = 0; p0 < pixels; p0 += PIXELS) {
        const count = min(PIXELS, pixels - p0);
        for (let i = 0; i < ks; i++) {
          const c = (k0 + i) / taps, tap = (k0 + i) % taps;
          const plane = a.x + ((((<usize>n) * (<usize>a.ci) + <usize>(group * inG + c)) * (<usize>a.h) * (<usize>a.w)) << 2);
          packPatch(a, plane, tap / a.kw, tap % a.kw, p0, count, workspace + (<usize>i) * (PIXELS << 2));
        }
        const dy = a.dy + ((((<usize>n) * (<usize>a.co) + <usize>(group * outG)) * (<usize>pixels) + <usize>p0) << 2);
        for (let o = 0; o < outG; o += 2) {
          const d0 = dy + (((<usize>o) * (<usize>pixels)) << 2), pair = o + 1 < outG;
          const out0 = at(a.dweight, (group * outG + o) * kG + k0);
          dot(d0, pair ? d0 + ((<usize>pixels) << 2) : d0, workspace, count, out0, pair ? at(out0, kG) : 0, 4, ks);
        }
      }
    }
    k += ks;
  }
}
