// The inner product of matrices on packed panels, shared by matmul and the convolutions.
//
// A is packed in strips of MR rows, B in panels of NR columns, both with k outermost, so that one step of k reads 4 + 8
// neighbouring numbers. 4 × 8 is the widest tile whose 8 sums, 2 columns and 1 broadcast stay in registers; see
// bench/gemm-shapes.mjs for the measurement. The sum over k runs in order within a block of KC and block by block, so an
// output's bits depend on k alone.

export const MR: i32 = 4;
export const NR: i32 = 8;
/** Steps of k in one block: a panel of B takes 8 KiB and stays in the L1 cache. */
export const KC: i32 = 256;

/** a · b + c; fused, so rounded once, in the relaxed build where the processor can. */
@inline export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

/** C = init + A·B for one tile; strides in bytes. `init` may be C itself (to accumulate), a bias, or zeros. */
export function tile(kc: i32, a: usize, b: usize, c: usize, stride: usize, init: usize, initStride: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let t = v128.load32_splat(a);
    c00 = madd(t, b0, c00);
    c01 = madd(t, b1, c01);
    t = v128.load32_splat(a, 4);
    c10 = madd(t, b0, c10);
    c11 = madd(t, b1, c11);
    t = v128.load32_splat(a, 8);
    c20 = madd(t, b0, c20);
    c21 = madd(t, b1, c21);
    t = v128.load32_splat(a, 12);
    c30 = madd(t, b0, c30);
    c31 = madd(t, b1, c31);
    a += 16;
    b += 32;
  }
  v128.store(c, f32x4.add(v128.load(init), c00));
  v128.store(c, f32x4.add(v128.load(init, 16), c01), 16);
  c += stride;
  init += initStride;
  v128.store(c, f32x4.add(v128.load(init), c10));
  v128.store(c, f32x4.add(v128.load(init, 16), c11), 16);
  c += stride;
  init += initStride;
  v128.store(c, f32x4.add(v128.load(init), c20));
  v128.store(c, f32x4.add(v128.load(init, 16), c21), 16);
  c += stride;
  init += initStride;
  v128.store(c, f32x4.add(v128.load(init), c30));
  v128.store(c, f32x4.add(v128.load(init, 16), c31), 16);
}

/** The same for a tile of which only `rows` × `columns` exist; `spare` holds 4 × 8 numbers. */
export function edgeTile(kc: i32, a: usize, b: usize, c: usize, stride: usize, init: usize, initStride: usize, rows: i32, columns: i32, spare: usize): void {
  for (let i = 0; i < rows; i++) memory.copy(spare + ((<usize>i) << 5), init + (<usize>i) * initStride, (<usize>columns) << 2);
  tile(kc, a, b, spare, 32, spare, 32);
  for (let i = 0; i < rows; i++) memory.copy(c + (<usize>i) * stride, spare + ((<usize>i) << 5), (<usize>columns) << 2);
}

/** Packs `width` (4 or 8) neighbouring numbers of each of `count` rows, `stride` bytes apart; `valid` of them exist, the rest are 0. */
export function packRows(from: usize, stride: usize, count: i32, width: i32, valid: i32, to: usize): void {
  const step = (<usize>width) << 2;
  if (valid == width) {
    for (let k = 0; k < count; k++, from += stride, to += step) {
      v128.store(to, v128.load(from));
      if (width == 8) v128.store(to, v128.load(from, 16), 16);
    }
    return;
  }
  for (let k = 0; k < count; k++, from += stride, to += step) {
    for (let j = 0; j < width; j++) store<f32>(to + ((<usize>j) << 2), j < valid ? load<f32>(from + ((<usize>j) << 2)) : 0);
  }
}

/** Transposes four rows of four numbers and stores them `step` bytes apart. */
@inline function transpose4(r0: v128, r1: v128, r2: v128, r3: v128, to: usize, step: usize): void {
  const a = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(a, b, 0, 2));
  v128.store(to + step, v128.shuffle<i64>(a, b, 1, 3));
  v128.store(to + 2 * step, v128.shuffle<i64>(c, d, 0, 2));
  v128.store(to + 3 * step, v128.shuffle<i64>(c, d, 1, 3));
}

/** Packs `width` (4 or 8) rows of `count` neighbouring numbers, turned so that k is outermost; `valid` rows exist, the rest are 0. */
export function packColumns(from: usize, stride: usize, count: i32, width: i32, valid: i32, to: usize): void {
  const step = (<usize>width) << 2;
  for (let j = 0; j < width; j += 4) {
    let k = 0, row = from + (<usize>j) * stride, out = to + ((<usize>j) << 2);
    if (j + 4 <= valid) {
      for (; k + 4 <= count; k += 4, row += 16, out += 4 * step) {
        transpose4(v128.load(row), v128.load(row + stride), v128.load(row + 2 * stride), v128.load(row + 3 * stride), out, step);
      }
    }
    for (; k < count; k++, row += 4, out += step) {
      for (let i = 0; i < 4; i++) store<f32>(out + ((<usize>i) << 2), j + i < valid ? load<f32>(row + (<usize>i) * stride) : 0);
    }
  }
}
