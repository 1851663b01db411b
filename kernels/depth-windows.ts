// The windows of a convolution along the depth: x [n, c, d, s] as y [n, od, c, kd, s], and back.
import { DepthWindows, DepthWindowsBackward } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { copyWords } from "./memory";
import { zeroRow } from "./row-sums";

/** Unit: one channel of one window, kd rows of s. */
export function depthWindows(a: DepthWindows, from: i32, to: i32): void {
  const bytes = <usize>a.s << 2;
  let y = a.y + <usize>(from * a.kd) * bytes;
  for (let unit = from; unit < to; unit++) {
    const window = unit / a.c, plane = (window / a.od) * a.c + unit % a.c;
    const x = a.x + <usize>(plane * a.d) * bytes;
    let depth = (window % a.od) * a.stride - a.padding;
    for (let k = 0; k < a.kd; k++, depth += a.dilation, y += bytes) {
      if (<u32>depth < <u32>a.d) copyWords(y, x + <usize>depth * bytes, a.s);
      else zeroRow(y, a.s);
    }
  }
}

function addRow(y: usize, x: usize, n: i32): void {
  for (let i = 0; i < n; i += 4, y += 16, x += 16) storeLanes(y, f32x4.add(loadLanes(y, n - i), loadLanes(x, n - i)), n - i);
}

/** Unit: one row of dx, the sum of the rows of dy that were copied from there, in the order of the taps. */
export function depthWindowsBackward(a: DepthWindowsBackward, from: i32, to: i32): void {
  const bytes = <usize>a.s << 2;
  let dx = a.dx + <usize>from * bytes;
  for (let unit = from; unit < to; unit++, dx += bytes) {
    const plane = unit / a.d, image = plane / a.c, channel = plane % a.c;
    let steps = unit % a.d + a.padding, empty = true;
    for (let k = 0; k < a.kd; k++, steps -= a.dilation) {
      const o = steps / a.stride;
      if (steps < 0 || steps % a.stride != 0 || o >= a.od) continue;
      const dy = a.dy + <usize>(((image * a.od + o) * a.c + channel) * a.kd + k) * bytes;
      if (empty) copyWords(dx, dy, a.s);
      else addRow(dx, dy, a.s);
      empty = false;
    }
    if (empty) zeroRow(dx, a.s);
  }
}
