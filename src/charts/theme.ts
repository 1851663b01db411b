import type { Role } from "../experiments/figure.js";
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
/** The same for every role that a series of an experiment can have: two further hues of Okabe & Ito; grey for what is computed. */
export const ROLE_COLOURS: Readonly<Record<Role, { line: string; ink: string }>> = {
  ...ARM_COLOURS,
  "layer-norm": { line: "var(--chart-layer, #009e73)", ink: "var(--chart-layer-ink, #00735a)" },
  other: { line: "var(--chart-other, #b0568b)", ink: "var(--chart-other-ink, #95406f)" },
  theory: { line: "var(--chart-muted, #5f6368)", ink: "var(--chart-muted, #5f6368)" },
};
export const GRID = "var(--chart-grid, #e3e3e0)";
export const MUTED = "var(--chart-muted, #5f6368)";
export const PAPER = "var(--chart-paper, #ffffff)";

/** The variables for a page, light and dark. */
export const CHART_CSS = {
  light:
    "--chart-plain:#0072b2;--chart-plain-ink:#00619a;--chart-norm:#d55e00;--chart-norm-ink:#a94a00;" +
    "--chart-layer:#009e73;--chart-layer-ink:#00735a;--chart-other:#b0568b;--chart-other-ink:#95406f;" +
    "--chart-grid:#e3e3e0;--chart-muted:#5f6368;--chart-paper:#ffffff",
  dark:
    "--chart-plain:#56b4e9;--chart-plain-ink:#7cc5f0;--chart-norm:#f0803c;--chart-norm-ink:#f59a62;" +
    "--chart-layer:#2fbf95;--chart-layer-ink:#5bd3b0;--chart-other:#d68fb9;--chart-other-ink:#e2a9ca;" +
    "--chart-grid:#32363b;--chart-muted:#a3a9b0;--chart-paper:#16181b",
} as const;

/** What people read instead of the names in the record. */
export const ARM_LABELS: Readonly<Record<ArmName, string>> = { plain: "plain", "batch-norm": "batch norm" };
