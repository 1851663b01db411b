import type { Markish } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { ArmName, CompareRecord, Distribution } from "../experiments/record.js";
import { ARM_COLOURS, type ChartSize } from "./theme.js";

/** The three places at which first-layer activations are seen, each a panel. */
export const PANEL_IDS = ["plain", "before", "after"] as const;
export type PanelId = (typeof PANEL_IDS)[number];

export interface Panel {
  readonly id: PanelId;
  readonly arm: ArmName;
  readonly heading: string;
  readonly place: string;
  readonly moments: readonly { readonly step: number; readonly values: Distribution }[];
}

/** The panels of a record; moments where nothing was finite are left out. */
export function panelsOf(record: CompareRecord): Panel[] {
  const moments = (arm: ArmName, site: "before" | "after") =>
    (record.arms.find((a) => a.name === arm)?.snapshots ?? []).flatMap((snapshot) => {
      const values = snapshot[site];
      return values && values.percentiles.p50 !== null ? [{ step: snapshot.step, values }] : [];
    });
  return [
    { id: "plain", arm: "plain", heading: "Plain", place: "output of Linear", moments: moments("plain", "before") },
    {
      id: "before",
      arm: "batch-norm",
      heading: "Batch norm",
      place: "output of Linear",
      moments: moments("batch-norm", "before"),
    },
    {
      id: "after",
      arm: "batch-norm",
      heading: "Batch norm",
      place: "after normalization",
      moments: moments("batch-norm", "after"),
    },
  ];
}

/** Panels stand side by side, or below each other on a narrow drawing. */
export function facetOf(size: ChartSize): "fx" | "fy" {
  return size.name === "narrow" ? "fy" : "fx";
}

/** Two lines above each panel: the network, and where in it. */
export function panelHeadings(panels: readonly Panel[], size: ChartSize): Markish[] {
  const facet = facetOf(size);
  const line = size.fontSize * 1.3;
  return panels.flatMap((panel) => {
    const place = { [facet]: "id", frameAnchor: "top-left", textAnchor: "start" } as const;
    return [
      Plot.text([panel], { ...place, text: "heading", dy: -2 * line - 4, fill: ARM_COLOURS[panel.arm].ink, fontWeight: 700 }),
      Plot.text([panel], { ...place, text: "place", dy: -line - 3, fill: "currentColor" }),
    ];
  });
}
