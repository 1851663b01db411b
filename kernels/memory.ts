// Filling, copying and gathering. Elements are four bytes, whatever they mean.
import { AddToCell, AddToInt, Copy, CopyCell, Fill, FillAll, FillCell, FillInt, GatherBytes, GatherRows, OneHot, StridedCopy } from "./generated";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";
import { skip, startRows } from "./strided-rows";

// Below this many bytes a loop beats the call that memory.copy costs.
@inline const SHORT: usize = 128;

function fillWords(y: usize, n: i32, value: v128): void {
  const end = y + (<usize>n << 2);
  for (; y + 16 <= end; y += 16) v128.store(y, value);
  for (; y < end; y += 4) v128.store32_lane(y, value, 0);
}

@inline export function copyWords(y: usize, x: usize, n: i32): void {
  const bytes = <usize>n << 2;
  if (bytes > SHORT) {
    memory.copy(y, x, bytes);
    return;
  }
  const end = y + bytes;
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, v128.load(x));
  for (; y < end; y += 4, x += 4) store<i32>(y, load<i32>(x));
}

/** y[i] = value, float32. */
export function fill(a: Fill, from: i32, to: i32): void {
  fillWords(a.y + (<usize>from << 2), to - from, f32x4.splat(<f32>a.value));
}

/** y[i] = value in every array of the list, float32. A unit is a line (lists.ts). */
export function fillAll(a: FillAll, from: i32, to: i32): void {
  const args = changetype<usize>(a), value = f32x4.splat(<f32>a.value);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), start = startIn(line, from), end = endIn(line, to, size);
    if (start < end) fillWords(arrayAt(args, a.ys, k) + (<usize>start << 2), end - start, value);
    line += linesOf(size);
  }
}

/** y[i] = value, int32. */
export function fillInt(a: FillInt, from: i32, to: i32): void {
  fillWords(a.y + (<usize>from << 2), to - from, i32x4.splat(a.value));
}

/** Sets a float64 cell. */
export function fillCell(a: FillCell, from: i32, to: i32): void {
  store<f64>(a.y, a.value);
}

export function copyCell(a: CopyCell, from: i32, to: i32): void {
  store<f64>(a.y, load<f64>(a.x));
}

/** y[i] = x[i]. */
export function copy(a: Copy, from: i32, to: i32): void {
  const start = <usize>from << 2;
  copyWords(a.y + start, a.x + start, to - from);
}

/** y[yOffset + i · yStrides] = x[xOffset + i · xStrides] for every index i of the shape. */
export function stridedCopy(a: StridedCopy, from: i32, to: i32): void {
  const args = changetype<usize>(a);
  const rows = startRows(
    args + offsetof<StridedCopy>("shape0"), args + offsetof<StridedCopy>("xStrides0"), args + offsetof<StridedCopy>("yStrides0"), from,
  );
  const xStride = rows.pStride, yStride = rows.qStride;
  for (let i = from; i < to; ) {
    const count = min(rows.length - rows.column, to - i);
    const x = a.x + (<usize>(a.xOffset + rows.p + rows.column * xStride) << 2);
    const y = a.y + (<usize>(a.yOffset + rows.q + rows.column * yStride) << 2);
    if (xStride == 1 && yStride == 1) copyWords(y, x, count);
    else if (xStride == 0 && yStride == 1) fillWords(y, count, v128.load32_splat(x));
    else copyStrided(y, x, count, yStride, xStride);
    i += count;
    if (i < to) skip(rows, count);
  }
}

@inline function copyStrided(y: usize, x: usize, n: i32, yStride: i32, xStride: i32): void {
  const xStep = <usize>xStride << 2, yStep = <usize>yStride << 2;
  for (; n > 0; n--, x += xStep, y += yStep) store<i32>(y, load<i32>(x));
}

/** y[r, :] = x[index[r], :]. Units are rows; indices must be in range. */
export function gatherRows(a: GatherRows, from: i32, to: i32): void {
  const width = a.width, bytes = <usize>width << 2;
  let y = a.y + <usize>from * bytes;
  for (let r = from; r < to; r++, y += bytes) {
    copyWords(y, a.x + <usize>load<i32>(a.index + (<usize>r << 2)) * bytes, width);
  }
}

/** y[r, :] = x[index[r], :] · scale + shift from bytes to float32. Units are rows; indices must be in range. */
export function gatherBytes(a: GatherBytes, from: i32, to: i32): void {
  const width = <usize>a.width, scale = <f32>a.scale, shift = <f32>a.shift;
  let y = a.y + ((<usize>from * width) << 2);
  for (let r = from; r < to; r++, y += width << 2) {
    convertBytes(y, a.x + <usize>load<i32>(a.index + (<usize>r << 2)) * width, width, scale, shift);
  }
}

function convertBytes(y: usize, x: usize, n: usize, scale: f32, shift: f32): void {
  const factor = f32x4.splat(scale), term = f32x4.splat(shift), end = x + n;
  for (; x + 8 <= end; x += 8, y += 32) {
    const words = v128.load8x8_u(x);
    const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(words));
    const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(words));
    v128.store(y, f32x4.add(f32x4.mul(low, factor), term));
    v128.store(y, f32x4.add(f32x4.mul(high, factor), term), 16);
  }
  for (; x < end; x++, y += 4) store<f32>(y, <f32>load<u8>(x) * scale + shift);
}

/** y[r, c] = 1 where c = index[r], else 0; an index outside [0, classes) leaves a row of zeros. Units are rows. */
export function oneHot(a: OneHot, from: i32, to: i32): void {
  const classes = a.classes;
  fillWords(a.y + ((<usize>from * classes) << 2), (to - from) * classes, i32x4.splat(0));
  for (let r = from; r < to; r++) {
    const c = load<i32>(a.index + (<usize>r << 2));
    if (<u32>c < <u32>classes) store<f32>(a.y + ((<usize>r * classes + c) << 2), 1);
  }
}

/** Adds to a float64 cell. */
export function addToCell(a: AddToCell, from: i32, to: i32): void {
  store<f64>(a.cell, load<f64>(a.cell) + a.amount);
}

/** Adds to an int32 cell, with a condition only where that is not 0. */
export function addToInt(a: AddToInt, from: i32, to: i32): void {
  if (a.condition && load<f32>(a.condition) == 0) return;
  store<i32>(a.cell, load<i32>(a.cell) + a.amount);
}
