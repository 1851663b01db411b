import type { Markish } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { ArmName } from "../experiments/record.js";
import { ARM_COLOURS, type ChartSize } from "./theme.js";

export interface EndLabel {
  readonly arm: ArmName;
  readonly text: string;
  /** Where the line ends, in data units. */
  readonly x: number;
  readonly y: number;
  /** The same height as a fraction of the frame, 0 at the bottom. */
  readonly level: number;
}

/** Room that labels of so many characters need beside the frame, in a wide font; on narrow drawings they stand above it. */
export function labelMargins(size: ChartSize, characters: number): { marginRight: number; marginTop: number } {
  return size.name === "narrow"
    ? { marginRight: 12, marginTop: 34 }
    : { marginRight: Math.round(14 + 0.68 * size.fontSize * characters), marginTop: 16 };
}

/**
 * Names of lines in their colours: at the lines' ends, moved apart where they would touch, or above the frame on a
 * narrow drawing.
 */
export function endLabels(labels: readonly EndLabel[], frameHeight: number, size: ChartSize): Markish[] {
  if (size.name === "narrow") {
    return labels.map((label, i) =>
      Plot.text([label], {
        text: (d: EndLabel) => `━ ${d.text}`,
        frameAnchor: i === 0 ? "top-left" : "top-right",
        dy: -24,
        fill: ARM_COLOURS[label.arm].ink,
        fontWeight: 600,
      }),
    );
  }
  const gap = (size.fontSize * 1.5) / frameHeight;
  const [a, b] = labels;
  const near = a && b ? Math.max(0, gap - Math.abs(a.level - b.level)) / 2 : 0;
  const upper = a && b && b.level > a.level ? b : a;
  return labels.map((label) =>
    Plot.text([label], {
      x: "x",
      y: "y",
      text: "text",
      textAnchor: "start",
      dx: 10,
      dy: (label === upper ? -near : near) * frameHeight,
      fill: ARM_COLOURS[label.arm].ink,
      fontWeight: 600,
    }),
  );
}
