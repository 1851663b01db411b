import { accuracyChart, accuracyFloor } from "../charts/accuracy.js";
import type { Chart } from "../charts/chart.js";
import { distributionChart } from "../charts/distribution.js";
import { lossChart } from "../charts/loss.js";
import { percentileChart } from "../charts/percentiles.js";
import { smoothingWindow } from "../charts/series.js";
import { renderChart } from "../charts/svg.js";
import { CHART_SIZES } from "../charts/theme.js";
import type { CompareRecord } from "../experiments/record.js";
import { type Html, html, trusted } from "./html.js";
import { formatCount } from "./numbers.js";
import { unitDrift } from "./summary.js";
import { DATA_NAMES, trainedWords } from "./words.js";

/** The figures of a comparison that its record has data for, numbered in order. */
export function figures(record: CompareRecord): Html[] {
  const list: { chart: Chart; says: Html }[] = [];
  if (record.arms.some((arm) => arm.losses.some((loss) => loss !== null))) {
    list.push({ chart: lossChart(record), says: lossCaption(record) });
  }
  if (record.arms.some((arm) => arm.snapshots.some((snapshot) => snapshot.before.percentiles.p50 !== null))) {
    list.push({ chart: distributionChart(record), says: distributionCaption(record) });
    list.push({ chart: percentileChart(record), says: percentileCaption(record) });
  }
  if (record.arms.some((arm) => arm.epochs.length > 1))
    list.push({ chart: accuracyChart(record), says: accuracyCaption(record) });
  return list.map(({ chart, says }, i) => figure(chart, i + 1, says));
}

function figure(chart: Chart, number: number, says: Html): Html {
  const drawings = CHART_SIZES.map((size) =>
    trusted(renderChart(chart, size).replace('class="chart', `class="${size.name} chart`)),
  );
  return html`<section><h2>${chart.title}</h2><figure>${drawings}
    <figcaption><p><strong>Figure ${number}.</strong> ${says}</p></figcaption></figure></section>`;
}

/** What every caption must state: how much, on what, with which batch and seed, how often. */
function conditions(record: CompareRecord): string {
  const { batch, lr, seed, data } = record.config;
  const sample = record.data.sample ? " (small sample)" : "";
  return `${DATA_NAMES[data]}${sample}, ${trainedWords(record)}, batch ${batch}, SGD at ${lr}, seed ${seed}, n = 1.`;
}

function lossCaption(record: CompareRecord): Html {
  const window = smoothingWindow(Math.max(...record.arms.map((arm) => arm.losses.length)));
  const strong = window > 1 ? `strong, smoothed over ${window} steps` : "not smoothed";
  return html`Cross-entropy of each training batch: thin, every step; ${strong}. Both networks start from the same weights and see the same
    batches in the same order. This is the loss in training mode, where batch normalization uses the batch’s own statistics: it says nothing
    about unseen images. ${conditions(record)}`;
}

function distributionCaption(record: CompareRecord): Html {
  return html`Activations of the first hidden layer, all ${unitCount(record)} units together, on ${record.probe.description}, at several
    moments from top to bottom. The bar marks the middle 70% and the circle the median. Each curve is scaled to its own peak, so compare
    widths and positions, not heights; the outermost 0.5% on either side may lie outside. One histogram alone, as in the article, shows no
    shift: a shift is a change over time. And pooled units hide the drift of single ones: that is the next figure. ${conditions(record)}`;
}

function percentileCaption(record: CompareRecord): Html {
  const drift = driftWords(record);
  return html`The same activations over time. Band: 15th to 85th percentile of all units together; strong line: their median; thin
    lines: the median of each of the ${unitCount(record)} units. ${drift} The layer’s inputs are images, which do not change, so this movement
    is the first layer’s own; it does not show what deeper layers receive, nor that stillness is why a network learns faster.
    ${conditions(record)}`;
}

function driftWords(record: CompareRecord): string {
  const [plain, norm] = record.arms;
  const values = [
    unitDrift(plain?.snapshots.map((snapshot) => snapshot.before) ?? []),
    unitDrift(norm?.snapshots.map((snapshot) => snapshot.before) ?? []),
    unitDrift(norm?.snapshots.flatMap((snapshot) => snapshot.after ?? []) ?? []),
  ];
  if (values.some((x) => x === null)) return "";
  const [a, b, c] = values.map((x) => (x as number).toFixed(2));
  return (
    "From snapshot to snapshot, a unit’s median travels this many times the width of its own middle 70% (mean over units): " +
    `${a} in the plain network, ${b} before and ${c} after normalization.`
  );
}

function accuracyCaption(record: CompareRecord): Html {
  return html`Share of the ${formatCount(record.data.testImages)} test images that are classified rightly, in evaluation mode (running statistics), after
    each epoch. ${accuracyFloor(record) > 0 && "The axis does not start at zero. "}The test set chose nothing in this run. ${conditions(record)}`;
}

function unitCount(record: CompareRecord): number {
  return record.config.hidden[0] ?? 0;
}
