// What a finished experiment leaves: everything a report shows, as JSON with a schema.
import { z } from "zod";
import { DataError } from "../core/errors.js";
import { figureSchema } from "./figure.js";
import type { Conclusion, Experiment, Plan } from "./protocol.js";

/** Version of the layout below. A record of another version is refused, never guessed at. */
export const EXPERIMENT_SCHEMA_VERSION = 1;

const value = z.number().nullable();
const verdict = z.enum(["PASS", "FAIL", "INCONCLUSIVE"]);

const metricSchema = z.strictObject({
  name: z.string(),
  unit: z.string(),
  role: z.enum(["primary", "control", "exploratory"]),
  estimate: value,
  /** 95 % interval; null where it is not finite. */
  low: value,
  high: value,
  n: z.int().min(0),
  criterion: z.string().optional(),
  verdict: verdict.optional(),
  values: z.array(value),
});

export const experimentRecordSchema = z.strictObject({
  kind: z.literal("experiment"),
  schemaVersion: z.literal(EXPERIMENT_SCHEMA_VERSION),
  id: z.string(),
  title: z.string(),
  claim: z.string(),
  source: z.string(),
  refutedBy: z.string(),
  setting: z.string(),
  shows: z.string(),
  doesNotShow: z.string(),
  formulas: z.array(z.string()),
  exploratory: z.string(),
  changes: z.array(z.string()),
  plan: z.strictObject({
    mode: z.enum(["full", "quick"]),
    seeds: z.array(z.int().min(0)).min(1),
    data: z.enum(["mnist", "fashion"]),
    paper: z.boolean().optional(),
  }),
  /** null in quick runs, and where an experiment reports and judges nothing. */
  verdict: verdict.nullable(),
  finding: z.string(),
  metrics: z.array(metricSchema),
  figures: z.array(figureSchema),
  started: z.iso.datetime(),
  finished: z.iso.datetime(),
  jobs: z.int().min(0),
  versions: z.strictObject({ evenkeel: z.string(), node: z.string(), deterministic: z.boolean() }),
});

export type ExperimentRecord = z.infer<typeof experimentRecordSchema>;
export type MetricRecord = z.infer<typeof metricSchema>;

const finite = (x: number) => (Number.isFinite(x) ? x : null);

/** The record of a conclusion. A quick run has no verdicts, whatever its metrics say. */
export function recordOf(
  experiment: Experiment,
  plan: Plan,
  { metrics, verdict, finding, figures }: Conclusion,
  run: { started: Date; finished: Date; jobs: number; versions: ExperimentRecord["versions"] },
): ExperimentRecord {
  const { id, title, claim, source, refutedBy, setting, shows, doesNotShow, exploratory } = experiment;
  const isFull = plan.mode === "full";
  return {
    kind: "experiment",
    schemaVersion: EXPERIMENT_SCHEMA_VERSION,
    id,
    title,
    claim,
    source,
    refutedBy,
    setting,
    shows,
    doesNotShow,
    formulas: [...experiment.formulas],
    exploratory,
    changes: [...experiment.changes],
    plan: { ...plan, seeds: [...plan.seeds] },
    verdict: isFull ? verdict : null,
    finding,
    metrics: metrics.map(({ estimate, low, high, values, verdict: own, ...rest }) => ({
      ...rest,
      estimate: finite(estimate),
      low: finite(low),
      high: finite(high),
      values: values.map(finite),
      ...(own === undefined || !isFull ? {} : { verdict: own }),
    })),
    figures: [...figures],
    started: run.started.toISOString(),
    finished: run.finished.toISOString(),
    jobs: run.jobs,
    versions: run.versions,
  };
}

/**
 * Reads a record from text.
 *
 * @param name of the file, for the message
 * @throws DataError if it is no JSON, no record of an experiment, of another version, or not as the schema says
 */
export function parseExperimentRecord(text: string, name: string): ExperimentRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${name}: expected a record as JSON, got text that is none (${(cause as Error).message}).`, { cause });
  }
  const { kind, schemaVersion } = (json ?? {}) as { kind?: unknown; schemaVersion?: unknown };
  if (kind !== "experiment") {
    throw new DataError(`${name}: expected a record of kind "experiment", got ${JSON.stringify(kind) ?? "none"}.`);
  }
  if (schemaVersion !== EXPERIMENT_SCHEMA_VERSION) {
    throw new DataError(
      `${name}: expected schema version ${EXPERIMENT_SCHEMA_VERSION}, got ${JSON.stringify(schemaVersion)}. ` +
        "It was written by another version of evenkeel: run the experiment again, or read it with that version.",
    );
  }
  const parsed = experimentRecordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new DataError(`${name}: the record is damaged at ${issue.path.join(".") || "its top"}: ${issue.message}.`);
}
