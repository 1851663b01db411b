import type { ExperimentRecord } from "../../src/experiments/experiment-record.js";
import type { DotsFigure, Figure, HeatFigure, LinesFigure } from "../../src/experiments/figure.js";

const words = (name: string) => ({ name, title: `Title of ${name}`, description: `What ${name} shows.`, caption: "n = 5." });

/** Lines in two panels, with a band, a gap, a bundle, a dashed law and a rule. */
export const lines: LinesFigure = {
  kind: "lines",
  ...words("some-lines"),
  x: { label: "step" },
  y: { label: "loss" },
  series: [
    {
      label: "none",
      role: "plain",
      panel: "one",
      points: [
        [1, 2, 1.5, 2.5],
        [2, null, null, null],
        [3, 1, 0.8, 1.2],
      ],
    },
    {
      label: "BatchNorm",
      role: "batch-norm",
      panel: "two",
      points: [
        [1, 0.1],
        [2, 0.2],
        [3, 0.3],
      ],
    },
    {
      label: "LayerNorm",
      role: "layer-norm",
      panel: "two",
      points: [
        [1, 0.4],
        [3, 0.1],
      ],
    },
    {
      label: "law",
      role: "theory",
      dashed: true,
      panel: "two",
      points: [
        [1, 1],
        [3, 0.5],
      ],
    },
    ...Array.from({ length: 10 }, (_, i): LinesFigure["series"][number] => ({
      label: "unit",
      role: "other",
      panel: "one",
      points: [
        [1, i],
        [3, i + 1],
      ],
    })),
  ],
  rules: [
    { axis: "y", value: 0.5, label: "counts as trained" },
    { axis: "x", value: 2, label: "here" },
  ],
};

export const dots: DotsFigure = {
  kind: "dots",
  ...words("some-dots"),
  x: { label: "accuracy, %" },
  rows: [
    { label: "none", role: "plain", group: "clean", estimate: 90, low: 88, high: 92, values: [89, 91] },
    { label: "BatchNorm", role: "batch-norm", group: "clean", estimate: 95, low: null, high: null },
    { label: "diverged", role: "other", group: "noise", estimate: null, low: null, high: null, values: [null, 3] },
  ],
  rules: [{ axis: "x", value: 10, label: "chance" }],
};

export const heat: HeatFigure = {
  kind: "heat",
  ...words("some-heat"),
  x: { label: "σ", values: ["0.1", "1"] },
  y: { label: "arm", values: ["none", "BatchNorm"] },
  scale: { label: "accuracy", from: 10, to: 100 },
  cells: [
    [11.36, null],
    [97.25, 64],
  ],
};

export const allFigures: readonly Figure[] = [lines, dots, heat];

/** A record with something in every field. */
export function fakeExperiment(changes: Partial<ExperimentRecord> = {}): ExperimentRecord {
  return {
    kind: "experiment",
    schemaVersion: 1,
    id: "E2",
    title: "How fast dare you go?",
    claim: "It trains faster.",
    source: "Somebody 2015",
    refutedBy: "A small window.",
    setting: "A small network.",
    shows: "The window.",
    doesNotShow: "Why.",
    formulas: ["\\frac{\\sigma}{\\sqrt m}"],
    exploratory: "a window of 300",
    changes: ["2026-01-01: the rate was wrong."],
    plan: { mode: "full", seeds: [100, 101, 102, 103, 104], data: "mnist" },
    verdict: "PASS",
    finding: "The window is 10 times as wide.",
    metrics: [
      {
        name: "width",
        unit: "decades",
        role: "primary",
        estimate: 1.5,
        low: 1.2,
        high: 1.8,
        n: 5,
        criterion: "interval above 1",
        verdict: "PASS",
        values: [1, 2, 1.5, 1.5, 1.5],
      },
      { name: "speed", unit: "times", role: "exploratory", estimate: null, low: null, high: null, n: 5, values: [null, 1] },
    ],
    figures: [...allFigures],
    started: "2026-11-24T10:00:00.000Z",
    finished: "2026-11-24T10:01:30.000Z",
    jobs: 60,
    versions: { evenkeel: "0.1.0", node: "20.0.0", deterministic: true },
    ...changes,
  };
}
