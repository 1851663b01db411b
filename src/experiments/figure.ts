// Figures of experiments as data: numbers and words, no drawing. A record holds them, so that a report needs nothing else.
import { z } from "zod";

/** JSON has no NaN and no Infinity: what is not finite is null, and breaks a line. */
const value = z.number().nullable();

/** What a colour stands for, the same in every figure. */
export const ROLES = ["plain", "batch-norm", "layer-norm", "other", "theory"] as const;

const axis = z.strictObject({
  label: z.string(),
  /** Logarithmic to base 10 (default false). */
  log: z.boolean().optional(),
});

/** A line across the panel that the eye measures against: a threshold, a law. */
const rule = z.strictObject({ axis: z.enum(["x", "y"]), value: z.number(), label: z.string() });

const words = {
  name: z.string().regex(/^[a-z0-9-]+$/),
  title: z.string(),
  /** The content in words, for those who cannot see it. */
  description: z.string(),
  /** What was measured, on how many seeds, steps and examples. */
  caption: z.string(),
};

const linesSchema = z.strictObject({
  kind: z.literal("lines"),
  ...words,
  x: axis,
  y: axis,
  series: z
    .array(
      z.strictObject({
        label: z.string(),
        role: z.enum(ROLES),
        /** Small multiples: series of one panel share a frame (default: one frame). */
        panel: z.string().optional(),
        dashed: z.boolean().optional(),
        /** [x, y] or, with a band, [x, y, low, high]. */
        points: z.array(z.union([z.tuple([z.number(), value]), z.tuple([z.number(), value, value, value])])),
      }),
    )
    .min(1),
  rules: z.array(rule),
});

const dotsSchema = z.strictObject({
  kind: z.literal("dots"),
  ...words,
  x: axis,
  rows: z
    .array(
      z.strictObject({
        label: z.string(),
        role: z.enum(ROLES),
        group: z.string().optional(),
        estimate: value,
        low: value,
        high: value,
        /** One value of each seed. */
        values: z.array(value).optional(),
      }),
    )
    .min(1),
  rules: z.array(rule),
});

const heatSchema = z.strictObject({
  kind: z.literal("heat"),
  ...words,
  x: z.strictObject({ label: z.string(), values: z.array(z.string()).min(1) }),
  y: z.strictObject({ label: z.string(), values: z.array(z.string()).min(1) }),
  /** What a colour measures, and the ends of the scale. */
  scale: z.strictObject({ label: z.string(), from: z.number(), to: z.number() }),
  /** A row for each of y's values. */
  cells: z.array(z.array(value)).min(1),
});

export const figureSchema = z.discriminatedUnion("kind", [linesSchema, dotsSchema, heatSchema]);

export type Role = (typeof ROLES)[number];
export type LinesFigure = z.infer<typeof linesSchema>;
export type DotsFigure = z.infer<typeof dotsSchema>;
export type HeatFigure = z.infer<typeof heatSchema>;
export type Figure = z.infer<typeof figureSchema>;
