/** Bits of what is frozen in a layer, as it is saved. */
export const STATS = 1;
export const AFFINE = 2;

/** What is wrong with such bits that are to be loaded, for a layer that keeps running statistics or does not; null if nothing. */
export function checkFrozen(keepsStats: boolean): (values: ArrayLike<number>) => string | null {
  return (values) => {
    const bits = values[0]!;
    if (bits < 0 || bits > (STATS | AFFINE)) return `expected 0 to 3, got ${bits}.`;
    if ((bits & STATS) !== 0 && !keepsStats) return "the layer keeps no running statistics that could be frozen.";
    return null;
  };
}
