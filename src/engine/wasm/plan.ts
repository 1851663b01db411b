/** Work of one call: it computes units [0, units); threads take whole grains of units. Both follow from shapes alone. */
export interface Work {
  units: number;
  grain: number;
}

/** How a kernel is cut: one entry per phase (see phases.ts), and the bytes of scratch memory that its phases share. */
export interface Plan {
  work: readonly Work[];
  scratch: number;
}
