import type { CompareRecord } from "../experiments/record.js";
import { figures } from "./figures.js";
import { type Html, html, trusted } from "./html.js";
import { formatCount } from "./numbers.js";
import { STYLE } from "./style.js";
import { commandParts } from "./summary.js";
import { articleTable, epochTable, resultTable } from "./tables.js";
import { accuracySentence, DATA_NAMES, headline, limits, notices } from "./words.js";

/** The policy forbids what the page does not need: scripts, and anything from elsewhere. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/**
 * One self-contained HTML page on a comparison: no script, no external resource, light and dark, for a phone, a wide
 * screen and paper. Text from the record is escaped. The same record gives the same page.
 */
export function renderCompareReport(record: CompareRecord): string {
  const title = headline(record);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>${title} · evenkeel</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<main>
${header(record, title)}
<section>${resultTable(record)}</section>
<section><h2>What this run cannot say</h2><ul>${limits(record)}</ul></section>
${figures(record)}
${articleTable(record)}
${reproduction(record)}
</main>
</body>
</html>
`.text;
}

function header(record: CompareRecord, title: string): Html {
  const { hidden, activation, data } = record.config;
  return html`<header>
    <p class="kicker">evenkeel compare · ${DATA_NAMES[data]}${record.data.sample && " (small sample)"} · ${day(record.started)}</p>
    <h1>${title}</h1>
    ${notices(record)}
    <p class="lead">Two networks ${["784", ...hidden, "10"].join("–")} (${activation}) were trained side by side, one with batch normalization
      before each activation. Same initial weights, same batches, one seed. ${accuracySentence(record)}</p>
    <p class="soft">A replay of “Understanding Batch Normalization for Neural Networks” (Towards Data Science, 2020).</p>
  </header>`;
}

function reproduction(record: CompareRecord): Html {
  const { versions, data } = record;
  const rows: [string, string][] = [
    ["Data", `${data.source}: ${formatCount(data.trainImages)} training, ${formatCount(data.testImages)} test images`],
    ["Steps", `${record.stepsPerEpoch} of ${record.config.batch} images per epoch`],
    ["evenkeel", versions.evenkeel],
    ["Node", versions.node],
    ["Engine", `${versions.backend}, ${versions.threads} thread${versions.threads === 1 ? "" : "s"}`],
    ["Started", record.started],
    ["Finished", record.finished],
  ];
  const promise = versions.deterministic
    ? "The run was deterministic: this command gives the same losses, bit for bit, on any machine and with any number of threads."
    : "The run used the fastest kernels of its machine: on another processor the last bits may differ.";
  return html`<section><h2>Repeat it</h2><pre>${commandParts(record.config).map((part) => html`<span>${part}</span> `)}</pre>
    <p>${promise} Times depend on the machine. All numbers are in <code>record.json</code>, beside this page.</p>
    ${epochTable(record)}
    <dl>${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl></section>`;
}

function day(iso: string): string {
  return iso.slice(0, 10);
}
