import { OptionError } from "../core/errors.js";
import type { DataLoader } from "../data/loader.js";
import type { Module } from "../nn/module.js";
import { checkTrainerConfig, type TrainerConfig } from "./config.js";
import type { FitOptions } from "./fit.js";
import { prepare, type TrainSets } from "./prepare.js";
import { syntheticSets } from "./synthetic-sets.js";

/** A training made by code of one's own, as `prepare` makes one from a configuration. */
export interface CustomTraining {
  model: Module;
  fit: FitOptions;
  /** Evaluated at the end (default: nothing is). */
  test?: DataLoader | null;
}

export interface RecipeContext {
  /** The data set that the page named; null if it named none. */
  sets: TrainSets | null;
  /** Sends a value that can be cloned to the page, as an event of type "message". */
  send(value: unknown): void;
}

/** Makes model, loaders and optimizer from what the page sent. What is random should follow a seed: call `manualSeed` first. */
export type Recipe = (settings: unknown, context: RecipeContext) => CustomTraining | Promise<CustomTraining>;

/** Asks for a recipe of the worker by name. */
export interface RecipeCall {
  recipe: string;
  /** Anything that can be cloned. */
  settings?: unknown;
}

/** What to train: a configuration, or a recipe. */
export type TrainPlan = TrainerConfig | RecipeCall;

/** A plan that is known to make sense. */
export type CheckedPlan = { engine: { threads?: number; deterministic?: boolean }; make(): Promise<CustomTraining> };

/**
 * Checks a plan as far as that goes without an engine.
 * @throws OptionError naming the place in a configuration, or the recipes there are
 */
export function checkPlan(plan: TrainPlan, context: RecipeContext, recipes: Readonly<Record<string, Recipe>>): CheckedPlan {
  if (typeof plan === "object" && plan !== null && "recipe" in plan) {
    const recipe = Object.hasOwn(recipes, plan.recipe) ? recipes[plan.recipe] : undefined;
    if (recipe === undefined) {
      const names = Object.keys(recipes).join(", ") || "none";
      throw new OptionError(`train: expected a recipe of the worker (${names}), got ${JSON.stringify(plan.recipe)}.`);
    }
    return { engine: {}, make: async () => recipe(plan.settings, context) };
  }
  const { data, threads, deterministic, ...rest } = checkTrainerConfig(plan);
  const sets = context.sets ?? (data && "count" in data ? syntheticSets(data, rest.seed) : null);
  if (sets === null) {
    const got = data === undefined ? "none" : `"${data.type}"`;
    throw new OptionError(
      `config: at data: expected a synthetic set, got ${got}; for other data give what Trainer.load returned.`,
    );
  }
  const engine = { ...(threads === undefined ? {} : { threads }), ...(deterministic === undefined ? {} : { deterministic }) };
  return { engine, make: async () => prepare(rest, sets) };
}
