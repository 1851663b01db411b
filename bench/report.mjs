// Rows to text: a table for the terminal, Markdown for docs/performance.md.
import { verdicts } from "./targets.mjs";

/** Share of the processors that other programs may take before a row is called unreliable. */
export const DISTURBED = 0.1;

const TITLES = { torch: "PyTorch", tfjs: "tfjs wasm", jax: "jax-js wasm" };

function number(value) {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

const range = ([low, high]) => (number(low) === number(high) ? "" : ` (${number(low)}-${number(high)})`);

/** A median with its spread, and for a peer how many times as fast evenkeel is. */
function cell(row, name) {
  const value = name === "evenkeel" || name === "limit" ? row[name] : row.peers[name];
  if (value === undefined) return "-";
  const text = `${number(value)}${range(row.spread[name])}`;
  if (name === "evenkeel" || !["ms", "s"].includes(row.unit)) return text;
  return `${text} ${name === "limit" ? `${Math.round((100 * value) / row.evenkeel)} %` : `${number(value / row.evenkeel)}x`}`;
}

function tableOf({ peers, rows }) {
  const names = ["evenkeel", ...(rows.some((row) => row.limit !== undefined) ? ["limit"] : []), ...peers];
  const head = ["work", "unit", ...names.map((name) => TITLES[name] ?? name)];
  return [head, ...rows.map((row) => [row.work, row.unit, ...names.map((name) => cell(row, name))])];
}

/** Lines about the machine, the versions, and who is missing. */
export function headerLines({ header }) {
  const { machine, versions, date, threads, rounds, missing } = header;
  return [
    `${machine.processor}, ${machine.cores} cores, ${machine.memory}, ${machine.system}, load ${machine.load} at the start`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `${date}, ${threads} threads, ${rounds} interleaved rounds: median (least-most); Nx: evenkeel is N times as fast`,
    ...Object.entries(missing).map(([name, why]) => `missing: ${TITLES[name] ?? name} ${why}`),
  ];
}

/** What was compared before timing, and why a cell is empty. */
export function noteLines({ rows }) {
  const agreement = ([name, value]) => `${TITLES[name]} ${value.toExponential(0)}`;
  return rows.flatMap((row) => [
    ...(Object.keys(row.agreement ?? {}).length > 0
      ? [
          `${row.work}: results differ from evenkeel's by at most, relative to the largest: ${Object.entries(row.agreement).map(agreement).join(", ")}`,
        ]
      : []),
    ...Object.entries(row.notes ?? {}).map(([name, note]) => `${row.work}: ${TITLES[name] ?? name}: ${note}`),
    ...(row.others > DISTURBED
      ? [`${row.work}: other programs took ${Math.round(row.others * 100)} % of the processors meanwhile; do not rely on it`]
      : []),
    ...(row.about ? [`${row.work}: ${row.about}`] : []),
  ]);
}

const bound = ({ atLeast, atMost, unit }) =>
  `${atLeast === undefined ? "at most" : "at least"} ${atLeast ?? atMost}${unit && ` ${unit}`}`;

/** The numbers to reach: target, the figure of each run, and whether their median reaches it. */
function targetTable(runs) {
  const figures = ({ figures }) => (figures.length > 0 ? figures.map(number).join(", ") : "-");
  const lines = verdicts(runs).map((line) => [line.work, line.what, bound(line), figures(line), line.verdict]);
  return [["work", "figure", "target", runs.length > 1 ? "measured, run by run" : "measured", ""], ...lines];
}

function aligned(table, left) {
  const widths = table[0].map((_, i) => Math.max(...table.map((line) => line[i].length)));
  const cells = (line) => line.map((text, i) => (i < left ? text.padEnd(widths[i]) : text.padStart(widths[i])));
  return table.map((line) => cells(line).join("  ").trimEnd());
}

export function terminal(result) {
  return [...headerLines(result), "", ...aligned(tableOf(result), 2), "", ...noteLines(result)].join("\n");
}

/** What is said after the tables of several runs, or of one with all work in it. */
export function terminalTargets(runs) {
  return ["Numbers to reach", "", ...aligned(targetTable(runs), 3)].join("\n");
}

const INTRODUCTION = `# Performance

Written by \`npm run bench -- --runs 3 --write-docs\`; do not edit.

## How to reproduce

\`\`\`sh
npm run bench:install                  # once: peers into bench/
npm run bench                          # all work; -- batch-norm for one family, -- --json for a machine
npm run bench -- --runs 3 --write-docs # this page
node bench/soak.mjs                    # 10,000 steps leave memory as it was
node bench/gemm-shapes.mjs             # why the matrix product has the micro-kernel it has
\`\`\`

Every participant is a process of its own with the same inputs, layers and training rule. Results are compared before
anything is timed. In each round each participant repeats the work for a while; the order turns from round to round. What
is timed is a repetition that leaves nothing pending: evenkeel flushes its pending kernel calls, jax-js waits for its
arrays, PyTorch and TensorFlow.js compute at once. Figures of one table belong together; those of two machines, or of two
days on a shared machine, do not.`;

const LIMIT = `## What the limit is

Batch normalization does little arithmetic for each number, so memory bounds it. Training cannot do without five passes: x
is read and y written; x and dy are read and dx is written. The limit is the time that a SIMD load/store loop of evenkeel
takes, on the same threads, to move that many bytes between buffers of the same size; evaluation has two passes. A
percentage is limit / time. Where everything fits in the caches, a call costs more than the passes and the limit says little.
Where two passes over a channel fit in a cache, the second costs less than a pass over memory, so more than 100 % is possible.

For matrix products and training steps the limit is arithmetic: the multiply-adds that direct products and convolutions need
(forward, gradient of the weights, gradient of the input except in the first layer), at the peak of multiply-add. The peak is
that of a WebAssembly loop that touches registers only, 128 bits wide, fused where evenkeel's kernels are, on the same
threads. Everything else in a step (batch normalization, activations, pooling, the optimizer) comes on top. A convolution by
Winograd's algorithm needs fewer multiplications than a direct one and may go below the limit. PyTorch has vectors four times
as wide (AVX-512), which WebAssembly does not have.

Memory is what a process of its own grows by: the most that is resident during five steps, network and optimizer included,
less what is resident once the library is started and the batch is there. Code that is loaded or compiled by the first step
counts for everybody.`;

function markdownTable(table, left) {
  const [head, ...body] = table;
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i < left ? "---" : "---:"))), ...body.map(line)];
}

/** docs/performance.md, from one run or several: the tables of times are those of the last. */
export function markdown(runs) {
  const result = runs.at(-1);
  const bullets = (lines) => lines.map((text) => `- ${text}`);
  const several = runs.length > 1 ? `${runs.length} runs one after the other; the median decides.` : "One run.";
  const parts = [
    [INTRODUCTION],
    ["## The machine", "", ...bullets(headerLines(result))],
    ["## Numbers to reach", "", several, "", ...markdownTable(targetTable(runs), 3)],
    [runs.length > 1 ? "## Results of the last run" : "## Results", "", ...markdownTable(tableOf(result), 2)],
    [LIMIT],
    ["## Checks and notes", "", ...bullets(noteLines(result))],
  ];
  return `${parts.map((part) => part.join("\n")).join("\n\n")}\n`;
}
