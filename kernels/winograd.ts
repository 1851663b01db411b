// Convolutions of 3 × 3, stride 1, and their gradient towards the input by Winograd's F(4×4, 3×3): y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A
// for tiles of 4 × 4 outputs, with 36 multiplications where the direct sum takes 144. Summed over channels, the products are
// 36 matrix products [outputs × inputs] · [inputs × tiles]. The planner (src/engine/wasm/schedule-winograd.ts) chooses between
// this and kernels/conv.ts by channels and image size.
//
// A block of tiles is transformed into the workspace, as panels of eight tiles, at most 128 input channels at a time; then strips
// of four output channels are multiplied and transformed back one by one. What a tile gives depends on its own pixels only.
import { Conv2d, Conv2dBackwardInput } from "./generated";
import { madd, MR, NR } from "./gemm";
import { workspace } from "./runtime";
import { chunkOf, stripAt } from "./winograd-pack";
import { BUFFER_BYTES, Grid, MAX_TILES, placeTiles, startOf, TABLE_BYTES, transformColumns, transformRows, ZERO_BYTES } from "./winograd-tiles";
import { outputTransform } from "./winograd-transforms";

/** A convolution seen from its output. Lives in the workspace. */
@unmanaged class Plan extends Grid {
  y: usize; bias: usize; weights: usize;
  images: i32; outChannels: i32; oh: i32; ow: i32;
}

/** Outputs go in so many groups where there is one panel only, or few panels and so many weights that it matters how often they are read. */
const GROUPS: i32 = 8;
const WIDE: i32 = 65536;
const FEW_PANELS: i32 = 32;
/** Bytes of the workspace that hold transformed tiles. */
const TILE_BYTES: usize = 448 << 10;

@inline const PLAN: usize = 0;
@inline const BETWEEN: usize = 256;                    // between the two passes of an output's transform: 4 × 6 vectors
@inline const SPARE: usize = 768;                      // four tiles of an output
@inline const TARGETS: usize = 1024;                   // of each tile: its place in y, and how many rows and columns exist
@inline const TABLE: usize = TARGETS + 64 * 12;
@inline const ZEROS: usize = TABLE + TABLE_BYTES;
@inline const BUFFER: usize = ZEROS + ZERO_BYTES;
@inline const SUMS: usize = BUFFER + BUFFER_BYTES;     // products of a strip: [36][MR][tiles]
@inline const TILES: usize = SUMS + 36 * MR * 64 * 4;  // transformed tiles: [36][panels][inputs][NR]

@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

// ---- tiles -------------------------------------------------------------------------------------------------------

/** Where the tiles of a block go in channel 0 of the output. */
function placeTargets(p: Plan, first: i32, count: i32): void {
  const perImage = p.tileRows * p.tileColumns;
  for (let i = 0; i < count; i++) {
    const tile = first + i, image = tile / perImage, row = ((tile % perImage) / p.tileColumns) * 4, column = (tile % p.tileColumns) * 4;
    const target = workspace + TARGETS + (<usize>i) * 12;
    store<usize>(target, p.y + ((((<usize>image) * (<usize>p.outChannels) * (<usize>p.oh) + <usize>row) * (<usize>p.ow) + <usize>column) << 2));
    store<i32>(target, min(4, p.oh - row), 4);
    store<i32>(target, min(4, p.ow - column), 8);
  }
}

/** Transforms kc channels from c0 on of a block of tiles into panels. */
function transformTiles(p: Plan, c0: i32, kc: i32, count: i32, runs: i32, step: usize): void {
  const table = workspace + TABLE, plane = ((<usize>p.h) * (<usize>p.w)) << 2;
  for (let c = 0; c < kc; c++) {
    transformColumns(table, runs, 6, (<usize>(c0 + c)) * plane, 0, workspace + ZEROS);
    let to = workspace + TILES + ((<usize>c) << 5);
    for (let i = 0; i < count; i += 4) {
      // Lanes without a tile repeat the last one; they are not stored in the end.
      const last = count - 1;
      transformRows(6, startOf(table, i), startOf(table, min(last, i + 1)), startOf(table, min(last, i + 2)), startOf(table, min(last, i + 3)), 0, 6, to, step);
      to += i & 4 ? ((<usize>kc) << 5) - 16 : 16;
    }
  }
}

/** Products of a strip with all panels at each of the 36 positions. */
function multiplyStrip(kc: i32, panels: i32, strip: usize, tiles: usize, step: usize): void {
  const stride = (<usize>panels) << 5, next = (<usize>kc) << 4;
  let sums = workspace + SUMS;
  for (let position = 0; position < 36; position++, strip += next, tiles += step, sums += 3 * stride) {
    let b = tiles;
    for (let panel = 0; panel < panels; panel++, sums += 32) {
      let a = strip, c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
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
      let c = sums;
      v128.store(c, c00);
      v128.store(c, c01, 16);
      c += stride;
      v128.store(c, c10);
      v128.store(c, c11, 16);
      c += stride;
      v128.store(c, c20);
      v128.store(c, c21, 16);
      c += stride;
      v128.store(c, c30);
      v128.store(c, c31, 16);
    }
  }
}

// ---- output ------------------------------------------------------------------------------------------------------

/** Stores a row of four outputs of which `columns` exist, on top of what is there if `add`. */
@inline function storeRow(to: usize, v: v128, columns: i32, add: bool): void {
  if (columns == 4) {
    v128.store(to, add ? f32x4.add(v128.load(to), v) : v);
    return;
  }
  const spare = workspace + SPARE;
  v128.store(spare, v);
  for (let j = 0; j < columns; j++) store<f32>(at(to, j), add ? load<f32>(at(to, j)) + load<f32>(at(spare, j)) : load<f32>(at(spare, j)));
}

/** Transforms the sums of four tiles, from `tile` on, of one output channel, and stores those that exist. */
function storeTiles(p: Plan, sums: usize, step: usize, tile: i32, count: i32, plane: usize, bias: v128, add: bool): void {
  const between = workspace + BETWEEN, turned = between;
  for (let j: usize = 0; j < 6; j++) outputTransform(sums + j * step, 6 * step, between + 16 * j, 96);
  const t0 = workspace + TARGETS + (<usize>tile) * 12, pitch = (<usize>p.ow) << 2, tiles = min(4, count - tile);
  for (let i = 0; i < 4; i++) {
    // The four results take the place of the first four of the row that they come from.
    const row = turned + (<usize>i) * 96;
    outputTransform(row, 16, row, 16);
    const r0 = f32x4.add(v128.load(row), bias), r1 = f32x4.add(v128.load(row, 16), bias);
    const r2 = f32x4.add(v128.load(row, 32), bias), r3 = f32x4.add(v128.load(row, 48), bias);
    const a = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
    const c = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7), d = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7), skip = plane + (<usize>i) * pitch;
    if (i < load<i32>(t0, 4)) storeRow(load<usize>(t0) + skip, v128.shuffle<i64>(a, b, 0, 2), load<i32>(t0, 8), add);
    if (tiles > 1 && i < load<i32>(t0, 16)) storeRow(load<usize>(t0, 12) + skip, v128.shuffle<i64>(a, b, 1, 3), load<i32>(t0, 20), add);
    if (tiles > 2 && i < load<i32>(t0, 28)) storeRow(load<usize>(t0, 24) + skip, v128.shuffle<i64>(c, d, 0, 2), load<i32>(t0, 32), add);
    if (tiles > 3 && i < load<i32>(t0, 40)) storeRow(load<usize>(t0, 36) + skip, v128.shuffle<i64>(c, d, 1, 3), load<i32>(t0, 44), add);
  }
}

/** Strips [strip0, strip1) of outputs for panels [from, to) of tiles. */
function convolve(p: Plan, strip0: i32, strip1: i32, from: i32, to: i32): void {
  const inputs = p.channels, chunk = chunkOf(inputs), strips = (p.outChannels + MR - 1) / MR;
  const total = p.images * p.tileRows * p.tileColumns, most = max(1, min(MAX_TILES / NR, <i32>(TILE_BYTES / ((<usize>chunk) * 36 * NR * 4 + 36 * 64))));
  const plane = ((<usize>p.oh) * (<usize>p.ow)) << 2;
  for (let panel = from; panel < to; panel += most) {
    const first = panel * NR, panels = min(most, to - panel), count = min(panels * NR, total - first);
    const runs = placeTiles(p, first, count, workspace + TABLE, workspace + BUFFER, 1);
    placeTargets(p, first, count);
    for (let c0 = 0; c0 < inputs; c0 += chunk) {
      // A cache line more than the panels take, so that the 36 positions do not all fall on the same lines of the cache.
      const kc = min(chunk, inputs - c0), step = (((<usize>panels) * (<usize>kc)) << 5) + 64;
      transformTiles(p, c0, kc, count, runs, step);
      for (let strip = strip0; strip < strip1; strip++) {
        multiplyStrip(kc, panels, stripAt(p.weights, c0, kc, strips, strip), workspace + TILES, step);
        for (let i = 0; i < min(MR, p.outChannels - strip * MR); i++) {
          const channel = strip * MR + i, bias = p.bias && c0 == 0 ? v128.load32_splat(at(p.bias, channel)) : f32x4.splat(0);
          for (let tile = 0; tile < count; tile += 4) {
            storeTiles(p, at(workspace + SUMS, i * panels * NR + tile), ((<usize>panels) << 5) * MR, tile, count, (<usize>channel) * plane, bias, c0 > 0);
          }
        }
      }
    }
  }
}

/** Unit: a panel of NR tiles for one group of strips; groups are outermost (also in src/engine/wasm/schedule-winograd.ts). */
function convolveUnits(p: Plan, from: i32, to: i32): void {
  p.tileRows = (p.oh + 3) >> 2;
  p.tileColumns = (p.ow + 3) >> 2;
  p.reach = 6;
  memory.fill(workspace + ZEROS, 0, ZERO_BYTES);
  const strips = (p.outChannels + MR - 1) / MR, panels = (p.images * p.tileRows * p.tileColumns + NR - 1) / NR;
  const isWide = p.channels * p.outChannels >= WIDE, groups = panels == 1 || (isWide && panels < FEW_PANELS) ? min(GROUPS, strips) : 1;
  for (let unit = from; unit < to; ) {
    // Whole groups go together, so that tiles are transformed once.
    const group = unit / panels, panel = unit % panels, whole = panel == 0 ? (to - unit) / panels : 0;
    const end = whole > 0 ? panels : min(panels, panel + to - unit), next = group + max(1, whole);
    convolve(p, strips * group / groups, strips * next / groups, panel, end);
    unit = next * panels - panels + end;
  }
}

export function conv2dWinograd(a: Conv2d, from: i32, to: i32): void {
  const p = changetype<Plan>(workspace + PLAN);
  p.x = a.x; p.y = a.y; p.bias = a.bias; p.weights = a.scratch; p.images = a.n;
  p.channels = a.ci; p.h = a.h; p.w = a.w; p.outChannels = a.co; p.oh = a.oh; p.ow = a.ow;
  p.pad = a.ph; p.padW = a.pw;
  convolveUnits(p, from, to);
}

export function conv2dBackwardInputWinograd(a: Conv2dBackwardInput, from: i32, to: i32): void {
  const p = changetype<Plan>(workspace + PLAN);
  p.x = a.dy; p.y = a.dx; p.bias = 0; p.weights = a.scratch; p.images = a.n;
  p.channels = a.co; p.h = a.oh; p.w = a.ow; p.outChannels = a.ci; p.oh = a.h; p.ow = a.w;
  p.pad = 2 - a.ph; p.padW = 2 - a.pw;
  convolveUnits(p, from, to);
}
