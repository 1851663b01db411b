// Gradient towards the weights of a convolution with few input channels and stride 1 along a row, straight from the image:
// dW[co, c, ky, kx] = Σ over images, rows and pixels of dy · x. A row of dy meets a row of x in kw places that overlap: for three
// output channels and three neighbouring kx the sums stay in registers while the rows pass by.
import { copyPadded } from "./conv-direct";
import { madd } from "./gemm";
import { Conv2dBackwardWeight } from "./generated";
import { workspace } from "./runtime";

/** float32 sums run over so many pixels before they go into float64 ones. */
const PIXELS: i32 = 1024;

// The planner (schedule.ts) sees to it that both fit.
@inline const SUMS: usize = 64;
@inline const IMAGES: usize = 163840;
/** Bytes of a unit's sums: nine of four lanes in 64 bits. */
@inline const UNIT: usize = 288;
/** Output channels and places of a unit. */
const SIDE: i32 = 3;
@inline const ROOM: i32 = 327680;

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

/** Adds four lanes into the unit's sum `which`. */
@inline function keep(sums: usize, which: usize, v: v128): void {
  const to = sums + (which << 5), upper = v128.shuffle<i32>(v, v, 2, 3, 2, 3);
  v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(v)));
  v128.store(to, f64x2.add(v128.load(to, 16), f64x2.promote_low_f32x4(upper)), 16);
}

/** Ones in the lanes of the last vector of a row of `n` pixels that exist. */
@inline function lastLanes(n: i32): v128 { return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(((n - 1) & 3) + 1)); }

/**
 * Rows of `images` images: 3 output channels × 3 places; more sums would not stay in registers. `d1` and `d2` are the distances
 * from the first channel of dy to the others.
 */
function rows3(x: usize, dy: usize, d1: usize, d2: usize, images: i32, rows: i32, n: i32, xRow: usize, xImage: usize, dyImage: usize, sums: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, b0 = a0, b1 = a0, b2 = a0, c0 = a0, c1 = a0, c2 = a0;
  const whole = (<usize>((n - 1) & ~3)) << 2, dyRow = (<usize>n) << 2, mask = lastLanes(n);
  for (let image = 0; image < images; image++, x += xImage, dy += dyImage) {
    for (let r = 0, p = x, q = dy; r < rows; r++, p += xRow, q += dyRow) {
      for (let i: usize = 0; i <= whole; i += 16) {
        let u = v128.load(q + i), v = v128.load(q + i + d1), w = v128.load(q + i + d2);
        if (i == whole) {
          u = v128.and(u, mask);
          v = v128.and(v, mask);
          w = v128.and(w, mask);
        }
        const from = p + i;
        let t = v128.load(from);
        a0 = madd(u, t, a0);
        b0 = madd(v, t, b0);
        c0 = madd(w, t, c0);
        t = v128.load(from, 4);
        a1 = madd(u, t, a1);
        b1 = madd(v, t, b1);
        c1 = madd(w, t, c1);
        t = v128.load(from, 8);
        a2 = madd(u, t, a2);
        b2 = madd(v, t, b2);
        c2 = madd(w, t, c2);
      }
    }
  }
  keep(sums, 0, a0);
  keep(sums, 1, a1);
  keep(sums, 2, a2);
  keep(sums, 3, b0);
  keep(sums, 4, b1);
  keep(sums, 5, b2);
  keep(sums, 6, c0);
  keep(sums, 7, c1);
  keep(sums, 8, c2);
}

/** What a unit computes: weights [co .. co + 2, c, ky, kx .. kx + 2]. */
@unmanaged class Part { co: i32; c: i32; ky: i32; kx: i32; }

/** The last places of a kernel whose width is no multiple of three are computed twice. */
@inline function find(part: Part, a: Conv2dBackwardWeight, unit: i32): void {
  const places = (a.kw + SIDE - 1) / SIDE, perGroup = a.ci * a.kh * places, rest = unit % perGroup;
  part.co = unit / perGroup * SIDE;
  part.c = rest / (a.kh * places);
  part.ky = rest / places % a.kh;
  part.kx = min(rest % places * SIDE, a.kw - SIDE);
}

function storeUnit(a: Conv2dBackwardWeight, part: Part, sums: usize): void {
  for (let i = 0; i < min(SIDE, a.co - part.co); i++) {
    const to = at(a.dweight, (((part.co + i) * a.ci + part.c) * a.kh + part.ky) * a.kw + part.kx);
    for (let kx = 0; kx < SIDE; kx++) {
      const s = sums + ((<usize>(i * SIDE + kx)) << 5), v = f64x2.add(v128.load(s), v128.load(s, 16));
      store<f32>(at(to, kx), <f32>(f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1)));
    }
  }
}

/** Unit: three output channels, an input channel, a kernel row, three places. */
export function conv2dBackwardWeightDirect(a: Conv2dBackwardWeight, from: i32, to: i32): void {
  const pixels = a.oh * a.ow, dyPlane = (<usize>pixels) << 2, part = changetype<Part>(workspace), sums = workspace + SUMS;
  const rowBytes = (a.w + 2 * a.pw + 12) << 2, image = <usize>(a.ci * a.h) * <usize>rowBytes, x = workspace + IMAGES;
  const chunk = max(1, min(PIXELS / max(1, pixels), ROOM / <i32>image)), xRow = <usize>(a.sh * rowBytes);
  memory.fill(sums, 0, <usize>(to - from) * UNIT);
  for (let n = 0; n < a.n; n += chunk) {
    const images = min(chunk, a.n - n);
    copyPadded(at(a.x, n * a.ci * a.h * a.w), images * a.ci * a.h, a.w, a.pw, rowBytes, x);
    for (let unit = from; unit < to; unit++) {
      find(part, a, unit);
      // Output rows whose row of x is inside.
      const shift = part.ky - a.ph, first = max(0, (a.sh - 1 - shift) / a.sh), end = a.h > shift ? min(a.oh, (a.h - 1 - shift) / a.sh + 1) : 0;
      if (end <= first) continue;
      const p = x + <usize>(part.c * a.h + first * a.sh + shift) * <usize>rowBytes + ((<usize>part.kx) << 2);
      const dy = at(a.dy, (n * a.co + part.co) * pixels + first * a.ow);
      // A channel that does not exist repeats the first one, and is not stored.
      const d1: usize = part.co + 1 < a.co ? dyPlane : 0, d2: usize = part.co + 2 < a.co ? 2 * dyPlane : 0;
      rows3(p, dy, d1, d2, images, end - first, a.ow, xRow, image, <usize>a.co * dyPlane, sums + <usize>(unit - from) * UNIT);
    }
  }
  for (let unit = from; unit < to; unit++) {
    find(part, a, unit);
    storeUnit(a, part, sums + <usize>(unit - from) * UNIT);
  }
}
