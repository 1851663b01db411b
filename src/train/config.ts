import { z } from "zod";
import { checked, parseJson } from "./checked.js";
import { layerSchema } from "./layer-schema.js";

const count = z.int().min(1);
const rate = z.number().positive();
const share = z.number().min(0).max(1);
const nonNegative = z.number().min(0);

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

/**
 * Reads a configuration from JSON text.
 *
 * @param file for error messages
 * @throws OptionError that names file and place
 */
export function parseTrainConfig(text: string, file = "config"): TrainConfig {
  return checked(trainConfigSchema, parseJson(text, file), file);
}

/**
 * Checks a configuration for a worker and fills in defaults.
 *
 * @throws OptionError that names the place
 */
export function checkTrainerConfig(value: unknown): CheckedTrainerConfig {
  return checked(trainerConfigSchema, value, "config");
}
