// Matrix product. Phase one packs B into panels once for all threads; phase two gives each thread strips of A's rows.
import { edgeTile, KC, MR, NR, packColumns, packRows, tile } from "./gemm";
import { Matmul } from "./generated";
import { workspace } from "./runtime";

/** Strips of A that are packed at a time: 64 KiB, which stay in the L2 cache while the panels of B pass by. */
const STRIPS: i32 = 16;

@inline function panelsOf(n: i32): i32 { return (n + NR - 1) / NR; }
@inline function stripsOf(m: i32): i32 { return (m + MR - 1) / MR; }
@inline function panelBytes(k: i32): usize { return (<usize>k) * NR * 4; }

/** Unit: a panel of B, batch by batch (one batch if B is the same for all). */
export function matmulPack(a: Matmul, from: i32, to: i32): void {
  const panels = panelsOf(a.n);
  for (let unit = from; unit < to; unit++) {
    const batch = unit / panels, column = (unit % panels) * NR, valid = min(NR, a.n - column);
    const b = a.b + ((<usize>batch * <usize>a.bBatch) << 2), out = a.scratch + (<usize>unit) * panelBytes(a.k);
    if (a.transB) packColumns(b + ((<usize>column * <usize>a.k) << 2), (<usize>a.k) << 2, a.k, NR, valid, out);
    else packRows(b + ((<usize>column) << 2), (<usize>a.n) << 2, a.k, NR, valid, out);
  }
}

function packStrip(a: Matmul, batch: i32, row: i32, k0: i32, kc: i32, to: usize): void {
  const base = a.a + ((<usize>batch * <usize>a.aBatch) << 2), valid = min(MR, a.m - row);
  if (a.transA) packRows(base + ((<usize>k0 * <usize>a.m + <usize>row) << 2), (<usize>a.m) << 2, kc, MR, valid, to);
  else packColumns(base + ((<usize>row * <usize>a.k + <usize>k0) << 2), (<usize>a.k) << 2, kc, MR, valid, to);
}

/** Strips [s0, s1) of one batch times all panels. */
function multiplyStrips(a: Matmul, batch: i32, s0: i32, s1: i32): void {
  const panels = panelsOf(a.n), zeros = workspace, spare = workspace + 128, packed = workspace + 256;
  const packedB = a.scratch + (a.bBatch ? <usize>batch * <usize>panels : 0) * panelBytes(a.k), stride = (<usize>a.n) << 2;
  const out = a.y + (((<usize>batch) * (<usize>a.m)) * <usize>a.n << 2), stripBytes = (<usize>KC) * MR * 4;
  memory.fill(zeros, 0, 128);
  for (let k0 = 0; k0 == 0 || k0 < a.k; k0 += KC) {
    const kc = min(KC, a.k - k0);
    for (let s = s0; s < s1; s++) packStrip(a, batch, s * MR, k0, kc, packed + (<usize>(s - s0)) * stripBytes);
    for (let panel = 0; panel < panels; panel++) {
      const column = panel * NR, columns = min(NR, a.n - column);
      const b = packedB + (<usize>panel) * panelBytes(a.k) + ((<usize>k0) * NR << 2);
      for (let s = s0; s < s1; s++) {
        const row = s * MR, rows = min(MR, a.m - row), c = out + (((<usize>row) * (<usize>a.n) + <usize>column) << 2);
        const init = k0 > 0 ? c : a.bias ? a.bias + ((<usize>column) << 2) : zeros, initStride = k0 > 0 ? stride : 0;
        const strip = packed + (<usize>(s - s0)) * stripBytes;
        if (rows == MR && columns == NR) tile(kc, strip, b, c, stride, init, initStride);
        else edgeTile(kc, strip, b, c, stride, init, initStride, rows, columns, spare);
      }
    }
  }
}

/** Unit: a strip of MR rows, batch by batch. */
export function matmul(a: Matmul, from: i32, to: i32): void {
  const strips = stripsOf(a.m);
  for (let unit = from; unit < to; ) {
    const batch = unit / strips, s0 = unit % strips, s1 = min(min(strips, s0 + STRIPS), s0 + to - unit);
    multiplyStrips(a, batch, s0, s1);
    unit += s1 - s0;
  }
}
