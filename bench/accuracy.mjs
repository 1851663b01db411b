// `npm run accuracy`: errors of batch normalization in float32 against float64, for evenkeel and its peers.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../scripts/build.mjs";
import { install } from "../scripts/install.mjs";
import { at, root } from "../scripts/paths.mjs";
import { EPS, INPUTS, inputsOf, LAYOUTS } from "./accuracy/cases.mjs";
import { errorOf, QUANTITIES, verdictOf, WORSE } from "./accuracy/judge.mjs";
import { reference } from "./accuracy/reference.mjs";
import { conclusion, markdown, terminal } from "./accuracy/report.mjs";
import { readFloats, writeFloats } from "./peers/accuracy-files.mjs";
import { Field } from "./peers/index.mjs";

const HELP = `npm run accuracy -- [options]

  --json          print one JSON object
  --write-docs    write docs/accuracy.md
Ends with code 1 if evenkeel is worse than a peer in a row. npm run bench:install installs the peers.`;

const options = {
  json: { type: "boolean", default: false },
  "write-docs": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

/** Results do not depend on time, but those of some peers on the number of threads. */
const THREADS = 2;

/** A column: a participant of the benchmarks, and how it is asked to compute. */
const COLUMNS = [
  { name: "evenkeel", title: "evenkeel", peer: "evenkeel" },
  { name: "torch", title: "PyTorch", peer: "torch" },
  { name: "tfjsCpu", title: "tfjs cpu", peer: "tfjs", how: "cpu" },
  { name: "tfjsWasm", title: "tfjs wasm", peer: "tfjs", how: "wasm" },
  { name: "jax", title: "jax-js", peer: "jax", how: "two passes" },
  { name: "jaxStandardize", title: "jax-js standardize", peer: "jax", how: "standardize" },
];

/** What one participant computed, by the names of the quantities. */
async function outputsOf({ name, peer, how }, field, folder, shape) {
  const into = join(folder, name);
  mkdirSync(into, { recursive: true });
  const participant = await field.get(peer, THREADS);
  await participant.ask({ do: "prepare", work: { kind: "accuracy", folder, into, shape, eps: EPS, how } });
  try {
    await participant.ask({ do: "check" });
  } finally {
    if (participant.failure === null) await participant.ask({ do: "drop" });
    else field.forget(participant);
  }
  return Object.fromEntries(QUANTITIES.map(({ key }) => [key, readFloats(into, key)]));
}

/** The rows of one case, one per quantity. */
async function measureCase(input, layout, { field, folder, columns, notes }) {
  const inputs = inputsOf(input, layout.shape);
  writeFloats(folder, inputs);
  const found = reference(inputs, layout.shape, EPS);
  const rows = QUANTITIES.map(({ key }) => ({
    quantity: key,
    input: input.name,
    layout: layout.name,
    isZero: found.values[key].every((value) => value === 0),
    errors: {},
  }));
  for (const column of columns) {
    try {
      const outputs = await outputsOf(column, field, folder, layout.shape);
      QUANTITIES.forEach((quantity, i) => {
        rows[i].errors[column.name] = errorOf(quantity, outputs[quantity.key], inputs, found);
      });
    } catch (error) {
      if (column.name === "evenkeel") throw error;
      notes.push(`${input.name}, ${layout.name}: ${column.title}: ${error.message}`);
    }
  }
  return rows.map((row) => ({ ...row, verdict: verdictOf(row.errors) }));
}

async function run() {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-accuracy-"));
  const field = new Field();
  const [rows, notes] = [[], []];
  try {
    for (const { peer } of COLUMNS) await field.get(peer, THREADS);
    const columns = COLUMNS.filter(({ peer }) => !(peer in field.missing));
    const absent = COLUMNS.filter(({ peer }) => peer in field.missing);
    const missing = Object.fromEntries(absent.map(({ title, peer }) => [title, field.missing[peer]]));
    for (const layout of LAYOUTS) {
      for (const input of INPUTS) {
        process.stderr.write(`${layout.name}, ${input.name} …\n`);
        rows.push(...(await measureCase(input, layout, { field, folder, columns, notes })));
      }
    }
    return { versions: field.versions, threads: THREADS, layouts: LAYOUTS, missing, columns, rows, notes };
  } finally {
    field.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** JSON has no Infinity. */
const finite = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);

function parse(args) {
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    error.exitCode = 2;
    throw error;
  }
}

async function main(args) {
  const settings = parse(args);
  if (settings.help) {
    console.log(HELP);
    return;
  }
  install(root, "the development packages");
  build();
  const result = await run();
  if (settings["write-docs"]) writeFileSync(at("docs/accuracy.md"), markdown(result));
  console.log(settings.json ? JSON.stringify(result, finite, 2) : terminal(result));
  if (!result.rows.some(({ verdict }) => verdict === WORSE)) return;
  console.error(`accuracy: ${conclusion(result)}`);
  process.exitCode = 1;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(process.env.EVENKEEL_DEBUG ? error : `accuracy: ${error.message}`);
  process.exitCode = error.exitCode ?? 1;
});
