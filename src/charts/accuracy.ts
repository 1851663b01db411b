import type { PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { CompareRecord } from "../experiments/record.js";
import type { Chart } from "./chart.js";
import { endLabels, labelMargins } from "./end-labels.js";
import { ARM_COLOURS, ARM_LABELS, type ChartSize, GRID, MUTED, PAPER } from "./theme.js";
import { timeAxis } from "./time-axis.js";

/** Test accuracy after each epoch, in evaluation mode, of both arms. */
export function accuracyChart(record: CompareRecord): Chart {
  const each = record.arms.map((arm) => {
    const end = arm.epochs.at(-1);
    return `${ARM_LABELS[arm.name]}: ${end ? `${percent(end.testAccuracy)} after epoch ${end.epoch}` : "no epoch finished"}`;
  });
  return {
    name: "accuracy",
    title: "Test accuracy by epoch",
    description: `Line chart of the accuracy on the test set after each epoch, in evaluation mode. ${each.join("; ")}.`,
    plot: (size) => plot(record, size),
  };
}

function plot(record: CompareRecord, size: ChartSize): PlotOptions {
  const height = size.name === "narrow" ? 260 : 300;
  const margins = { ...labelMargins(size, 16), marginLeft: 56, marginBottom: 46 };
  const epochs = Math.max(1, ...record.arms.map((arm) => arm.epochs.length));
  const time = timeAxis(Math.max(2, epochs), 1, size);
  const ticks = percentTicks(record);
  const low = ticks[0] as number;
  const labels = record.arms.flatMap((arm) => {
    const end = arm.epochs.at(-1);
    if (!end) return [];
    const text = `${ARM_LABELS[arm.name]} ${percent(end.testAccuracy)}`;
    return [{ arm: arm.name, text, x: end.epoch, y: end.testAccuracy, level: (end.testAccuracy - low) / (1 - low) }];
  });
  return {
    height,
    ...margins,
    x: { domain: [epochs === 1 ? 0 : 0.5, Math.max(epochs, 1.5)] },
    y: { domain: [low, 1] },
    marks: [
      Plot.gridY(ticks, { stroke: GRID, strokeOpacity: 1 }),
      Plot.axisX(
        time.ticks.filter((tick) => tick >= 1 && tick <= epochs),
        {
          tickFormat: String,
          label: "Epoch",
          labelAnchor: "center",
          labelArrow: "none",
          tickSize: 4,
        },
      ),
      Plot.axisY(ticks, { tickFormat: (x: number) => `${Math.round(100 * x)}%`, label: null, tickSize: 0, fill: MUTED }),
      ...record.arms.flatMap((arm) => {
        const stroke = ARM_COLOURS[arm.name].line;
        return [
          Plot.line(arm.epochs, { x: "epoch", y: "testAccuracy", stroke, strokeWidth: 2 }),
          Plot.dot(arm.epochs, { x: "epoch", y: "testAccuracy", stroke, fill: arm.name === "plain" ? PAPER : stroke, r: 3.2 }),
        ];
      }),
      ...endLabels(labels, height - margins.marginTop - margins.marginBottom, size),
    ],
  };
}

/** Where the vertical axis starts. */
export function accuracyFloor(record: CompareRecord): number {
  return percentTicks(record)[0] as number;
}

/** Three to seven round values from below the lowest accuracy up to 100%. */
function percentTicks(record: CompareRecord): number[] {
  const lowest = Math.min(1, ...record.arms.flatMap((arm) => arm.epochs.map((epoch) => epoch.testAccuracy)));
  const gap = [0.01, 0.02, 0.05, 0.1, 0.2].find((step) => (1 - lowest) / step <= 6) ?? 0.2;
  const rows = Math.max(2, Math.ceil((1 - lowest) / gap - 1e-9));
  return Array.from({ length: rows + 1 }, (_, i) => Number((1 - (rows - i) * gap).toFixed(3)));
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)}%`;
}
