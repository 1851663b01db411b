import { z } from "zod";
import { OptionError } from "../core/errors.js";
import type { LayerSpec } from "./network.js";

const count = z.int().min(1);
const pair = z.union([count, z.tuple([count, count])]);
const padding = z.union([z.int().min(0), z.tuple([z.int().min(0), z.int().min(0)])]);
const rate = z.number().positive();
const share = z.number().min(0).max(1);
const nonNegative = z.number().min(0);

const norm = {
  eps: nonNegative.optional(),
  momentum: z.number().nullable().optional(),
  decay: z.number().optional(),
  affine: z.boolean().optional(),
  weight: z.boolean().optional(),
  bias: z.boolean().optional(),
  trackRunningStats: z.boolean().optional(),
  unbiasedRunningVar: z.boolean().optional(),
};
const eps = nonNegative.optional();
const affine = z.boolean().optional();
const windows = { kernel: pair, stride: pair.optional(), padding: padding.optional() };

/** A layer; see `LayerSpec` in network.ts. */
export const layerSchema: z.ZodType<LayerSpec, LayerSpec> = z.lazy(() =>
  z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("linear"), out: count, in: count.optional(), bias: z.boolean().optional() }),
    z.strictObject({
      type: z.literal("conv2d"),
      out: count,
      ...windows,
      in: count.optional(),
      dilation: pair.optional(),
      groups: count.optional(),
      bias: z.boolean().optional(),
    }),
    z.strictObject({ type: z.literal("batchNorm"), features: count.optional(), ...norm }),
    z.strictObject({
      type: z.literal("batchRenorm"),
      rMax: z.number().min(1).optional(),
      dMax: nonNegative.optional(),
      ...norm,
    }),
    z.strictObject({ type: z.literal("ghostBatchNorm"), ghostSize: count, ...norm }),
    z.strictObject({
      type: z.literal("iterNorm"),
      groupSize: count.optional(),
      iterations: count.optional(),
      eps,
      momentum: z.number().optional(),
      affine,
    }),
    z.strictObject({ type: z.enum(["layerNorm", "rmsNorm"]), eps }),
    z.strictObject({ type: z.literal("groupNorm"), groups: count, eps, affine }),
    z.strictObject({ type: z.literal("instanceNorm"), eps, affine }),
    z.strictObject({ type: z.enum(["relu", "sigmoid", "tanh", "gelu", "silu", "flatten"]) }),
    z.strictObject({ type: z.literal("leakyRelu"), slope: z.number().optional() }),
    z.strictObject({ type: z.literal("softmax"), axis: z.int().optional() }),
    z.strictObject({ type: z.literal("dropout"), p: share.optional() }),
    z.strictObject({ type: z.literal("maxPool2d"), ...windows }),
    z.strictObject({ type: z.literal("avgPool2d"), ...windows, countIncludePad: z.boolean().optional() }),
    z.strictObject({ type: z.literal("adaptiveAvgPool2d"), size: pair }),
    z.strictObject({
      type: z.literal("residual"),
      branch: z.array(layerSchema).min(1),
      shortcut: z.array(layerSchema).optional(),
    }),
  ]),
) as z.ZodType<LayerSpec, LayerSpec>;

const dataSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.enum(["mnist", "fashion", "cifar10"]), dir: z.string().optional() }),
  z.strictObject({ type: z.literal("csv"), file: z.string(), label: z.union([z.string(), z.int()]).optional() }),
  z.strictObject({ type: z.literal("images"), dir: z.string(), channels: z.union([z.literal(1), z.literal(3)]).optional() }),
  z.strictObject({
    type: z.enum(["moons", "spirals", "blobs"]),
    count: z.int().min(4).default(1000),
    noise: nonNegative.optional(),
  }),
]);

const optimizerSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("sgd"),
    lr: rate,
    momentum: nonNegative.optional(),
    dampening: z.number().optional(),
    weightDecay: nonNegative.optional(),
    nesterov: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.enum(["adam", "adamw"]),
    lr: rate.default(1e-3),
    betas: z.tuple([share, share]).optional(),
    eps: nonNegative.optional(),
    weightDecay: nonNegative.optional(),
  }),
  z.strictObject({
    type: z.literal("rmsprop"),
    lr: rate.default(1e-2),
    alpha: nonNegative.optional(),
    eps: nonNegative.optional(),
    momentum: nonNegative.optional(),
    weightDecay: nonNegative.optional(),
  }),
]);

/** Schedules count steps of training, not epochs. */
const scheduleSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("step"), size: count, gamma: z.number().positive().default(0.1), warmUp: count.optional() }),
  z.strictObject({
    type: z.literal("multiStep"),
    milestones: z.array(count).min(1),
    gamma: z.number().positive().default(0.1),
    warmUp: count.optional(),
  }),
  z.strictObject({ type: z.literal("cosine"), floor: share.default(0), warmUp: count.optional() }),
  z.strictObject({ type: z.literal("constant"), warmUp: count.optional() }),
]);

/** What `evenkeel train config.json` reads. */
export const trainConfigSchema = z.strictObject({
  data: dataSchema,
  /** Layers in order; sizes of inputs are found out. */
  network: z.array(layerSchema).min(1),
  optimizer: optimizerSchema,
  schedule: scheduleSchema.optional(),
  epochs: count,
  batchSize: z.int().min(2).default(64),
  /** Decides initial weights, order of examples, dropout and the validation part. */
  seed: z.int().min(0).default(0),
  /** Part of the training examples that is kept for validation. */
  validation: z.number().gt(0).lt(1).default(0.1),
  labelSmoothing: share.default(0),
  clipNorm: z.number().positive().optional(),
  /** Examples that are computed at once; statistics are still those of the whole batch. */
  microBatch: count.optional(),
  earlyStopping: z
    .strictObject({ patience: count, minDelta: nonNegative.optional(), restoreBest: z.boolean().optional() })
    .optional(),
  threads: count.max(64).optional(),
  deterministic: z.boolean().default(false),
});

export type TrainConfig = z.infer<typeof trainConfigSchema>;

/** The same for a worker, which may have its data from elsewhere and an engine that runs already. */
const trainerConfigSchema = trainConfigSchema.partial({ data: true }).extend({ deterministic: z.boolean().optional() });

/** A configuration as it is written for `Trainer.train`: as in a file, but `data` may be left out. */
export type TrainerConfig = z.input<typeof trainerConfigSchema>;
/** A `TrainerConfig` with defaults filled in. */
export type CheckedTrainerConfig = z.output<typeof trainerConfigSchema>;

/** "network[3].out" from the parts of a path. */
function placeOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the top level";
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`)).join("");
}

/**
 * Reads a configuration from JSON text.
 *
 * @param file for error messages
 * @throws OptionError that names file and place
 */
export function parseTrainConfig(text: string, file = "config"): TrainConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new OptionError(`${file}: expected JSON, got text that does not parse (${(cause as Error).message}).`, { cause });
  }
  return checked(trainConfigSchema, value, file);
}

/**
 * Checks a configuration for a worker and fills in defaults.
 *
 * @throws OptionError that names the place
 */
export function checkTrainerConfig(value: unknown): CheckedTrainerConfig {
  return checked(trainerConfigSchema, value, "config");
}

function checked<S extends z.ZodType>(schema: S, value: unknown, file: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new OptionError(
    `${file}: at ${placeOf(issue?.path ?? [])}: ${issue?.message ?? "not a configuration"}.`.replace(/\.\.$/, "."),
  );
}
