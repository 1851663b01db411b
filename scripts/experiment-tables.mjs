// Writes the verdicts of full runs into docs/experiments.md: `node scripts/experiment-tables.mjs [folder of records]`.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { at } from "./paths.mjs";

const DATA = { mnist: "MNIST", fashion: "Fashion-MNIST" };
const folder = process.argv[2] ?? "runs/experiments";
const page = at("docs/experiments.md");

const records = readdirSync(folder)
  .map((name) => join(folder, name, "record.json"))
  .filter(existsSync)
  .map((path) => JSON.parse(readFileSync(path, "utf8")))
  .filter(({ plan }) => plan.mode === "full" && !plan.paper)
  .sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)));
if (records.length === 0) throw new Error(`no record of a full run in ${folder}: evenkeel run all`);

const short = (x) => {
  if (x === null) return "–";
  const size = Math.abs(x);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e5) ? x.toExponential(1) : String(Number(x.toPrecision(size >= 100 ? 4 : 3)));
  return text.replace(/^-/, "−").replace("e-", "e−");
};
const range = ({ low, high }) => (low === null || low === high ? "" : ` [${short(low)}, ${short(high)}]`);
const seconds = ({ started, finished }) => (Date.parse(finished) - Date.parse(started)) / 1000;
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.round(s % 60)).padStart(2, "0")}`;

function row(record) {
  const primary = record.metrics.find(({ role }) => role === "primary");
  const measured = primary
    ? `${primary.name}: **${short(primary.estimate)}**${primary.unit && ` ${primary.unit}`}${range(primary)}`
    : record.finding;
  return `| ${record.id} ${record.title} | ${measured} | ${primary?.criterion ?? "report only"} | ${record.exploratory} | ${record.verdict ?? "–"} | ${clock(seconds(record))} |`;
}

/** Controls decide as well: those that did not pass are named below the table. */
function missed(record) {
  return record.metrics
    .filter(({ role, verdict }) => role === "control" && verdict !== undefined && verdict !== "PASS")
    .map(
      ({ name, estimate, unit, criterion, verdict, ...ends }) =>
        `- ${record.id}, ${name}: ${short(estimate)} ${unit}${range(ends)}, asked: ${criterion}: ${verdict}.`,
    );
}

function table(data) {
  const own = records.filter(({ plan }) => plan.data === data);
  if (own.length === 0) return [];
  const count = (word) => own.filter(({ verdict }) => verdict === word).length;
  const days = [...new Set(own.map(({ finished }) => finished.slice(0, 10)))];
  const total = own.reduce((sum, record) => sum + seconds(record), 0);
  const { versions, plan } = own[0];
  const below = own.flatMap(missed);
  return [
    `### ${DATA[data]}`,
    "",
    `Seeds ${plan.seeds.join(", ")}, evenkeel ${versions.evenkeel}, Node ${versions.node}, ${days.join(" and ")}: ${count("PASS")} PASS, ${count("FAIL")} FAIL, ${count("INCONCLUSIVE")} INCONCLUSIVE; ${clock(total)} minutes in all.`,
    "",
    "| | primary metric, mean and 95 % interval | criterion | in a trial (seeds 0 to 2) | verdict | min |",
    "|---|---|---|---|---|---|",
    ...own.map(row),
    "",
    ...(below.length > 0 ? ["Controls that did not pass, and decided with the primary metric:", "", ...below, ""] : []),
  ];
}

const [start, end] = ["<!-- verdicts -->", "<!-- /verdicts -->"];
const text = readFileSync(page, "utf8");
const [from, to] = [text.indexOf(start), text.indexOf(end)];
if (from < 0 || to < from) throw new Error(`${page}: expected ${start} and ${end}`);
const tables = [...table("mnist"), ...table("fashion")].join("\n");
writeFileSync(page, `${text.slice(0, from + start.length)}\n\n${tables}\n${text.slice(to)}`);
console.log(`docs/experiments.md: ${records.length} records`);
