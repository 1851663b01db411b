import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { type ExperimentRecord, type MetricRecord, parseExperimentRecord } from "../experiments/experiment-record.js";
import { type Experiment, type Plan, QUICK_SEEDS, SEEDS } from "../experiments/protocol.js";
import { type JobProgress, runExperiment } from "../experiments/runner.js";
import { findExperiment, suite } from "../experiments/suite/index.js";
import { intervalText, valueText, verdictWord } from "../report/verdicts.js";
import type { CliContext } from "./context.js";
import { EXIT, UsageError } from "./errors.js";
import { watchInterrupts } from "./interrupts.js";
import { JobFolder } from "./job-folder.js";
import { folderPath, wholeNumber } from "./options.js";
import { prepareOutFolder } from "./out-folder.js";
import { formatTable } from "./table.js";
import { clock } from "./time.js";
import type { WorkerPool } from "./worker-pool.js";

export interface ExperimentDependencies {
  readonly version: string;
  /** Starts threads that run jobs. */
  startWorkers(count: number): Promise<WorkerPool>;
}

interface RunFlags {
  quick?: boolean;
  paper?: boolean;
  seeds?: number;
  data: Plan["data"];
  resume?: boolean;
  workers: number;
  out: string;
  quiet?: boolean;
}

/** Where records are unless told otherwise. */
export const RECORDS = join("runs", "experiments");

/** Adds `evenkeel experiments` and `evenkeel run`. */
export function addExperiments(
  program: Command,
  context: CliContext,
  dependencies: ExperimentDependencies,
  done: (code: number) => void,
): void {
  const folder = () => new Option("--out <folder>", "where records are").default(RECORDS).argParser(folderPath);
  program
    .command("experiments")
    .description("list the experiments: what each claims, and its last verdict")
    .addOption(folder())
    .action(async ({ out }: { out: string }) => done(await list(resolve(context.cwd, out), context)));
  program
    .command("run")
    .description("run experiments, and judge their claims")
    .argument("<ids...>", `experiments, such as ${suite[0]!.id}; or all`)
    .option("--quick", "a few steps and two seeds: shows the shape, gives no verdict")
    .option("--paper", "as many steps as the paper, where an experiment takes fewer (E1: 50,000)")
    .addOption(new Option("--seeds <n>", "number of seeds, from 100 on (default: 5)").argParser(wholeNumber(1, 1000)))
    .addOption(new Option("--data <name>", "data set").default("mnist").choices(["mnist", "fashion"]))
    .option("--resume", "keep the jobs that an interrupted run has done")
    .addOption(
      new Option("--workers <n>", "jobs at the same time; results do not depend on it")
        .default(availableParallelism())
        .argParser(wholeNumber(1, 64)),
    )
    .addOption(folder())
    .option("-q, --quiet", "no progress")
    .action(async (ids: string[], flags: RunFlags) => done(await run(ids, flags, context, dependencies)));
}

function planOf({ quick = false, paper = false, seeds, data }: RunFlags): Plan {
  if (quick && paper) throw new UsageError("expected --quick or --paper, got both.");
  const usual = quick ? QUICK_SEEDS : SEEDS;
  const chosen = seeds === undefined ? usual : Array.from({ length: seeds }, (_, i) => SEEDS[0]! + i);
  return { mode: quick ? "quick" : "full", seeds: chosen, data, ...(paper ? { paper } : {}) };
}

function chosenOf(ids: readonly string[]): readonly Experiment[] {
  if (ids.includes("all")) return suite;
  return ids.map((id) => {
    const found = findExperiment(id);
    if (found !== undefined) return found;
    throw new UsageError(`unknown experiment "${id}"; there are ${suite.map((one) => one.id).join(", ")}, and all.`);
  });
}

/** Where an experiment's jobs and record are. */
const placeOf = (base: string, id: string, { data, mode, paper }: Plan) =>
  join(base, `${id}-${data}${mode === "quick" ? "-quick" : ""}${paper ? "-paper" : ""}`);

async function run(
  ids: readonly string[],
  flags: RunFlags,
  context: CliContext,
  { version, startWorkers }: ExperimentDependencies,
): Promise<number> {
  const experiments = chosenOf(ids);
  if (flags.paper && !experiments.every(({ hasPaperLength }) => hasPaperLength)) {
    const those = suite.filter(({ hasPaperLength }) => hasPaperLength).map(({ id }) => id);
    throw new UsageError(`--paper is for ${those.join(", ")}: other experiments have one length.`);
  }
  const plan = planOf(flags);
  const base = resolve(context.cwd, flags.out);
  await prepareOutFolder(base);
  const progress = new JobLines(context, flags.quiet ?? false);
  const interrupt = watchInterrupts(context, progress);
  const pool = await startWorkers(flags.workers);
  const stop = () => void pool.stop();
  interrupt.signal.addEventListener("abort", stop);
  const records: ExperimentRecord[] = [];
  try {
    for (const experiment of experiments) {
      const place = placeOf(base, experiment.id, plan);
      const store = await JobFolder.open(join(place, "jobs"), version, flags.resume !== true);
      const record = await runExperiment(experiment, plan, {
        workers: pool.workers,
        store,
        versions: { evenkeel: version, node: process.versions.node, deterministic: true },
        onProgress: (event) => progress.on(event),
        signal: interrupt.signal,
      });
      progress.close();
      if (record === null) break;
      await (await prepareOutFolder(place)).write("record.json", `${JSON.stringify(record, null, 2)}\n`);
      records.push(record);
    }
  } finally {
    progress.close();
    interrupt.stop();
    await pool.stop();
  }
  context.stdout.write(`${verdictTable(records).join("\n")}\n`);
  const near = relative(context.cwd, base);
  context.stdout.write(`records  ${near.startsWith("..") ? base : near}\n`);
  if (interrupt.signal.aborted) {
    context.stdout.write("interrupted: the same command with --resume goes on\n");
    return EXIT[interrupt.by() ?? "SIGINT"];
  }
  return records.some(({ verdict }) => verdict === "FAIL") ? EXIT.refuted : EXIT.ok;
}

const estimate = (metric: MetricRecord) =>
  metric.low === metric.high ? valueText(metric) : `${valueText(metric)} ${intervalText(metric)}`;

const secondsOf = ({ started, finished }: ExperimentRecord) => Date.parse(finished) - Date.parse(started);

/** A line for each experiment: verdict, primary metric with its 95 % interval, seeds, time. */
export function verdictTable(records: readonly ExperimentRecord[]): string[] {
  if (records.length === 0) return ["no experiment was finished"];
  const rows = records.map((record) => {
    const primary = record.metrics.find(({ role }) => role === "primary");
    const { word } = verdictWord(record);
    const what = primary === undefined ? record.finding : `${primary.name}: ${estimate(primary)}`;
    return [`${record.id}  ${record.title}`, word, `n = ${record.plan.seeds.length}`, clock(secondsOf(record)), what];
  });
  return formatTable([["experiment", "verdict", "seeds", "time", "primary metric, 95 % interval"], ...rows], [0, 1, 4]);
}

async function list(base: string, context: CliContext): Promise<number> {
  const rows = await Promise.all(
    suite.map(async ({ id, title, claim }) => {
      const name = join(placeOf(base, id, { mode: "full", data: "mnist", seeds: SEEDS }), "record.json");
      const text = await readFile(name, "utf8").catch(() => null);
      const record = text === null ? null : parseExperimentRecord(text, name);
      const last =
        record === null
          ? "not run yet"
          : `${record.verdict ?? "reported"}, ${record.finished.slice(0, 10)}, ${clock(secondsOf(record))}`;
      return `${id}  ${title} (${last})\n    ${claim}`;
    }),
  );
  context.stdout.write(`${rows.join("\n")}\n`);
  return EXIT.ok;
}

/** Progress as lines: one when a job has ended; on a terminal they overwrite each other. */
class JobLines {
  private open = false;

  constructor(
    private readonly context: CliContext,
    private readonly quiet: boolean,
  ) {}

  on({ experiment, done, known, key, stored }: JobProgress): void {
    if (this.quiet) return;
    const { stdout } = this.context;
    const text = `${experiment}  ${done} of ${known} jobs  ${key}${stored ? " (kept)" : ""}`;
    if (stdout.isTTY) stdout.write(`\r\u001b[K${text}`);
    else stdout.write(`${text}\n`);
    this.open = stdout.isTTY === true;
  }

  note(text: string): void {
    this.close();
    this.context.stderr.write(`${text}\n`);
  }

  close(): void {
    if (this.open) this.context.stdout.write("\n");
    this.open = false;
  }
}
