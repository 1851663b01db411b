import type { Markish, PlotOptions } from "@observablehq/plot";
import * as Plot from "@observablehq/plot";
import type { ArmName, ArmRecord, CompareRecord } from "../experiments/record.js";
import type { Chart } from "./chart.js";
import { type EndLabel, endLabels, labelMargins } from "./end-labels.js";
import { finalWindow, meanOrNull, type Point, pieces, smooth, smoothingWindow, thin } from "./series.js";
import { ARM_COLOURS, ARM_LABELS, type ChartSize, GRID, MUTED, PAPER } from "./theme.js";
import { timeAxis } from "./time-axis.js";

interface LossLine {
  readonly arm: ArmName;
  readonly raw: Point[][];
  readonly smooth: Point[][];
  /** Mean of the last steps, see `finalWindow`. */
  readonly final: number | null;
  /** First step whose loss was not finite. */
  readonly lost: number | undefined;
}

/** Training loss of both arms against the step: every step as a light line, the smoothed course as a strong one. */
export function lossChart(record: CompareRecord): Chart {
  const steps = Math.max(...record.arms.map((arm) => arm.losses.length));
  const window = smoothingWindow(steps);
  const lines = record.arms.map((arm) => lossLine(arm, window, record.stepsPerEpoch));
  return {
    name: "loss",
    title: "Training loss with and without batch normalization",
    description: describe(lines, steps, window),
    plot: (size) => plot(record, lines, steps, size),
  };
}

function lossLine(arm: ArmRecord, window: number, stepsPerEpoch: number): LossLine {
  const lost = arm.losses.indexOf(null);
  return {
    arm: arm.name,
    raw: pieces(arm.losses),
    smooth: smooth(arm.losses, window),
    final: meanOrNull(arm.losses.slice(-finalWindow(arm.losses.length, stepsPerEpoch))),
    lost: lost < 0 ? undefined : lost + 1,
  };
}

function plot(record: CompareRecord, lines: readonly LossLine[], steps: number, size: ChartSize): PlotOptions {
  const height = size.name === "narrow" ? 320 : size.name === "medium" ? 370 : 430;
  const margins = { ...labelMargins(size, 15), marginLeft: 52, marginBottom: 46 };
  const y = lossScale(lines);
  const time = timeAxis(steps, record.stepsPerEpoch, size);
  const frameHeight = height - margins.marginTop - margins.marginBottom;
  return {
    height,
    ...margins,
    x: { domain: time.domain },
    y: { type: y.type, domain: y.domain, clamp: true },
    marks: [
      Plot.gridY(y.ticks, { stroke: GRID, strokeOpacity: 1 }),
      Plot.axisX(time.ticks, {
        tickFormat: time.format,
        label: time.label,
        labelAnchor: "center",
        labelArrow: "none",
        tickSize: 4,
      }),
      Plot.axisY(y.ticks, { tickFormat: String, label: null, tickSize: 0, fill: MUTED }),
      Plot.text([y.type === "log" ? "loss (log scale)" : "loss"], {
        frameAnchor: "top-left",
        dx: 6,
        dy: size.name === "narrow" ? -6 : -14,
        fill: MUTED,
      }),
      ...lines.flatMap((line) => rawMarks(line, size)),
      ...lines.flatMap((line) => smoothMarks(line, size)),
      ...lines.flatMap((line) => lostMarks(line, steps, size)),
      ...endLabels(
        lines.flatMap((line) => lossLabel(line, y, size)),
        frameHeight,
        size,
      ),
    ],
  };
}

function rawMarks(line: LossLine, size: ChartSize): Markish[] {
  return line.raw.map((piece) =>
    Plot.line(thin(piece, size.width / 2), {
      x: "step",
      y: "value",
      stroke: ARM_COLOURS[line.arm].line,
      strokeWidth: 0.8,
      strokeOpacity: 0.32,
    }),
  );
}

function smoothMarks(line: LossLine, size: ChartSize): Markish[] {
  return line.smooth.map((piece) =>
    Plot.line(thin(piece, size.width / 4), { x: "step", y: "value", stroke: ARM_COLOURS[line.arm].line, strokeWidth: 2.2 }),
  );
}

function lostMarks(line: LossLine, steps: number, size: ChartSize): Markish[] {
  if (line.lost === undefined) return [];
  const at = line.raw
    .flat()
    .filter((point) => point.step < (line.lost as number))
    .at(-1);
  if (!at) return [];
  const color = ARM_COLOURS[line.arm];
  const late = at.step > 0.5 * steps;
  const name = size.name === "narrow" ? "" : `${ARM_LABELS[line.arm]}: `;
  return [
    Plot.dot([at], { x: "step", y: "value", symbol: "times", r: 6, stroke: color.line, strokeWidth: 2.5 }),
    Plot.text([at], {
      x: "step",
      y: "value",
      text: () => `${name}not finite from step ${line.lost}`,
      textAnchor: late ? "end" : "start",
      dx: late ? -9 : 9,
      dy: -13,
      fill: color.ink,
      stroke: PAPER,
      strokeWidth: 5,
      fontWeight: 600,
    }),
  ];
}

function lossLabel(line: LossLine, y: LossScale, size: ChartSize): EndLabel[] {
  const end = line.smooth.at(-1)?.at(-1);
  if (!end || (line.lost !== undefined && size.name !== "narrow")) return [];
  const text = line.final === null ? ARM_LABELS[line.arm] : `${ARM_LABELS[line.arm]} ${line.final.toFixed(2)}`;
  const [low, high] = y.domain.map(y.type === "log" ? Math.log : Number) as [number, number];
  return [
    {
      arm: line.arm,
      text,
      x: end.step,
      y: end.value,
      level: ((y.type === "log" ? Math.log(end.value) : end.value) - low) / (high - low),
    },
  ];
}

interface LossScale {
  readonly type: "log" | "linear";
  readonly domain: [number, number];
  readonly ticks: number[];
}

/** Logarithmic where the smoothed losses span a factor of 5 or more, else linear from zero. */
function lossScale(lines: readonly LossLine[]): LossScale {
  const values = lines.flatMap((line) => line.smooth.flat().map((point) => point.value));
  if (values.length === 0) return { type: "linear", domain: [0, 2.5], ticks: [0, 0.5, 1, 1.5, 2, 2.5] };
  const raw = lines.flatMap((line) => line.raw.flat().map((point) => point.value)).sort((a, b) => a - b);
  const low = Math.min(...spanOf(values, "low"), raw[Math.floor(0.002 * raw.length)] as number);
  const high = Math.max(...spanOf(values, "high"), raw[Math.ceil(0.998 * raw.length) - 1] as number);
  const type = low > 0 && high / low >= 5 ? "log" : "linear";
  if (type === "linear") return { type, domain: [0, high * 1.04], ticks: linearTicks(high * 1.04) };
  const domain: [number, number] = [low * 0.92, high * 1.08];
  return { type, domain, ticks: logTicks(domain) };
}

function spanOf(values: readonly number[], end: "low" | "high"): number[] {
  return [values.reduce((a, b) => (end === "low" ? Math.min(a, b) : Math.max(a, b)))];
}

function linearTicks(high: number): number[] {
  const power = 10 ** Math.floor(Math.log10(high));
  const gap = [0.1, 0.2, 0.5, 1].map((digit) => digit * power * 2).find((step) => high / step <= 6) ?? 2 * power;
  return Array.from({ length: Math.floor(high / gap + 1e-9) + 1 }, (_, i) => Number((i * gap).toPrecision(6)));
}

function logTicks([low, high]: [number, number]): number[] {
  const digits = high / low > 1000 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const digit of digits) {
      const tick = Number((digit * 10 ** power).toPrecision(3));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function describe(lines: readonly LossLine[], steps: number, window: number): string {
  const each = lines.map((line) => {
    const first = line.smooth[0]?.[0];
    const last = line.smooth.at(-1)?.at(-1);
    if (!first || !last) return `${ARM_LABELS[line.arm]}: no finite loss`;
    const end = line.lost === undefined ? "" : `, not finite from step ${line.lost}`;
    return `${ARM_LABELS[line.arm]}: from ${first.value.toFixed(2)} to ${last.value.toFixed(2)}${end}`;
  });
  return `Line chart of the training loss over ${steps} steps, smoothed over ${window} steps. ${each.join("; ")}.`;
}
