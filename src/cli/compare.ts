import { availableParallelism } from "node:os";
import { relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { setWarningHandler } from "../core/warnings.js";
import {
  ACTIVATIONS,
  type CompareOptions,
  type CompareRecord,
  compareConfigSchema,
  DATA_SETS,
  type RunCompare,
  stringifyRecord,
} from "../experiments/record.js";
import { summarize } from "../report/summary.js";
import type { CliContext } from "./context.js";
import { EXIT, oneLine } from "./errors.js";
import { watchInterrupts } from "./interrupts.js";
import { folderPath, layerWidths, positiveNumber, wholeNumber } from "./options.js";
import { defaultOutFolder, type OutFolder, prepareOutFolder } from "./out-folder.js";
import { createProgress } from "./progress.js";
import { resultLines } from "./table.js";

/** The heavy parts, loaded only when a run needs them. */
export interface CompareDependencies {
  loadRun(): Promise<RunCompare>;
  loadReport(): Promise<(record: CompareRecord) => string>;
}

/** What the command line holds after parsing. */
export interface CompareFlags extends CompareOptions {
  out?: string;
  json?: boolean;
  quiet?: boolean;
  report: boolean;
  /** Read by the program itself. */
  debug?: boolean;
}

/** Adds `evenkeel compare`. The action's exit code goes to `done`. */
export function addCompare(
  program: Command,
  context: CliContext,
  dependencies: CompareDependencies,
  done: (code: number) => void,
): void {
  program
    .command("compare")
    .description("train a network with and without batch normalization, side by side, and write a report")
    .addOption(new Option("--epochs <n>", "passes over the training set").default(20).argParser(wholeNumber(1, 100_000)))
    .addOption(new Option("--lr <rate>", "learning rate of plain SGD, for both networks").default(0.01).argParser(positiveNumber))
    .addOption(new Option("--batch <n>", "images per step").default(512).argParser(wholeNumber(2, 60_000)))
    .addOption(
      new Option("--seed <n>", "decides initial weights and order of images").default(100).argParser(wholeNumber(0, 2 ** 32 - 1)),
    )
    .addOption(new Option("--data <name>", "data set").default("mnist").choices(DATA_SETS))
    .addOption(
      new Option("--data-dir <folder>", "folder of the data set's files (default: the usual places)").argParser(folderPath),
    )
    .addOption(new Option("--hidden <widths>", "widths of the hidden layers").default([64, 128], "64,128").argParser(layerWidths))
    .addOption(new Option("--activation <name>", "between the layers").default("relu").choices(ACTIVATIONS))
    .addOption(
      new Option("--threads <n>", "threads of the engine; the numbers do not depend on it")
        .default(Math.min(2, availableParallelism()))
        .argParser(wholeNumber(1, 64)),
    )
    .addOption(new Option("--no-deterministic", "use this machine's fastest kernels; last bits may differ on others"))
    .addOption(new Option("--out <folder>", "where to write (default: runs/compare-<time>)").argParser(folderPath))
    .option("--no-report", "write record.json only")
    .option("--json", "print one JSON object to stdout; progress goes to stderr")
    .option("-q, --quiet", "no progress")
    .action(async (flags: CompareFlags) => done(await compare(flags, context, dependencies)));
}

/** Runs a comparison from its flags to its files and its table; returns the exit code. */
export async function compare(flags: CompareFlags, context: CliContext, dependencies: CompareDependencies): Promise<number> {
  const { out, json = false, quiet = false, report, debug: _, ...rest } = flags;
  const options = compareConfigSchema.parse(
    rest.dataDir === undefined ? rest : { ...rest, dataDir: resolve(context.cwd, rest.dataDir) },
  );
  const path = out === undefined ? defaultOutFolder(context.cwd, "compare", context.now()) : resolve(context.cwd, out);
  const folder = await prepareOutFolder(path);
  const progress = createProgress(json ? context.stderr : context.stdout, context, quiet);
  const interrupt = watchInterrupts(context, progress);
  const previousWarnings = setWarningHandler((message) => progress.note(`warning: ${oneLine(message)}`));
  try {
    const run = await dependencies.loadRun();
    const record = await run(options, { onEvent: (event) => progress.on(event), signal: interrupt.signal });
    progress.close();
    const files = await writeFiles(record, folder, report ? await dependencies.loadReport() : undefined);
    printResult(record, files, json, context);
    return record.interrupted ? EXIT[interrupt.by() ?? "SIGINT"] : EXIT.ok;
  } catch (error) {
    progress.close();
    await folder.discard();
    throw error;
  } finally {
    interrupt.stop();
    setWarningHandler(previousWarnings);
  }
}

interface Files {
  record: string;
  report: string | null;
}

async function writeFiles(
  record: CompareRecord,
  folder: OutFolder,
  render: ((record: CompareRecord) => string) | undefined,
): Promise<Files> {
  // The record first: if drawing fails, the run is not lost.
  const file = await folder.write("record.json", stringifyRecord(record));
  return { record: file, report: render ? await folder.write("report.html", render(record)) : null };
}

function printResult(record: CompareRecord, files: Files, json: boolean, context: CliContext): void {
  if (json) {
    const { plain, norm } = summarize(record);
    const { interrupted, config, data } = record;
    context.stdout.write(`${JSON.stringify({ command: "compare", interrupted, config, data, arms: [plain, norm], files })}\n`);
    return;
  }
  const limits = `one run each (n = 1, seed ${record.config.seed}), learning rate ${record.config.lr} not tuned`;
  const sample = record.data.sample ? ["small sample: not comparable with the full data set"] : [];
  const place = (path: string) => {
    const near = relative(context.cwd, path);
    return near.startsWith("..") ? path : near;
  };
  const written = [`record  ${place(files.record)}`, ...(files.report === null ? [] : [`report  ${place(files.report)}`])];
  const lines = ["", ...resultLines(record), "", ...sample, limits, ...written];
  context.stdout.write(`${lines.join("\n")}\n`);
}
