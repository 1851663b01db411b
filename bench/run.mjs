// `npm run bench`: evenkeel against its peers in one run. `npm run bench -- --help` says how to call it.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { build } from "../scripts/build.mjs";
import { install } from "../scripts/install.mjs";
import { at, root } from "../scripts/paths.mjs";
import { machine } from "./machine.mjs";
import { measure } from "./measure.mjs";
import { Field, PEERS } from "./peers/index.mjs";
import { DISTURBED, markdown, terminal, terminalTargets } from "./report.mjs";
import { verdicts } from "./targets.mjs";
import { families } from "./work/index.mjs";

const HELP = `npm run bench -- [family …] [options]

families: ${Object.keys(families).join(", ")} (default: all)
  --peers a,b     of ${PEERS.join(", ")} (default: all; "none" for evenkeel alone)
  --threads N     threads of every participant (default 2)
  --rounds N      interleaved rounds (default 7)
  --seconds S     time of a participant in a round (default 0.25)
  --json          print one JSON object: {header, peers, rows, targets}; of several runs the
                  last, and all as "runs"
  --out file      write the JSON object to a file as well
  --runs N        make N runs one after the other (default 1)
  --from a,b      measure nothing: read saved JSON objects in place of runs
  --write-docs    write docs/performance.md (all families, all peers)`;

const options = {
  peers: { type: "string", default: PEERS.join(",") },
  threads: { type: "string", default: "2" },
  rounds: { type: "string", default: "7" },
  seconds: { type: "string", default: "0.25" },
  json: { type: "boolean", default: false },
  out: { type: "string" },
  runs: { type: "string", default: "1" },
  from: { type: "string" },
  "write-docs": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

class UsageError extends Error {}

function positive(name, text, isInteger) {
  const value = Number(text);
  if (!(value > 0) || (isInteger && !Number.isInteger(value))) {
    throw new UsageError(`--${name}: expected a positive ${isInteger ? "integer" : "number"}, got "${text}"`);
  }
  return value;
}

function known(what, names, all) {
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new UsageError(`unknown ${what} "${unknown}"; there are ${all.join(", ")}`);
  return names;
}

function parse(args) {
  let parsed;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error.message);
  }
  const { values, positionals } = parsed;
  const peers = values.peers === "none" ? [] : known("peer", values.peers.split(","), PEERS);
  const chosen = known("family", positionals, Object.keys(families));
  const isPart = chosen.length > 0 || peers.length < PEERS.length;
  if (values["write-docs"] && isPart && values.from === undefined)
    throw new UsageError("--write-docs is for a run with all families and all peers");
  return {
    ...values,
    peers,
    works: (chosen.length > 0 ? chosen : Object.keys(families)).flatMap((family) => families[family]),
    isPart,
    runs: positive("runs", values.runs, true),
    threads: positive("threads", values.threads, true),
    rounds: positive("rounds", values.rounds, true),
    seconds: positive("seconds", values.seconds, false),
  };
}

/** What a row says beyond its times: the rate of a product, the bytes behind a limit. */
function about(work, row) {
  if (work.about) return work.about;
  const rate = (ms) => `${(work.flops / ms / 1e6).toFixed(0)} GFLOP/s`;
  const direct = work.network ? ", counting direct products and convolutions" : "";
  if (work.flops && row.limit) {
    return `evenkeel ${rate(row.evenkeel)}${direct}; limit: multiply-add in registers, ${rate(row.limit)}`;
  }
  if (work.flops) return `evenkeel ${rate(row.evenkeel)}`;
  if (work.limit) return `limit: ${work.limit.formula} at ${(work.limit.bytes / row.limit / 1e6).toFixed(1)} GB/s`;
  return undefined;
}

async function measureRow(work, field, settings) {
  process.stderr.write(`${work.name} …\n`);
  const row = await measure(work, field, settings);
  const text = about(work, row);
  return text ? { ...row, about: text } : row;
}

async function run(settings) {
  const { works, peers, threads, rounds } = settings;
  const start = { machine: machine(), date: new Date().toISOString().slice(0, 16).replace("T", " "), threads, rounds };
  const field = new Field();
  const rows = [];
  try {
    for (const name of ["evenkeel", ...peers]) await field.get(name, threads);
    for (const work of works) rows.push(await measureRow(work, field, settings));
    // What was disturbed by other programs gets a second chance, when they may be done.
    for (const [i, work] of works.entries()) {
      if (work.seeds || !(rows[i].others > DISTURBED)) continue;
      const again = await measureRow(work, field, settings);
      if (again.others < rows[i].others) rows[i] = again;
    }
  } finally {
    field.stop();
  }
  const present = peers.filter((name) => !(name in field.missing));
  return { header: { ...start, versions: field.versions, missing: field.missing }, peers: present, rows };
}

/** Saved runs: each file holds one, or several under `runs`. */
function readRuns(names) {
  return names.split(",").flatMap((name) => {
    const saved = JSON.parse(readFileSync(name, "utf8"));
    const runs = saved.runs ?? [saved];
    if (!runs.every(({ header, rows }) => header && Array.isArray(rows))) throw new Error(`${name}: expected what --json prints`);
    return runs;
  });
}

async function makeRuns(settings) {
  install(root, "the development packages");
  build();
  const runs = [];
  for (let i = 0; i < settings.runs; i++) {
    if (settings.runs > 1) process.stderr.write(`run ${i + 1} of ${settings.runs}\n`);
    runs.push(await run(settings));
  }
  return runs;
}

function print(runs, settings) {
  const targets = verdicts(runs);
  const json = JSON.stringify(runs.length > 1 ? { ...runs.at(-1), targets, runs } : { ...runs[0], targets }, null, 2);
  if (settings.out) writeFileSync(settings.out, `${json}\n`);
  if (settings["write-docs"]) writeFileSync(at("docs/performance.md"), markdown(runs));
  if (settings.json) return console.log(json);
  for (const one of runs) console.log(`${terminal(one)}\n`);
  if (!settings.isPart || settings.from) console.log(terminalTargets(runs));
}

async function main(args) {
  const settings = parse(args);
  if (settings.help) {
    console.log(HELP);
    return;
  }
  print(settings.from === undefined ? await makeRuns(settings) : readRuns(settings.from), settings);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(process.env.EVENKEEL_DEBUG ? error : `bench: ${error.message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
