import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Block, planMemory } from "../../src/engine/wasm/memory-plan.js";

const block = fc
  .record({
    bytes: fc.integer({ min: 0, max: 5000 }),
    from: fc.integer({ min: -1, max: 30 }),
    length: fc.integer({ min: 0, max: 12 }),
  })
  .map(({ bytes, from, length }): Block => ({ bytes, from, to: from + length }));

const round = (bytes: number) => Math.ceil(bytes / 64) * 64;

/** The most bytes that are needed at one time. */
function mostAtOnce(blocks: readonly Block[]): number {
  const times = Array.from({ length: 45 }, (_, i) => i - 1);
  const needed = (t: number) =>
    blocks.filter(({ from, to }) => from <= t && t <= to).reduce((sum, { bytes }) => sum + round(bytes), 0);
  return Math.max(0, ...times.map(needed));
}

describe("planMemory, for any blocks", () => {
  it("lets no two overlap that are needed at the same time, and aligns each to 64 bytes", () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 40 }), (blocks) => {
        const { offsets, bytes } = planMemory(blocks);
        for (const [i, a] of blocks.entries()) {
          expect(offsets[i]! % 64).toBe(0);
          expect(offsets[i]! + a.bytes).toBeLessThanOrEqual(bytes);
          for (const [j, b] of blocks.entries()) {
            if (i >= j || a.to < b.from || b.to < a.from || a.bytes === 0 || b.bytes === 0) continue;
            expect(offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!).toBe(true);
          }
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("needs at most 1.7 times what is needed at one time, and exactly that for a chain", () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 40 }), (blocks) => {
        expect(planMemory(blocks).bytes).toBeLessThanOrEqual(1.7 * mostAtOnce(blocks));
      }),
      { seed: 2, numRuns: 300 },
    );
    const chain = Array.from({ length: 20 }, (_, i): Block => ({ bytes: 640, from: i, to: i + 1 }));
    expect(planMemory(chain).bytes).toBe(1280);
  });
});
