import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { DataError } from "../core/errors.js";
import { type ExperimentRecord, parseExperimentRecord } from "../experiments/experiment-record.js";
import { renderExperimentsReport } from "../report/experiments-report.js";
import type { CliContext } from "./context.js";
import { EXIT, errorText } from "./errors.js";
import { RECORDS } from "./experiments.js";
import { folderPath } from "./options.js";
import { prepareOutFolder } from "./out-folder.js";

/** Adds `evenkeel report`. */
export function addReport(program: Command, context: CliContext, done: (code: number) => void): void {
  program
    .command("report")
    .description("make one HTML page of the records of experiments")
    .argument("[folder]", "where records are, as `evenkeel run` leaves them", RECORDS)
    .addOption(new Option("--out <file>", "the page (default: report.html in the folder)").argParser(folderPath))
    .action(async (folder: string, { out }: { out?: string }) => {
      done(await report(resolve(context.cwd, folder), out, context));
    });
}

async function report(folder: string, out: string | undefined, context: CliContext): Promise<number> {
  const { records, refused } = await readRecords(folder);
  for (const reason of refused) context.stderr.write(`evenkeel: left out: ${reason}\n`);
  const near = (path: string) => {
    const text = relative(context.cwd, path);
    return text.startsWith("..") ? path : text || ".";
  };
  if (records.length === 0) {
    const what = refused.length > 0 ? "no record that can be read" : "no record";
    throw new DataError(`report: ${what} in ${near(folder)}. \`evenkeel run all --quick\` makes some in a minute or two.`);
  }
  const path = out === undefined ? join(folder, "report.html") : resolve(context.cwd, out);
  await (await prepareOutFolder(dirname(path))).write(basename(path), renderExperimentsReport(records));
  const count = records.length === 1 ? "1 record" : `${records.length} records`;
  context.stdout.write(`report  ${near(path)} (${count})\n`);
  return refused.length > 0 ? EXIT.failed : EXIT.ok;
}

/** The records in the folders below, and why others were left out. */
async function readRecords(folder: string): Promise<{ records: ExperimentRecord[]; refused: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw new DataError(`report: expected a folder of records, got ${folder} (${cause.code}).`, { cause });
  });
  const records: ExperimentRecord[] = [];
  const refused: string[] = [];
  for (const name of entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()) {
    const text = await readFile(join(folder, name, "record.json"), "utf8").catch(() => null);
    if (text === null) continue; // a run that is not finished
    try {
      records.push(parseExperimentRecord(text, join(name, "record.json")));
    } catch (error) {
      refused.push(errorText(error, false));
    }
  }
  return { records, refused };
}
