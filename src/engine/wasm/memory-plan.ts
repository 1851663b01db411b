/** A piece of memory that is needed during calls `from` to `to`, both included. */
export interface Block {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** Blocks begin at multiples of a cache line, which no two threads should share. */
const ALIGNMENT = 64;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * Places blocks in one area so that those that are needed at the same time do not overlap: the largest first, each in the
 * smallest gap that holds it.
 *
 * @returns the offset of each block, and the bytes of the whole area
 * @see Pisarchyk & Lee 2020, "Efficient memory management for deep neural net inference", greedy by size
 */
export function planMemory(blocks: readonly Block[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(blocks.length).fill(0);
  const order = blocks.map((_, i) => i).sort((a, b) => blocks[b]!.bytes - blocks[a]!.bytes || a - b);
  /** Blocks that have their place, by offset. */
  const placed: number[] = [];
  let total = 0;
  for (const i of order) {
    const block = blocks[i]!;
    const size = aligned(block.bytes);
    const offset = findGap(
      placed.filter((other) => overlaps(blocks[other]!, block)),
      blocks,
      offsets,
      size,
    );
    offsets[i] = offset;
    const next = placed.findIndex((other) => offsets[other]! > offset);
    placed.splice(next < 0 ? placed.length : next, 0, i);
    total = Math.max(total, offset + size);
  }
  return { offsets, bytes: total };
}

function overlaps(a: Block, b: Block): boolean {
  return a.from <= b.to && b.from <= a.to;
}

/** The start of the smallest gap between `neighbours` (by offset) that has `size` bytes; behind all of them if none has. */
function findGap(neighbours: readonly number[], blocks: readonly Block[], offsets: readonly number[], size: number): number {
  let best = -1;
  let bestSize = Infinity;
  let end = 0;
  for (const i of neighbours) {
    const gap = offsets[i]! - end;
    if (gap >= size && gap < bestSize) {
      best = end;
      bestSize = gap;
    }
    end = Math.max(end, offsets[i]! + aligned(blocks[i]!.bytes));
  }
  return best < 0 ? end : best;
}
