import { z } from "zod";
import { DataError } from "../core/errors.js";

/** Version of the layout below. A record of another version is refused, never guessed at. */
export const RECORD_SCHEMA_VERSION = 1;

/** The two networks of a comparison, in the order in which everything shows them. */
export const ARM_NAMES = ["plain", "batch-norm"] as const;
export const ACTIVATIONS = ["relu", "sigmoid", "tanh", "gelu", "silu", "leaky-relu"] as const;
export const DATA_SETS = ["mnist", "fashion"] as const;

/** JSON has no NaN and no Infinity: a value that is not finite is stored as null. */
const value = z.number().nullable();
const count = z.int().min(0);
const positive = z.int().min(1);

/** Everything that decides what a comparison computes. The same configuration gives the same losses. */
export const compareConfigSchema = z.strictObject({
  /** Passes over the training set. */
  epochs: positive,
  /** Learning rate of plain SGD, the same in both arms and constant. */
  lr: z.number().positive(),
  /** Images per step; at least 2, since batch normalization needs more than one value per unit. */
  batch: z.int().min(2),
  seed: count,
  data: z.enum(DATA_SETS),
  /** Folder of the data set's files; left out, the usual places are searched. */
  dataDir: z.string().optional(),
  /** Widths of the hidden layers, at least one. */
  hidden: z.array(positive).min(1),
  activation: z.enum(ACTIVATIONS),
  threads: positive,
  /** The same bits on every machine (plain SIMD), or the fastest kernels of this one. */
  deterministic: z.boolean(),
});

/** Pooled counts: `counts[i]` values lie in [edges[i], edges[i + 1]), the last bin includes its end. */
const histogramSchema = z
  .strictObject({
    edges: z.array(z.number()).min(2),
    counts: z.array(count).min(1),
    /** Values that were NaN or infinite and are in no bin. */
    nonFinite: count,
  })
  .refine((h) => h.edges.length === h.counts.length + 1, { message: "needs one more edge than counts" })
  .refine((h) => h.edges.every((edge, i) => i === 0 || edge > (h.edges[i - 1] as number)), { message: "edges must rise" });

/** One number per unit of the layer, in the layer's order. */
const perUnitSchema = z
  .strictObject({
    mean: z.array(value).min(1),
    std: z.array(value),
    p15: z.array(value),
    p50: z.array(value),
    p85: z.array(value),
  })
  .refine((u) => [u.std, u.p15, u.p50, u.p85].every((list) => list.length === u.mean.length), {
    message: "needs lists of one length",
  });

/** What a layer's values looked like at one place and one time; all but `units` pools every unit. */
export const distributionSchema = z.strictObject({
  histogram: histogramSchema,
  percentiles: z.strictObject({ p5: value, p15: value, p50: value, p85: value, p95: value }),
  mean: value,
  std: value,
  units: perUnitSchema,
});

/** The first hidden layer after `step` steps (0: before training). */
export const snapshotSchema = z.strictObject({
  step: count,
  /** The Linear layer's output: the pre-activation in the plain arm, the input of normalization in the other. */
  before: distributionSchema,
  /** The output of batch normalization; absent in the plain arm. */
  after: distributionSchema.optional(),
});

/** One finished epoch: the mean of its training losses, then the test set in evaluation mode. */
export const epochSchema = z.strictObject({
  epoch: positive,
  meanLoss: value,
  testLoss: value,
  testAccuracy: z.number().min(0).max(1),
  /** Training time of this epoch for this arm, without evaluation and snapshots. */
  seconds: z.number().min(0),
});

export const armSchema = z.strictObject({
  name: z.enum(ARM_NAMES),
  /** Training-mode loss of every step taken; null where it was NaN or infinite. */
  losses: z.array(value),
  epochs: z.array(epochSchema),
  /** Training throughput over the whole run; null before the first step. */
  samplesPerSecond: value,
  /** Training time of the whole run, without evaluation and snapshots. */
  trainSeconds: z.number().min(0),
  /** Fraction of the test set, evaluation mode, at the end of what was trained; null if it was not measured. */
  finalTestAccuracy: z.number().min(0).max(1).nullable(),
  snapshots: z.array(snapshotSchema),
});

const date = z.iso.datetime();

export const compareRecordSchema = z
  .strictObject({
    kind: z.literal("compare"),
    schemaVersion: z.literal(RECORD_SCHEMA_VERSION),
    started: date,
    finished: date,
    interrupted: z.boolean(),
    config: compareConfigSchema,
    versions: z.strictObject({
      evenkeel: z.string(),
      node: z.string(),
      backend: z.string(),
      threads: positive,
      deterministic: z.boolean(),
    }),
    data: z.strictObject({
      /** For people: which data set, from where. */
      source: z.string(),
      /** The small built-in sample stood in for the full data set. */
      sample: z.boolean(),
      trainImages: positive,
      testImages: positive,
    }),
    stepsPerEpoch: positive,
    /** What the snapshots were taken on. */
    probe: z.strictObject({
      images: positive,
      /** For people, to stand in a sentence: "the first 512 training images, in training mode". */
      description: z.string(),
    }),
    arms: z.array(armSchema),
  })
  .refine((record) => ARM_NAMES.every((name, i) => record.arms[i]?.name === name) && record.arms.length === 2, {
    message: `needs the arms ${ARM_NAMES.join(" and ")}, in this order`,
    path: ["arms"],
  });

export type ArmName = (typeof ARM_NAMES)[number];
export type Activation = (typeof ACTIVATIONS)[number];
/** Options of a comparison after parsing. */
export type CompareOptions = z.infer<typeof compareConfigSchema>;
export type Distribution = z.infer<typeof distributionSchema>;
export type Snapshot = z.infer<typeof snapshotSchema>;
export type EpochResult = z.infer<typeof epochSchema>;
export type ArmRecord = z.infer<typeof armSchema>;
export type CompareRecord = z.infer<typeof compareRecordSchema>;

/** A number of each arm; null where it is unknown yet or not finite. */
export type PerArm = Readonly<Record<ArmName, number | null>>;

/** What a running comparison tells, in this order: one start, then steps and epochs of both arms. */
export type CompareEvent =
  | {
      type: "start";
      epochs: number;
      stepsPerEpoch: number;
      totalSteps: number;
      data: CompareRecord["data"];
    }
  | {
      type: "step";
      /** The arm that took the step. */
      arm: ArmName;
      /** Counted from 1. */
      epoch: number;
      /** Steps this arm has taken, from 1 to totalSteps. */
      step: number;
      totalSteps: number;
      /** Newest training loss of both arms. */
      losses: PerArm;
      /** Training images per second of both arms so far. */
      samplesPerSecond: PerArm;
    }
  | ({ type: "epoch"; arm: ArmName } & EpochResult);

/** What `runCompare` takes beside its options. On abort it resolves with what was done, `interrupted: true`. */
export interface CompareHooks {
  onEvent?: (event: CompareEvent) => void;
  signal?: AbortSignal;
}

/** The run itself, as the command line calls it. */
export type RunCompare = (options: CompareOptions, hooks: CompareHooks) => Promise<CompareRecord>;

/** The finite number, or null: the form in which a record stores what may have diverged. */
export function finiteOrNull(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

/**
 * Reads a record from the text of a `record.json`.
 *
 * @throws DataError that names the place if the text is no JSON, is no record, or has another schema version
 */
export function parseRecord(json: string): CompareRecord {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch (cause) {
    throw new DataError(`Record: expected JSON, got text that does not parse (${reason(cause)}). The file may be cut off.`, {
      cause,
    });
  }
  checkVersion(data);
  return checkRecord(data);
}

/** An indented JSON list that holds only numbers and nulls. A raw line break cannot stand in a JSON string. */
const NUMBER_LIST = /\[\n\s*(?:-?\d[\d.eE+-]*|null)(?:,\n\s*(?:-?\d[\d.eE+-]*|null))*\n\s*\]/g;

/**
 * The text of a `record.json`: indented, lists of numbers on one line, 9 significant digits (float32 survives).
 *
 * @throws DataError if the record breaks the schema
 */
export function stringifyRecord(record: CompareRecord): string {
  const rounded = (_key: string, x: unknown) => (typeof x === "number" && !Number.isInteger(x) ? Number(x.toPrecision(9)) : x);
  const text = JSON.stringify(checkRecord(record), rounded, 1);
  return `${text.replace(NUMBER_LIST, (list) => list.replace(/\n\s*/g, ""))}\n`;
}

function checkRecord(data: unknown): CompareRecord {
  const result = compareRecordSchema.safeParse(data);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue?.path.length ? issue.path.join(".") : "the top level";
  throw new DataError(`Record: broken at ${place}: ${oneLine(issue?.message ?? "unknown")}. Write it again with a new run.`);
}

function checkVersion(data: unknown): void {
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    throw new DataError("Record: expected a JSON object, got another kind of value. Is this a record.json of evenkeel compare?");
  }
  const { kind, schemaVersion } = data as { kind?: unknown; schemaVersion?: unknown };
  if (kind !== "compare") {
    throw new DataError(`Record: expected kind "compare", got ${show(kind)}. Is this a record.json of evenkeel compare?`);
  }
  if (schemaVersion !== RECORD_SCHEMA_VERSION) {
    throw new DataError(
      `Record: expected schemaVersion ${RECORD_SCHEMA_VERSION}, got ${show(schemaVersion)}. Read it with the evenkeel that wrote it.`,
    );
  }
}

function show(x: unknown): string {
  return x === undefined ? "none" : oneLine(JSON.stringify(x)).slice(0, 60);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}

function reason(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error)).slice(0, 80);
}
