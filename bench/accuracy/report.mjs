// Rows to text: tables for the terminal, Markdown for docs/accuracy.md.
import { EPS } from "./cases.mjs";
import { QUANTITIES, VERDICTS } from "./judge.mjs";

const decimals = (value) => (value === 0 ? "0" : Number.isFinite(value) ? value.toExponential(1) : "not finite");

function ulpsText(ulps) {
  if (ulps === 0) return "0";
  return ulps < 1000 ? ulps.toFixed(ulps < 10 ? 1 : 0) : ulps.toExponential(0);
}

/** An error with its ulps; a reference of 0 has no ulps. */
function cell(found, isZero) {
  if (found === undefined) return "-";
  const { error, ulps } = found;
  return isZero || !Number.isFinite(ulps) ? decimals(error) : `${decimals(error)} (${ulpsText(ulps)})`;
}

function tableOf(rows, columns) {
  const line = (row) => columns.map(({ name }) => cell(row.errors[name], row.isZero));
  const head = ["input", "layout", ...columns.map(({ title }) => title), "evenkeel is"];
  return [head, ...rows.map((row) => [row.input, row.layout, ...line(row), row.verdict])];
}

const rowsOf = (result, { key }) => result.rows.filter((row) => row.quantity === key);
const count = (rows, verdict) => rows.filter((row) => row.verdict === verdict).length;

/** Per quantity: the largest error of each column in ulps, and how often each verdict was given. */
function summaryOf(result) {
  const head = ["largest error in ulp", ...result.columns.map(({ title }) => title), ...VERDICTS];
  const worst = (rows, name) => {
    const all = rows.filter((row) => !row.isZero && row.errors[name]).map((row) => row.errors[name].ulps);
    if (all.length === 0) return "-";
    const most = Math.max(...all);
    return Number.isFinite(most) ? ulpsText(most) : "not finite";
  };
  const lines = QUANTITIES.map((quantity) => {
    const rows = rowsOf(result, quantity);
    const figures = result.columns.map(({ name }) => worst(rows, name));
    return [quantity.title, ...figures, ...VERDICTS.map((verdict) => String(count(rows, verdict)))];
  });
  return [head, ...lines];
}

/** Versions, layouts, and who is missing or failed. */
function headerLines({ versions, threads, layouts, missing }) {
  return [
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `${threads} threads; ${layouts.map(({ name, shape }) => `${name} [${shape.join(", ")}]`).join(", ")}; eps ${EPS}`,
    ...Object.entries(missing).map(([title, why]) => `missing: ${title} ${why}`),
  ];
}

const noteLines = ({ notes }) => (notes.length > 0 ? notes : ["every participant did every case"]);

function aligned(table, left) {
  const widths = table[0].map((_, i) => Math.max(...table.map((line) => line[i].length)));
  const pad = (text, i) => (left(i, widths.length) ? text.padEnd(widths[i]) : text.padStart(widths[i]));
  return table.map((line) => line.map(pad).join("  ").trimEnd());
}

const isText = (i, length) => i < 2 || i === length - 1;
const isFirst = (i) => i === 0;

/** What a run ends with: verdicts counted, and each row that is worse. */
export function conclusion({ rows }) {
  const counts = VERDICTS.map((verdict) => `${count(rows, verdict)} ${verdict}`);
  return `${rows.length} rows: ${counts.join(", ")}`;
}

export function terminal(result) {
  const parts = QUANTITIES.map((quantity) => {
    const table = tableOf(rowsOf(result, quantity), result.columns);
    return [`${quantity.title} (${quantity.unit}; in brackets: ulp)`, ...aligned(table, isText)];
  });
  const summary = aligned(summaryOf(result), isFirst);
  return [headerLines(result), ...parts, noteLines(result), summary, [conclusion(result)]]
    .map((part) => part.join("\n"))
    .join("\n\n");
}

const INTRODUCTION = `# Accuracy

Written by \`npm run accuracy -- --write-docs\`; do not edit.

## How to reproduce

\`\`\`sh
npm run bench:install                  # once: peers into bench/
npm run accuracy                       # all rows; -- --json for a machine; fails if a row is worse
\`\`\`

How far batch normalization in float32 is from the same computation in float64. The inputs are float32 numbers made once and
passed to every participant bit for bit; the reference computes from them in float64, by plain loops and two passes. x is
offset + std times numbers of mean 0 and variance 1, or one constant; dy has mean 0 and variance 1; γ lies around 1 and β around 0.
Evaluation is given the batch's mean and biased variance, rounded to float32, and its reference starts from these.`;

const READING = `## How to read it

- A cell is the largest error over the tensor in the unit of its table. In brackets is the same error in ulp: divided by the
  distance of neighbouring float32 numbers at the largest |reference| of the tensor. The reference rounded to float32 would have
  0.5 or less. Where the reference is 0 everywhere (a variance or dγ of a constant), the error is absolute and has no ulp.
- The verdict compares ulp: evenkeel is "best" if no other column is below it, "within 2 ulp of the best" if it is at most 2
  above the least, else "worse".
- tfjs trains through \`tf.moments\` and \`tf.batchNorm\`, with gradients by \`tf.grads\`, on its cpu and its wasm backend. Its cpu
  backend computes in JavaScript, so in float64 between stores. jax-js on its wasm backend is there with the mean of squared
  deviations composed from its functions, and with its own \`nn.standardize\`, which takes E[x²] − E[x]²; running values are
  those of its \`mean\` and \`var_\` in both.
- PyTorch picks its kernels by the processor's vector instructions, so the last digits of its column may be others elsewhere.
  evenkeel's do not depend on the machine or on the number of threads.`;

export function markdown(result) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const table = ([head, ...body], left) => [
    line(head),
    line(head.map((_, i) => (left(i, head.length) ? "---" : "---:"))),
    ...body.map(line),
  ];
  const bullets = (lines) => lines.map((text) => `- ${text}`);
  const sections = QUANTITIES.map((quantity) => {
    const rows = tableOf(rowsOf(result, quantity), result.columns);
    return [`## ${quantity.title}`, "", `${quantity.unit} (ulp)`, "", ...table(rows, isText)];
  });
  const parts = [
    [INTRODUCTION],
    [READING],
    ["## Who took part", "", ...bullets(headerLines(result))],
    ["## Summary", "", ...table(summaryOf(result), isFirst), "", `${conclusion(result)}.`],
    ...sections,
    ["## Notes", "", ...bullets(noteLines(result))],
  ];
  return `${parts.map((part) => part.join("\n")).join("\n\n")}\n`;
}
