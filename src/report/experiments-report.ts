// The page of all experiments: what was claimed, what came out, and how to run it again.
import { experimentChart } from "../charts/experiment-figure.js";
import { renderChart } from "../charts/svg.js";
import { CHART_SIZES } from "../charts/theme.js";
import type { ExperimentRecord, MetricRecord } from "../experiments/experiment-record.js";
import type { Figure } from "../experiments/figure.js";
import { EXPERIMENTS_STYLE } from "./experiments-style.js";
import { formula } from "./formula.js";
import { type Html, html, trusted } from "./html.js";
import { formatSeconds } from "./numbers.js";
import { STYLE } from "./style.js";
import { intervalText, shortNumber, valueText, verdictWord } from "./verdicts.js";

/** The policy forbids what the page does not need: scripts, and anything from elsewhere. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const DATA_NAMES = { mnist: "MNIST", fashion: "Fashion-MNIST" } as const;

/** The records of one experiment: on each data set the full one, or the quick one where there is no other. */
interface Section {
  id: string;
  records: readonly ExperimentRecord[];
}

/**
 * One self-contained HTML page on the records of experiments: no script, no external resource, light and dark, for a phone, a
 * wide screen and paper. Text from records is escaped. The same records give the same page.
 *
 * @param records in any order; at least one
 */
export function renderExperimentsReport(records: readonly ExperimentRecord[]): string {
  const sections = sectionsOf(records);
  const title = "What batch normalization does: the experiments";
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>${title} · evenkeel</title>
<style>${trusted(STYLE)}${trusted(EXPERIMENTS_STYLE)}</style>
</head>
<body>
<main>
${header(records, title)}
${verdictTable(sections)}
${sections.map(section)}
</main>
</body>
</html>
`.text;
}

const number = (id: string) => Number(id.replace(/\D/g, ""));
const anchor = ({ id, plan }: ExperimentRecord) => `${id.toLowerCase()}-${plan.data}`;

/** In the order of their numbers; of two records of one data set the full one, then the longer, then the later. */
function sectionsOf(records: readonly ExperimentRecord[]): Section[] {
  const best = new Map<string, ExperimentRecord>();
  const rank = ({ plan, finished }: ExperimentRecord) =>
    `${plan.mode === "full" ? 1 : 0}${plan.paper ? 1 : 0}${String(plan.seeds.length).padStart(4, "0")}${finished}`;
  for (const record of records) {
    const known = best.get(anchor(record));
    if (known === undefined || rank(record) > rank(known)) best.set(anchor(record), record);
  }
  const ids = [...new Set([...best.values()].map(({ id }) => id))].sort((a, b) => number(a) - number(b));
  return ids.map((id) => ({
    id,
    records: [...best.values()]
      .filter((record) => record.id === id)
      .sort((a, b) => (a.plan.data === b.plan.data ? 0 : a.plan.data === "mnist" ? -1 : 1)),
  }));
}

function header(records: readonly ExperimentRecord[], title: string): Html {
  const count = (word: string) => records.filter(({ verdict }) => verdict === word).length;
  const quick = records.filter(({ plan }) => plan.mode === "quick").length;
  const days = [...new Set(records.map(({ finished }) => finished.slice(0, 10)))].sort();
  const seconds = records.reduce((sum, { started, finished }) => sum + (Date.parse(finished) - Date.parse(started)) / 1000, 0);
  const versions = [...new Set(records.map(({ versions }) => versions.evenkeel))].join(", ");
  const span = days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0];
  return html`<header>
    <p class="kicker">evenkeel report · ${span} · evenkeel ${versions}</p>
    <h1>${title}</h1>
    <p class="lead">Each experiment is a claim with a criterion that was fixed beforehand and can fail. ${count("PASS")} passed,
      ${count("FAIL")} failed, ${count("INCONCLUSIVE")} cannot tell; the others report and judge nothing${
        quick > 0 && `, ${quick} of them because they are quick runs`
      }. Running took ${formatSeconds(seconds)}.</p>
    <p class="soft">Intervals are 95 % intervals of the mean over paired seeds (Student’s t). PASS: the whole interval meets the criterion. FAIL: the
      whole interval misses it. INCONCLUSIVE: these runs cannot tell. Metrics called exploratory decide nothing.</p>
  </header>`;
}

/** Controls decide with the primary metric: those that did not pass. */
function missedControls({ metrics }: ExperimentRecord): Html[] {
  return metrics
    .filter(({ role, verdict }) => role === "control" && verdict !== undefined && verdict !== "PASS")
    .map(({ name, verdict }) => html`<br><span class="soft">control, ${name}: ${verdict}</span>`);
}

const primaryOf = ({ metrics }: ExperimentRecord) => metrics.find(({ role }) => role === "primary");

function badge(record: ExperimentRecord): Html {
  const { word, mark, kind } = verdictWord(record);
  return html`<span class="verdict ${kind}"><span aria-hidden="true">${mark}</span> ${word}</span>`;
}

function verdictTable(sections: readonly Section[]): Html {
  const rows = sections.flatMap(({ records }) =>
    records.map((record) => {
      const primary = primaryOf(record);
      return html`<tr>
        <th scope="row"><a href="#${anchor(record)}">${record.id}</a></th>
        <td class="name" data-label="Experiment">${record.title}${record.plan.data === "fashion" && html` <span class="soft">(${DATA_NAMES.fashion})</span>`}</td>
        <td data-label="Verdict">${badge(record)}</td>
        <td class="words" data-label="Primary metric">${primary === undefined ? html`<span class="soft">report only</span>` : html`${primary.name}: <strong>${valueText(primary)}</strong> ${intervalText(primary)}`}${missedControls(record)}</td>
        <td class="words" data-label="Criterion">${primary?.criterion ?? "–"}</td>
        <td class="words soft" data-label="In a trial">${record.exploratory}</td>
      </tr>`;
    }),
  );
  return html`<section><h2>Verdicts</h2><div class="scroll"><table class="verdicts">
    <caption>Seeds ${seedWords(sections)}. “In a trial” is what an exploratory run in another implementation, on seeds 0 to 2, had given.</caption>
    <thead><tr><th scope="col">Id</th><th scope="col">Experiment</th><th scope="col">Verdict</th><th scope="col">Primary metric, 95 % interval</th><th scope="col">Criterion</th><th scope="col">In a trial</th></tr></thead>
    <tbody>${rows}</tbody></table></div></section>`;
}

function seedWords(sections: readonly Section[]): string {
  const lists = sections.flatMap(({ records }) => records.map(({ plan }) => plan.seeds.join(", ")));
  return [...new Set(lists)].join("; or ");
}

function section({ id, records }: Section): Html {
  const [first] = records as [ExperimentRecord];
  return html`<section class="experiment" id="${id.toLowerCase()}">
    <p class="kicker">${id}</p>
    <h2>${first.title}</h2>
    <p class="claim"><strong>Claim.</strong> ${first.claim}</p>
    <p class="soft">${first.source}</p>
    ${first.formulas.map((tex) => html`<div class="formula">${formula(tex)}</div>`)}
    <p><strong>What would refute it.</strong> ${first.refutedBy}</p>
    ${records.map((record) => outcome(record, records.length > 1))}
    <p><strong>What it shows.</strong> ${first.shows}</p>
    <p><strong>What it does not show.</strong> ${first.doesNotShow}</p>
    <details><summary>Setting, changes, and how to run it again</summary>
      <p>${first.setting}</p>
      ${first.changes.length > 0 && html`<p>Changes of settings: </p><ul>${first.changes.map((change) => html`<li>${change}</li>`)}</ul>`}
      <p>In a trial: ${first.exploratory}.</p>
      ${records.map((record) => html`<pre>${command(record)}</pre>`)}
    </details>
  </section>`;
}

function command({ id, plan }: ExperimentRecord): string {
  const isUsual = plan.seeds.every((seed, i) => seed === 100 + i) && plan.seeds.length === (plan.mode === "full" ? 5 : 2);
  return [
    `evenkeel run ${id}`,
    plan.data === "fashion" && "--data fashion",
    plan.mode === "quick" && "--quick",
    plan.paper && "--paper",
    !isUsual && `--seeds ${plan.seeds.length}`,
  ]
    .filter(Boolean)
    .join(" ");
}

function outcome(record: ExperimentRecord, isOneOfMany: boolean): Html {
  const { plan, finding, figures, versions, started, finished } = record;
  const minutes = formatSeconds((Date.parse(finished) - Date.parse(started)) / 1000);
  return html`<div class="outcome" id="${anchor(record)}">
    ${isOneOfMany && html`<h3>On ${DATA_NAMES[plan.data]}</h3>`}
    <p>${badge(record)} ${finding}</p>
    ${plan.mode === "quick" && html`<p class="notice"><strong>Quick run.</strong> A few steps on ${plan.seeds.length} seeds: it shows the shape of a result, and gives no verdict.</p>`}
    ${figures.map((figure) => figureHtml(figure, record))}
    ${metricTable(record)}
    <p class="soft small">${DATA_NAMES[plan.data]}, seeds ${plan.seeds.join(", ")}${plan.paper && ", the paper’s number of steps"}; ${record.jobs} jobs in ${minutes}, ${finished.slice(0, 10)}; evenkeel ${versions.evenkeel}, Node ${versions.node}${versions.deterministic && ", deterministic kernels"}.</p>
  </div>`;
}

function figureHtml(figure: Figure, { plan }: ExperimentRecord): Html {
  const chart = experimentChart({ ...figure, name: `${figure.name}-${plan.data}` });
  const drawings = CHART_SIZES.map((size) => ({ size, svg: renderChart(chart, size) }));
  // Alone it needs the namespace, and the paper and ink that the page gives it here.
  const wide = drawings
    .at(-1)!
    .svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" color="#1b1d1f" ')
    .replace('style="', 'style="background:#fff;');
  const file = `data:image/svg+xml,${encodeURIComponent(wide)}`;
  return html`<figure id="${figure.name}-${plan.data}"><p class="figure-title">${figure.title}</p>
    ${drawings.map(({ size, svg }) => trusted(svg.replace('class="chart', `class="${size.name} chart`)))}
    <figcaption><p>${figure.caption} <a class="save" download="${figure.name}-${plan.data}.svg" href="${file}">Save as SVG</a></p></figcaption></figure>`;
}

/** More exploratory metrics than this are folded away. */
const SHOWN = 6;

function metricTable({ metrics, plan }: ExperimentRecord): Html {
  const judged = metrics.filter(({ role }) => role !== "exploratory");
  const others = metrics.filter(({ role }) => role === "exploratory");
  const isLong = others.length > SHOWN;
  const seeds = metrics.map(
    ({ name, values }) =>
      html`<tr><th scope="row">${name}</th><td>${values.map((value) => shortNumber(value)).join(" · ")}</td></tr>`,
  );
  return html`${(judged.length > 0 || !isLong) && table(isLong ? judged : metrics, `What was measured, n = ${plan.seeds.length}`)}
    ${isLong && html`<details><summary>${others.length} exploratory metrics, which decide nothing</summary>${table(others, `n = ${plan.seeds.length}`)}</details>`}
    <details><summary>The value of each seed</summary><div class="scroll"><table class="seeds"><tbody>${seeds}</tbody></table></div></details>`;
}

function table(metrics: readonly MetricRecord[], caption: string): Html {
  const rows = metrics.map(
    (metric) => html`<tr class="${metric.role}">
      <th scope="row">${metric.name}</th>
      <td>${valueText(metric)}</td>
      <td>${intervalText(metric)}</td>
      <td class="${metric.criterion === undefined ? "none" : "criterion"}">${metric.criterion ?? "–"}${metric.verdict !== undefined && html` · ${metric.verdict}`}</td>
      <td>${metric.role}</td>
    </tr>`,
  );
  return html`<div class="scroll"><table class="metrics">
      <caption>${caption}</caption>
      <thead><tr><th scope="col">Metric</th><th scope="col">Estimate</th><th scope="col">95 % interval</th><th scope="col">Criterion</th><th scope="col">Role</th></tr></thead>
      <tbody>${rows}</tbody></table></div>`;
}
