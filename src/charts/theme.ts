import type { ArmName } from "../experiments/record.js";

/** A width that a chart is drawn for. A page holds one drawing per size and shows the one that fits. */
export interface ChartSize {
  readonly name: "narrow" | "medium" | "wide";
  /** Width of the drawing in its own pixels. */
  readonly width: number;
  /** Size of all text; scaled down to the least width a size is shown at, it stays at 11 px or more. */
  readonly fontSize: number;
  /** Shown from this width of the figure on, in CSS pixels. */
  readonly from: number;
}

export const CHART_SIZES: readonly ChartSize[] = [
  { name: "narrow", width: 350, fontSize: 12, from: 0 },
  { name: "medium", width: 620, fontSize: 14, from: 500 },
  { name: "wide", width: 880, fontSize: 14, from: 700 },
];

/**
 * Colours as CSS variables, each with its light value as fallback, so that a drawing also works on its own.
 * Blue and vermillion of Okabe & Ito (2008), which people with any colour vision can tell apart; the dark values are
 * lighter tones of the same hues. `ink` is for text in that colour: 4.5 : 1 against the page in both schemes.
 */
export const ARM_COLOURS: Readonly<Record<ArmName, { line: string; ink: string }>> = {
  plain: { line: "var(--chart-plain, #0072b2)", ink: "var(--chart-plain-ink, #00619a)" },
  "batch-norm": { line: "var(--chart-norm, #d55e00)", ink: "var(--chart-norm-ink, #a94a00)" },
};
export const GRID = "var(--chart-grid, #e3e3e0)";
export const MUTED = "var(--chart-muted, #5f6368)";
export const PAPER = "var(--chart-paper, #ffffff)";

/** The variables for a page, light and dark. */
export const CHART_CSS = {
  light:
    "--chart-plain:#0072b2;--chart-plain-ink:#00619a;--chart-norm:#d55e00;--chart-norm-ink:#a94a00;" +
    "--chart-grid:#e3e3e0;--chart-muted:#5f6368;--chart-paper:#ffffff",
  dark:
    "--chart-plain:#56b4e9;--chart-plain-ink:#7cc5f0;--chart-norm:#f0803c;--chart-norm-ink:#f59a62;" +
    "--chart-grid:#32363b;--chart-muted:#a3a9b0;--chart-paper:#16181b",
} as const;

/** What people read instead of the names in the record. */
export const ARM_LABELS: Readonly<Record<ArmName, string>> = { plain: "plain", "batch-norm": "batch norm" };
