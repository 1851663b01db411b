import type { KernelArgs } from "../kernels.js";
import type { Plan, Work } from "./plan.js";

type Geometry = Omit<KernelArgs<"conv2d", unknown>, "x" | "weight" | "bias" | "y">;

/** Positions of a transformed tile, which stands for 4 × 4 outputs. */
const POSITIONS = 36;
/** Tile of the matrix product; also in kernels/gemm.ts. */
const MR = 4;
const NR = 8;
/** Fewest channels with which the products outweigh the transforms. */
const MIN_CHANNELS = 8;
const NOTHING: Work = { units: 0, grain: 1 };

const tilesOf = (h: number, w: number): number => Math.ceil(h / 4) * Math.ceil(w / 4);
const upTo = (x: number, step: number): number => Math.ceil(x / step) * step;

/**
 * Whether Winograd's algorithm is used, for images of h × w pixels computed by 3 × 3 weights. It multiplies 36 numbers per tile
 * where the direct sum takes 9 per pixel, so tiles must not be mostly empty: `most` multiplications per pixel are worth it.
 */
export function suitsWinograd(a: Geometry, h: number, w: number, most: number): boolean {
  const is3x3 = a.kh === 3 && a.kw === 3 && a.sh === 1 && a.sw === 1 && a.dh === 1 && a.dw === 1 && a.groups === 1;
  return is3x3 && Math.min(a.ci, a.co) >= MIN_CHANNELS && POSITIONS * tilesOf(h, w) <= most * h * w;
}

/** Groups of strips; also in kernels/winograd.ts. */
const GROUPS = 8;
const WIDE = 65536;
const FEW_PANELS = 32;

/** Phases of a convolution `from` input channels `to` output channels: none of the direct ones, strips of weights, panels of tiles. */
export function winogradConvolution(a: Geometry, from: number, to: number, h: number, w: number): Plan {
  const strips = Math.ceil(to / MR);
  const panels = Math.ceil((a.n * tilesOf(h, w)) / NR);
  const isGrouped = panels === 1 || (from * to >= WIDE && panels < FEW_PANELS);
  return {
    work: [
      NOTHING,
      NOTHING,
      { units: strips, grain: 1 },
      { units: panels * (isGrouped ? Math.min(GROUPS, strips) : 1), grain: 1 },
    ],
    scratch: strips * MR * from * POSITIONS * 4,
  };
}

/** How the gradient towards the weights is cut; also in kernels/winograd-weight.ts. */
const BLOCK = 128;
const UNIT_SUMS = 12288;
const UNITS = 12;
const PART = 2048;
const PARTS = 16;
const MAX_TILES = 64;

/** Phases: none of the direct ones, (part of the tiles, block of channels, rows of positions), tiles of weights. */
export function winogradWeights(a: Geometry): Plan {
  const outBlocks = Math.ceil(a.co / BLOCK);
  const inBlocks = Math.ceil(a.ci / BLOCK);
  const blocks = outBlocks * inBlocks;
  const out = upTo(a.co / outBlocks, MR);
  const into = upTo(a.ci / inBlocks, NR);
  const fit = Math.floor(UNIT_SUMS / (out * into));
  const rows = fit >= 6 ? 6 : fit >= 3 ? 3 : Math.max(1, fit);
  const tiles = a.n * tilesOf(a.oh, a.ow);
  const others = (6 / rows) * blocks;
  const wanted = Math.max(Math.ceil(UNITS / others), Math.min(PARTS, Math.ceil(tiles / PART)));
  const parts = Math.min(Math.ceil(tiles / MAX_TILES), wanted);
  return {
    work: [NOTHING, { units: parts * others, grain: 1 }, { units: (blocks * out * into) / (MR * NR), grain: 4 }],
    scratch: parts * blocks * POSITIONS * out * into * 4,
  };
}
