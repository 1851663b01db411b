import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { setWarningHandler } from "../core/warnings.js";
import type { DataSet } from "../data/dataset.js";
import { init } from "../engine/current.js";
import type { Module } from "../nn/module.js";
import { formatCount, formatLoss, formatPercent, formatSeconds } from "../report/numbers.js";
import { parseTrainConfig, type TrainConfig } from "../train/config.js";
import { type Evaluation, evaluate } from "../train/evaluate.js";
import { type FitEvent, fit, type History } from "../train/fit.js";
import { networkFileOf, writeModel } from "../train/model-file.js";
import { prepare } from "../train/prepare.js";
import type { CliContext, Output } from "./context.js";
import { EXIT, oneLine, UsageError } from "./errors.js";
import { watchInterrupts } from "./interrupts.js";
import { loadSets } from "./load-data.js";
import { folderPath } from "./options.js";
import { defaultOutFolder, type OutFolder, prepareOutFolder } from "./out-folder.js";
import { formatTable } from "./table.js";
import { trainProgress } from "./train-progress.js";

interface TrainFlags {
  out?: string;
  json?: boolean;
  quiet?: boolean;
}

/** Adds `evenkeel train`. The action's exit code goes to `done`. */
export function addTrain(program: Command, context: CliContext, version: string, done: (code: number) => void): void {
  program
    .command("train <config>")
    .description("train a network that a JSON file describes, and write its history")
    .addOption(new Option("--out <folder>", "where to write (default: runs/train-<time>)").argParser(folderPath))
    .option("--json", "print one JSON object to stdout; progress goes to stderr")
    .option("-q, --quiet", "no progress")
    .action(async (file: string, flags: TrainFlags) => done(await train(file, flags, context, version)));
}

async function readConfig(file: string, path: string): Promise<TrainConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new UsageError(`train: could not read ${file} (${(error as NodeJS.ErrnoException).code ?? "unknown reason"}).`);
  }
  try {
    return parseTrainConfig(text, file);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** Trains what the configuration describes; returns the exit code. */
export async function train(file: string, flags: TrainFlags, context: CliContext, version: string): Promise<number> {
  const path = resolve(context.cwd, file);
  const config = await readConfig(file, path);
  const out = flags.out === undefined ? defaultOutFolder(context.cwd, "train", context.now()) : resolve(context.cwd, flags.out);
  const folder = await prepareOutFolder(out);
  const screen: Output = flags.json ? context.stderr : context.stdout;
  const progress = trainProgress(screen, context, flags.quiet ?? false);
  const interrupt = watchInterrupts(context, progress);
  const previous = setWarningHandler((message) => progress.note(`warning: ${oneLine(message)}`));
  try {
    const { deterministic, threads = Math.min(2, availableParallelism()) } = config;
    await init({ threads, deterministic });
    const sets = await loadSets(config, dirname(path));
    const { model, fit: options, test } = prepare(config, sets);
    progress.note(`${sets.train.source}; ${formatCount(model.numParameters())} parameters`);
    const history = await fit(model, { ...options, signal: interrupt.signal, onEvent: (event: FitEvent) => progress.on(event) });
    const result = test === null ? null : evaluate(model, test, options.loss);
    progress.close();
    const record = { kind: "train", evenkeel: version, config, history: jsonSafe(history), test: result };
    const written = await folder.write("history.json", `${JSON.stringify(record, null, 1)}\n`);
    const saved = await writeNetwork(folder, model, sets.train);
    if (flags.json)
      context.stdout.write(
        `${JSON.stringify({ command: "train", outcome: history.outcome, test: result, file: written, model: saved })}\n`,
      );
    else
      context.stdout.write(
        `\n${resultLines(history, result).join("\n")}\n\nhistory  ${near(context.cwd, written)}\nmodel    ${near(context.cwd, saved)}\n`,
      );
    if (history.outcome === "interrupted") return EXIT[interrupt.by() ?? "SIGINT"];
    return history.outcome === "diverged" ? EXIT.failed : EXIT.ok;
  } catch (error) {
    progress.close();
    await folder.discard();
    throw error;
  } finally {
    interrupt.stop();
    setWarningHandler(previous);
  }
}

/** Writes net.json, and the weights with it inside; returns the path of the latter. */
async function writeNetwork(folder: OutFolder, model: Module, { shape, classes }: DataSet): Promise<string> {
  const about = { input: [...shape], ...(classes.length > 0 ? { classes: [...classes] } : {}) };
  await folder.write("net.json", `${JSON.stringify(networkFileOf(model, about), null, 1)}\n`);
  return folder.write("model.safetensors", writeModel(model, about));
}

/** JSON has no NaN and no Infinity: they become null. */
function jsonSafe(history: History): unknown {
  return JSON.parse(JSON.stringify(history));
}

function near(cwd: string, path: string): string {
  const short = relative(cwd, path);
  return short.startsWith("..") ? path : short;
}

function resultLines({ epochs, outcome, bestEpoch }: History, test: Evaluation | null): string[] {
  const last = epochs.at(-1);
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const row = (name: string, loss: number | null | undefined, accuracy: number | null | undefined) => [
    name,
    formatLoss(loss ?? null),
    accuracy == null ? "–" : formatPercent(accuracy),
  ];
  const rows = [
    ["", "loss", "accuracy"],
    row("training", last?.trainLoss, null),
    row("validation", last?.validationLoss, last?.validationAccuracy),
  ];
  if (test !== null) rows.push(row("test", test.loss, test.accuracy));
  const best = bestEpoch === null ? "" : `, lowest validation loss in epoch ${bestEpoch}`;
  return [...formatTable(rows), "", `${outcome} after ${epochs.length} epochs, ${formatSeconds(seconds)} of training${best}`];
}
