// Gradient of 3 × 3 convolutions towards their weights by the transpose of Winograd's F(4×4, 3×3):
// dw = Gᵀ[ Σ over tiles (A dy Aᵀ) ⊙ (Bᵀ x B) ]G, again 36 matrix products: [outputs × tiles] · [tiles × inputs].
//
// A unit sums one part of the tiles, at some rows of the 6 × 6 positions, for a block of at most 128 × 128 channels: so its
// sums stay in the second cache while blocks of tiles go by. Which parts, rows and blocks there are follows from the shape
// alone (also in src/engine/wasm/schedule-winograd.ts). A second phase joins the parts in order and transforms back.
import { Conv2dBackwardWeight } from "./generated";
import { MR, NR, tile } from "./gemm";
import { workspace } from "./runtime";
import { BUFFER_BYTES, Grid, MAX_TILES, placeTiles, TABLE_BYTES, transformChannelRows, transformColumns, ZERO_BYTES } from "./winograd-tiles";
import { weightGradientTransform } from "./winograd-transforms";

/** Most channels of a block; sums of a unit, and units that there shall be; tiles of a part, and most parts for its sake. */
const BLOCK: i32 = 128;
const UNIT_SUMS: i32 = 12288;
const UNITS: i32 = 12;
const PART: i32 = 2048;
const PARTS: i32 = 16;
/** Bytes of the workspace that hold transformed tiles. */
const TILE_BYTES: i32 = 400 << 10;

/** How a gradient is cut. Lives in the workspace. */
@unmanaged class Cut {
  out: i32; in: i32;             // channels of a block, multiples of MR and NR
  outBlocks: i32; inBlocks: i32;
  rows: i32;                     // rows of positions in a unit: 1, 2, 3 or 6
  tiles: i32; parts: i32;
}

@inline const X: usize = 0;
@inline const DY: usize = 64;
@inline const CUT: usize = 128;
@inline const JOINED: usize = 256;                       // 36 sums, then 3 × 6 between transforms, then 9 weights
@inline const BETWEEN: usize = JOINED + 36 * 16;
@inline const WEIGHTS: usize = BETWEEN + 18 * 16;
@inline const TABLE: usize = 2048;
@inline const ZEROS: usize = TABLE + TABLE_BYTES;        // also the start of sums
@inline const BUFFERS: usize = ZEROS + ZERO_BYTES;       // one for each of four channels
@inline const TILES: usize = BUFFERS + 4 * BUFFER_BYTES; // transformed tiles of x: [positions][panel][tile][NR], then of dy: [positions][strip][tile][MR]

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

function cutOf(a: Conv2dBackwardWeight): Cut {
  const cut = changetype<Cut>(workspace + CUT);
  cut.outBlocks = (a.co + BLOCK - 1) / BLOCK;
  cut.inBlocks = (a.ci + BLOCK - 1) / BLOCK;
  cut.out = (a.co + cut.outBlocks * MR - 1) / (cut.outBlocks * MR) * MR;
  cut.in = (a.ci + cut.inBlocks * NR - 1) / (cut.inBlocks * NR) * NR;
  const rows = UNIT_SUMS / (cut.out * cut.in);
  cut.rows = rows >= 6 ? 6 : rows >= 3 ? 3 : max(1, rows);
  cut.tiles = a.n * ((a.oh + 3) >> 2) * ((a.ow + 3) >> 2);
  const others = (6 / cut.rows) * cut.outBlocks * cut.inBlocks;
  const wanted = max((UNITS + others - 1) / others, min(PARTS, (cut.tiles + PART - 1) / PART));
  cut.parts = min((cut.tiles + MAX_TILES - 1) / MAX_TILES, wanted);
  return cut;
}

/** Transforms `channels` channels of a block of tiles, from c0 on, at some rows of positions; lanes up to `width` are 0. */
function transformTiles(g: Grid, first: i32, count: i32, c0: i32, channels: i32, width: i32, lanes: i32, row: i32, rows: i32, to: usize, step: usize): void {
  const plane = ((<usize>g.h) * (<usize>g.w)) << 2, buffers = workspace + BUFFERS, table = workspace + TABLE;
  const runs = placeTiles(g, first, count, table, buffers, 4), bytes = (<usize>lanes) << 2;
  for (let c = 0; c < width; c += 4) {
    for (let i = 0; i < 4; i++) {
      const shift = (<usize>i) * BUFFER_BYTES;
      if (c + i < channels) transformColumns(table, runs, g.reach, (<usize>(c0 + c + i)) * plane, shift, workspace + ZEROS);
      else memory.fill(buffers + shift, 0, BUFFER_BYTES);
    }
    const out = to + (<usize>(c / lanes * count)) * bytes + ((<usize>(c & (lanes - 1))) << 2);
    transformChannelRows(table, runs, g.reach, row, rows, out, bytes, step);
  }
}

/** Adds the products of a block of tiles to the sums [positions][strip][panel][MR][NR] at `sums`; `init` is 0 after the first block. */
function addProducts(cut: Cut, count: i32, v: usize, vStep: usize, d: usize, dStep: usize, sums: usize, isFirst: bool): void {
  const strips = cut.out / MR, panels = cut.in / NR;
  for (let position = 0; position < 6 * cut.rows; position++, v += vStep, d += dStep) {
    for (let strip = 0; strip < strips; strip++) {
      const a = d + (<usize>(strip * count)) * MR * 4;
      let b = v;
      for (let panel = 0; panel < panels; panel++, sums += MR * NR * 4, b += (<usize>count) * NR * 4) {
        tile(count, a, b, sums, NR * 4, isFirst ? workspace + ZEROS : sums, NR * 4);
      }
    }
  }
}

/** Address of the sums of a block of channels in a part. */
@inline function sumsOf(a: Conv2dBackwardWeight, cut: Cut, part: i32, block: i32): usize {
  return a.scratch + ((<usize>(part * cut.outBlocks * cut.inBlocks + block) * 36 * (<usize>(cut.out * cut.in))) << 2);
}

/** Unit: some rows of positions of a block of channels in a part of the tiles. */
export function conv2dBackwardWeightWinograd(a: Conv2dBackwardWeight, from: i32, to: i32): void {
  const cut = cutOf(a), x = changetype<Grid>(workspace + X), dy = changetype<Grid>(workspace + DY);
  x.x = a.x; x.channels = a.ci; x.h = a.h; x.w = a.w; x.pad = a.ph; x.padW = a.pw; x.reach = 6;
  dy.x = a.dy; dy.channels = a.co; dy.h = a.oh; dy.w = a.ow; dy.pad = 0; dy.padW = 0; dy.reach = 4;
  x.tileRows = dy.tileRows = (a.oh + 3) >> 2;
  x.tileColumns = dy.tileColumns = (a.ow + 3) >> 2;
  memory.fill(workspace + ZEROS, 0, ZERO_BYTES);
  const groups = 6 / cut.rows, blocks = cut.outBlocks * cut.inBlocks;
  const most = min(MAX_TILES, (TILE_BYTES - 36 * 128) / (24 * cut.rows * (cut.out + cut.in)));
  for (let unit = from; unit < to; unit++) {
    const row = (unit % groups) * cut.rows, block = (unit / groups) % blocks, part = unit / groups / blocks;
    const first = <i32>(<i64>cut.tiles * part / cut.parts), end = <i32>(<i64>cut.tiles * (part + 1) / cut.parts);
    const c0 = (block % cut.inBlocks) * cut.in, o0 = (block / cut.inBlocks) * cut.out;
    const sums = sumsOf(a, cut, part, block) + ((<usize>(row * 6 * cut.out * cut.in)) << 2);
    for (let t = first; t < end; t += most) {
      const count = min(most, end - t), v = workspace + TILES, vStep = ((<usize>(count * cut.in)) << 2) + 64;
      const d = v + (<usize>(6 * cut.rows)) * vStep, dStep = ((<usize>(count * cut.out)) << 2) + 64;
      transformTiles(x, t, count, c0, min(cut.in, a.ci - c0), cut.in, NR, row, cut.rows, v, vStep);
      transformTiles(dy, t, count, o0, min(cut.out, a.co - o0), cut.out, MR, row, cut.rows, d, dStep);
      addProducts(cut, count, v, vStep, d, dStep, sums, t == first);
    }
  }
}

/** Joins the parts of four neighbouring sums at 36 positions, `step` bytes apart, and transforms them to nine weights. */
function join(parts: i32, partBytes: usize, sums: usize, step: usize): void {
  const joined = workspace + JOINED, between = workspace + BETWEEN, weights = workspace + WEIGHTS;
  for (let position: usize = 0; position < 36; position++, sums += step) {
    let from = sums, sum = parts > 0 ? v128.load(from) : f32x4.splat(0);
    for (let part = 1; part < parts; part++) {
      from += partBytes;
      sum = f32x4.add(sum, v128.load(from));
    }
    v128.store(joined + 16 * position, sum);
  }
  for (let j: usize = 0; j < 6; j++) weightGradientTransform(joined + 16 * j, 96, between + 16 * j, 96);
  for (let i: usize = 0; i < 3; i++) weightGradientTransform(between + 96 * i, 16, weights + 48 * i, 16);
}

/** Unit: a tile of MR output channels and NR input channels. */
export function conv2dBackwardWeightWinogradJoin(a: Conv2dBackwardWeight, from: i32, to: i32): void {
  const cut = cutOf(a), tiles = (cut.out / MR) * (cut.in / NR), blocks = cut.outBlocks * cut.inBlocks, size = cut.out * cut.in;
  const partBytes = ((<usize>blocks) * 36 * (<usize>size)) << 2, step = (<usize>size) << 2;
  for (let unit = from; unit < to; unit++) {
    const block = unit / tiles, strip = (unit % tiles) / (cut.in / NR), panel = unit % (cut.in / NR);
    const o0 = (block / cut.inBlocks) * cut.out + strip * MR, c0 = (block % cut.inBlocks) * cut.in + panel * NR;
    const sums = sumsOf(a, cut, 0, block) + (<usize>(unit % tiles)) * (MR * NR * 4);
    for (let o = o0; o < min(a.co, o0 + MR); o++) {
      for (let c = c0; c < min(a.ci, c0 + NR); c += 4) {
        join(cut.parts, partBytes, at(sums, (o - o0) * NR + c - c0), step);
        for (let i = 0; i < min(4, a.ci - c); i++) {
          const out = at(a.dweight, (o * a.ci + c + i) * 9);
          for (let t = 0; t < 9; t++) store<f32>(at(out, t), load<f32>(at(workspace + WEIGHTS, t * 4 + i)));
        }
      }
    }
  }
}
