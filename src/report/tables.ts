import { ARM_LABELS } from "../charts/theme.js";
import type { CompareRecord } from "../experiments/record.js";
import { articleRows } from "./article.js";
import { type Html, html } from "./html.js";
import { formatLoss, formatPercent, formatRate, formatSeconds } from "./numbers.js";
import { type ArmSummary, summarize } from "./summary.js";

const COLUMNS = ["Final training loss", "Test accuracy", "Training time", "Images per second"] as const;

/** The result of both arms, one row each. */
export function resultTable(record: CompareRecord): Html {
  const { plain, norm } = summarize(record);
  return html`<table class="arms">
    <caption>Final training loss: mean of the last ${norm.finalWindow === 1 ? "step" : `${norm.finalWindow} steps`}, in training mode. Test accuracy: evaluation mode, at the end.
      Time and speed: training steps only, without evaluation.</caption>
    <thead><tr><th scope="col">Network</th>${COLUMNS.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${[plain, norm].map(resultRow)}</tbody>
  </table>`;
}

function resultRow(arm: ArmSummary): Html {
  const loss =
    arm.finalLoss === null && arm.divergedAt !== null ? `diverged at step ${arm.divergedAt}` : formatLoss(arm.finalLoss);
  const cells = [loss, formatPercent(arm.testAccuracy), formatSeconds(arm.trainSeconds), formatRate(arm.samplesPerSecond)];
  const name = html`<th scope="row" class="${arm.name === "plain" ? "plain" : "norm"}">${ARM_LABELS[arm.name]}</th>`;
  return html`<tr>${name}${cells.map((cell, i) => html`<td data-label="${COLUMNS[i]}">${cell}</td>`)}</tr>`;
}

/** The article's printed losses beside this run's; nothing if the settings differ or no such epoch was trained. */
export function articleTable(record: CompareRecord): Html | null {
  const rows = articleRows(record);
  if (rows.length === 0) return null;
  return html`<section>
    <h2>Beside the article’s numbers</h2>
    <div class="scroll"><table>
      <caption>Mean training loss over batches 41 to 80 of an epoch, as the article printed it. Its run had no seed and drew the initial
        scale γ from [0, 1] instead of 1, which slows its batch norm network down.</caption>
      <thead><tr><th scope="col">Epoch</th><th scope="col">plain, article</th><th scope="col">plain, here</th>
        <th scope="col">batch norm, article</th><th scope="col">batch norm, here</th></tr></thead>
      <tbody>${rows.map(
        ({ epoch, article, here }) => html`<tr><th scope="row">${epoch}</th>
          <td class="soft">${formatLoss(article.plain)}</td><td>${formatLoss(here.plain)}</td>
          <td class="soft">${formatLoss(article.norm)}</td><td>${formatLoss(here.norm)}</td></tr>`,
      )}</tbody>
    </table></div>
  </section>`;
}

/** Every epoch in numbers, folded away. */
export function epochTable(record: CompareRecord): Html | null {
  const [plain, norm] = record.arms;
  const rows = Array.from({ length: Math.max(plain?.epochs.length ?? 0, norm?.epochs.length ?? 0) }, (_, i) => {
    const [a, b] = [plain?.epochs[i], norm?.epochs[i]];
    const cell = (text: string) => html`<td>${text}</td>`;
    const loss = (epoch: typeof a) => cell(formatLoss(epoch?.meanLoss ?? null));
    const accuracy = (epoch: typeof a) => cell(formatPercent(epoch?.testAccuracy ?? null));
    return html`<tr><th scope="row">${i + 1}</th>${loss(a)}${loss(b)}${accuracy(a)}${accuracy(b)}</tr>`;
  });
  if (rows.length === 0) return null;
  return html`<details><summary>The numbers of every epoch</summary><div class="scroll"><table>
    <caption>Mean training loss of the epoch, and test accuracy after it.</caption>
    <thead><tr><th scope="col">Epoch</th><th scope="col">Loss, plain</th><th scope="col">Loss, batch norm</th>
      <th scope="col">Accuracy, plain</th><th scope="col">Accuracy, batch norm</th></tr></thead>
    <tbody>${rows}</tbody></table></div></details>`;
}
