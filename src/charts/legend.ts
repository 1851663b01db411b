import type { Markish } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { Role } from "../experiments/figure.js";
import { type ChartSize, ROLE_COLOURS } from "./theme.js";

/** What a line is called, and how it is drawn. */
export interface LegendEntry {
  readonly label: string;
  readonly role: Role;
  readonly dashed: boolean;
}

interface Placed extends LegendEntry {
  readonly row: number;
  /** Distance from the left edge of the frame. */
  readonly left: number;
}

const MARK = { solid: "━━", dashed: "╍╍" };

/** Entries in rows that fit into `width`, in order. */
function place(entries: readonly LegendEntry[], width: number, fontSize: number): Placed[] {
  const placed: Placed[] = [];
  let [row, left] = [0, 0];
  for (const entry of entries) {
    const own = (entry.label.length + 5) * fontSize * 0.63;
    if (left > 0 && left + own > width) [row, left] = [row + 1, 0];
    placed.push({ ...entry, row, left });
    left += own;
  }
  return placed;
}

/** Height of a legend, and its marks, which stand above the frame (of the first panel, if there are several). */
export function legend(
  entries: readonly LegendEntry[],
  { size, width, above, facet }: { size: ChartSize; width: number; above: number; facet: object },
): { height: number; marks: Markish[] } {
  const line = size.fontSize * 1.5;
  const placed = place(entries, width, size.fontSize);
  const rows = 1 + Math.max(-1, ...placed.map(({ row }) => row));
  const marks = placed.map(({ label, role, dashed, row, left }) =>
    Plot.text([0], {
      ...facet,
      text: () => `${dashed ? MARK.dashed : MARK.solid} ${label}`,
      frameAnchor: "top-left",
      textAnchor: "start",
      dx: left,
      dy: -above - (rows - row) * line,
      fill: ROLE_COLOURS[role].ink,
      fontWeight: 600,
    }),
  );
  return { height: rows * line, marks };
}
