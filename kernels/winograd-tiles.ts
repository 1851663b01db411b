// Tiles of images for Winograd's algorithm: which pixels a block of tiles reads, and their transform.
//
// A tile stands for 4 × 4 pixels of the output. It reads `reach` = 6 rows and columns of the input of a convolution
// (overlapping its neighbours), or 4 of a gradient that comes from above. Tiles are numbered through all images. A block of
// tiles falls into runs: neighbours in one row of tiles. The first pass transforms the columns of a run in place of the
// image's rows, the second takes four tiles (or four channels of one tile) as lanes and transforms their rows.
import { A, A2, B, B2, constant, gradientTransform, inputTransform, PRODUCT, SUM } from "./winograd-transforms";

/** Most tiles in a block; every table and buffer of this file has room for so many, each alone in its row. */
export const MAX_TILES: i32 = 64;
/** Bytes between the six rows of the buffer between the passes: eight columns per tile, and one cache line more. */
export const ROW: usize = 2112;
export const BUFFER_BYTES: usize = 6 * ROW;
/** Bytes of a table: the runs, then where each tile begins in the buffer. */
@inline const RUN: usize = 56;
@inline const STARTS: usize = 64 * RUN;
export const TABLE_BYTES: usize = STARTS + 64 * 4;
/** Zeros that stand for a row outside of the image, as long as the longest run. */
export const ZERO_BYTES: usize = 2048;

/** Images of which tiles are taken. */
@unmanaged export class Grid {
  x: usize;
  channels: i32; h: i32; w: i32;
  pad: i32; padW: i32;         // the first tile begins so far above and left of the image
  tileRows: i32; tileColumns: i32;
  reach: i32;
}

/** Neighbours in a row of tiles, for channel 0. */
@unmanaged class Run {
  row0: usize; row1: usize; row2: usize; row3: usize; row4: usize; row5: usize; // first valid column of each row
  inside: i32;                 // bit r: row r lies inside the image
  vectors: i32; rest: i32;     // valid columns: whole vectors of four, and some more
  tiles: i32;
  to: usize;                   // where the first valid column goes in the buffer
  start: usize;                // where the first tile begins in the buffer
}

/** Address of the value where tile `i` of a placed block begins. */
@inline export function startOf(table: usize, i: i32): usize { return load<usize>(table + STARTS + ((<usize>i) << 2)); }

/** Finds the runs of tiles [first, first + count); says how many there are. Clears `buffers` buffers for them. */
export function placeTiles(g: Grid, first: i32, count: i32, table: usize, buffer: usize, buffers: i32): i32 {
  const perImage = g.tileRows * g.tileColumns, plane = g.h * g.w;
  let runs = 0, position = 0, image = first / perImage, row = (first % perImage) / g.tileColumns, column = first % g.tileColumns;
  for (let done = 0; done < count; runs++) {
    const tiles = min(count - done, g.tileColumns - column), r = changetype<Run>(table + (<usize>runs) * RUN);
    const y = row * 4 - g.pad, x = column * 4 - g.padW, from = max(0, x), valid = max(0, min(g.w, x + 4 * tiles + g.reach - 4) - from);
    const base = g.x + ((((<usize>image) * (<usize>g.channels)) * (<usize>plane) + <usize>from) << 2);
    r.inside = 0;
    for (let i = 0; i < g.reach; i++) {
      const inside = <u32>(y + i) < <u32>g.h;
      if (inside) r.inside |= 1 << i;
      store<usize>(changetype<usize>(r) + ((<usize>i) << 2), inside ? base + (((<usize>(y + i)) * (<usize>g.w)) << 2) : 0);
    }
    r.vectors = valid >> 2;
    r.rest = valid & 3;
    r.tiles = tiles;
    r.start = buffer + ((<usize>position) << 4);
    r.to = buffer + ((<usize>(position * 4 + from - x)) << 2);
    for (let i = 0; i < tiles; i++) store<usize>(table + STARTS + ((<usize>(done + i)) << 2), buffer + ((<usize>(position + i)) << 4));
    done += tiles;
    position += tiles + 1;
    column = 0;
    if (++row == g.tileRows) { row = 0; image++; }
  }
  for (let i = 0; i < 6 * buffers; i++) memory.fill(buffer + (<usize>i) * ROW, 0, min(<usize>(position << 4) + 16, ROW));
  return runs;
}

@inline function rowOf(r: Run, i: i32, row: usize, plane: usize, zeros: usize): usize {
  return (r.inside >> i) & 1 ? row + plane : zeros;
}

/** First pass for one channel, `plane` bytes behind channel 0: the transform down the columns of each run. */
export function transformColumns(table: usize, runs: i32, reach: i32, plane: usize, shift: usize, zeros: usize): void {
  const a = constant(A), b = constant(B), a2 = constant(A2), b2 = constant(B2), sum = constant(SUM), product = constant(PRODUCT);
  for (let i = 0; i < runs; i++, table += RUN) {
    const r = changetype<Run>(table);
    let p0 = rowOf(r, 0, r.row0, plane, zeros), p1 = rowOf(r, 1, r.row1, plane, zeros), p2 = rowOf(r, 2, r.row2, plane, zeros);
    let p3 = rowOf(r, 3, r.row3, plane, zeros), p4 = zeros, p5 = zeros, to = r.to + shift;
    if (reach == 6) {
      p4 = rowOf(r, 4, r.row4, plane, zeros);
      p5 = rowOf(r, 5, r.row5, plane, zeros);
      for (let v = r.vectors; v > 0; v--, p0 += 16, p1 += 16, p2 += 16, p3 += 16, p4 += 16, p5 += 16, to += 16) {
        inputTransform(a, b, a2, b2, sum, product, v128.load(p0), v128.load(p1), v128.load(p2), v128.load(p3), v128.load(p4), v128.load(p5), to, ROW);
      }
    } else {
      for (let v = r.vectors; v > 0; v--, p0 += 16, p1 += 16, p2 += 16, p3 += 16, to += 16) {
        gradientTransform(a, b, a2, b2, v128.load(p0), v128.load(p1), v128.load(p2), v128.load(p3), to, ROW);
      }
    }
    if (r.rest == 0) continue;
    // Lanes behind the last valid column belong to something else: they count as 0.
    const mask = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(r.rest));
    const d0 = v128.and(v128.load(p0), mask), d1 = v128.and(v128.load(p1), mask), d2 = v128.and(v128.load(p2), mask), d3 = v128.and(v128.load(p3), mask);
    if (reach == 6) inputTransform(a, b, a2, b2, sum, product, d0, d1, d2, d3, v128.and(v128.load(p4), mask), v128.and(v128.load(p5), mask), to, ROW);
    else gradientTransform(a, b, a2, b2, d0, d1, d2, d3, to, ROW);
  }
}

/**
 * Second pass for four lanes that begin at s0 … s3 in buffers: turns each of `rows` rows, from `row` on, so that columns are
 * vectors, and transforms along the row. Position (i, j) goes to `to` + (6 (i − row) + j) · step.
 */
export function transformRows(reach: i32, s0: usize, s1: usize, s2: usize, s3: usize, row: i32, rows: i32, to: usize, step: usize): void {
  const a = constant(A), b = constant(B), a2 = constant(A2), b2 = constant(B2), sum = constant(SUM), product = constant(PRODUCT);
  const skip = (<usize>row) * ROW;
  s0 += skip; s1 += skip; s2 += skip; s3 += skip;
  for (let i = 0; i < rows; i++, s0 += ROW, s1 += ROW, s2 += ROW, s3 += ROW, to += 6 * step) {
    let r0 = v128.load(s0), r1 = v128.load(s1), r2 = v128.load(s2), r3 = v128.load(s3);
    let p = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), q = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
    const c = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
    const x0 = v128.shuffle<i64>(p, q, 0, 2), x1 = v128.shuffle<i64>(p, q, 1, 3), x2 = v128.shuffle<i64>(c, d, 0, 2), x3 = v128.shuffle<i64>(c, d, 1, 3);
    if (reach == 4) {
      gradientTransform(a, b, a2, b2, x0, x1, x2, x3, to, step);
      continue;
    }
    r0 = v128.load(s0, 16); r1 = v128.load(s1, 16); r2 = v128.load(s2, 16); r3 = v128.load(s3, 16);
    p = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
    q = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
    inputTransform(a, b, a2, b2, sum, product, x0, x1, x2, x3, v128.shuffle<i64>(p, q, 0, 2), v128.shuffle<i64>(p, q, 1, 3), to, step);
  }
}

/** The same for four channels of each tile, whose buffers follow each other; tiles are `bytes` apart. A tile's last two columns are the next one's first. */
export function transformChannelRows(table: usize, runs: i32, reach: i32, row: i32, rows: i32, to: usize, bytes: usize, step: usize): void {
  const a = constant(A), b = constant(B), a2 = constant(A2), b2 = constant(B2), sum = constant(SUM), product = constant(PRODUCT);
  for (let i = 0; i < rows; i++, to += 6 * step) {
    let out = to;
    for (let k = 0; k < runs; k++) {
      const r = changetype<Run>(table + (<usize>k) * RUN), until = out + (<usize>r.tiles) * bytes;
      let s = r.start + (<usize>(row + i)) * ROW;
      let x0 = a, x1 = a, x2 = a, x3 = a, next = reach == 6 ? out - bytes : out;
      // One column of four is read ahead where tiles overlap.
      for (; next < until; next += bytes, s += 16) {
        const r0 = v128.load(s), r1 = v128.load(s, BUFFER_BYTES), r2 = v128.load(s, 2 * BUFFER_BYTES), r3 = v128.load(s, 3 * BUFFER_BYTES);
        const p = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), q = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
        const c = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
        const n0 = v128.shuffle<i64>(p, q, 0, 2), n1 = v128.shuffle<i64>(p, q, 1, 3), n2 = v128.shuffle<i64>(c, d, 0, 2), n3 = v128.shuffle<i64>(c, d, 1, 3);
        if (reach == 4) gradientTransform(a, b, a2, b2, n0, n1, n2, n3, next, step);
        else {
          if (next >= out) inputTransform(a, b, a2, b2, sum, product, x0, x1, x2, x3, n0, n1, next, step);
          x0 = n0; x1 = n1; x2 = n2; x3 = n3;
        }
      }
      out = until;
    }
  }
}
