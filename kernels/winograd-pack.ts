// Weights of 3 × 3 convolutions, transformed for Winograd's algorithm (kernels/winograd.ts) and packed in strips of MR outputs.
import { Conv2d, Conv2dBackwardInput } from "./generated";
import { MR, packColumns } from "./gemm";
import { workspace } from "./runtime";
import { weightTransform } from "./winograd-transforms";

/** Most input channels that are summed in one product; the results of further ones are added to the output. */
const CHUNK: i32 = 128;
@inline function at(base: usize, i: i32): usize { return base + ((<usize>i) << 2); }

/** Input channels that go together: at most CHUNK, of about equal size. */
export function chunkOf(inputs: i32): i32 {
  const chunks = (inputs + CHUNK - 1) / CHUNK;
  return (inputs + chunks - 1) / max(1, chunks);
}

/** Address of a strip in packed weights [chunk][strip][36][kc inputs][MR], for the chunk from c0 on. */
@inline export function stripAt(weights: usize, c0: i32, kc: i32, strips: i32, strip: i32): usize {
  return weights + ((<usize>c0) * (<usize>strips) + (<usize>strip) * (<usize>kc)) * 36 * MR * 4;
}

/** Packs strips [from, until); weights of neighbouring outputs lie `lane`, of inputs `next` numbers apart; `run` inputs are taken at a time. */
function packWeights(weight: usize, inputs: i32, outputs: i32, lane: i32, next: i32, flip: bool, run: i32, to: usize, from: i32, until: i32): void {
  const strips = (outputs + MR - 1) / MR, chunk = chunkOf(inputs), taps = workspace, between = taps + 144;
  // Half a turn is the same taps from behind.
  const start = flip ? taps + 8 * 16 : taps, tap: usize = flip ? (<usize>0) - 16 : 16;
  for (let c0 = 0; c0 < inputs; c0 += chunk) {
    const kc = min(chunk, inputs - c0), step = (<usize>kc) << 4;
    for (let c1 = 0; c1 < kc; c1 += run) {
      for (let strip = from; strip < until; strip++) {
        const lanes = min(MR, outputs - strip * MR), base = at(weight, strip * MR * lane);
        for (let c = c1; c < min(kc, c1 + run); c++) {
          const source = at(base, (c0 + c) * next), out = stripAt(to, c0, kc, strips, strip) + ((<usize>c) << 4);
          packColumns(source, (<usize>lane) << 2, 9, MR, lanes, taps);
          for (let j: usize = 0; j < 3; j++) weightTransform(start + j * tap, 3 * tap, between + 16 * j, 48);
          for (let i: usize = 0; i < 6; i++) weightTransform(between + 48 * i, 16, out + 6 * i * step, step);
        }
      }
    }
  }
}

/** Unit: a strip of MR output channels. */
export function conv2dWinogradPack(a: Conv2d, from: i32, to: i32): void {
  packWeights(a.weight, a.ci, a.co, a.ci * 9, 9, false, CHUNK, a.scratch, from, to);
}

/** Unit: a strip of MR input channels, whose weights lie side by side. They are turned by half a turn. */
export function conv2dBackwardInputWinogradPack(a: Conv2dBackwardInput, from: i32, to: i32): void {
  packWeights(a.weight, a.co, a.ci, 9, a.ci * 9, true, 4, a.scratch, from, to);
}
