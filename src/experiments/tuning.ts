// The learning rate of each arm, chosen on validation images with a seed that is not reported.
import type { Job, Json, Results } from "./protocol.js";
import { LEARNING_RATES, TUNING_SEED } from "./protocol.js";

/** What tunes one arm at one learning rate; `arm` is whatever distinguishes arms. */
export type TuningParams = { kind: "tune"; arm: string; lr: number; seed: number };

/** What a tuning job found: validation loss after its steps, null where it diverged. */
export type TuningResult = { validationLoss: number | null };

const keyOf = (arm: string, lr: number) => `tune-${arm}-lr-${lr}`;

/** A job for each arm and learning rate. */
export function tuningJobs(arms: readonly string[], rates: readonly number[] = LEARNING_RATES): Job<TuningParams>[] {
  return arms.flatMap((arm) =>
    rates.map((lr) => ({ key: keyOf(arm, lr), params: { kind: "tune" as const, arm, lr, seed: TUNING_SEED } })),
  );
}

/** The learning rate with the lowest validation loss, or null while a tuning job is missing or if all diverged. */
export function tunedRate(done: Results<Json>, arm: string, rates: readonly number[] = LEARNING_RATES): number | null {
  let best: { lr: number; loss: number } | null = null;
  for (const lr of rates) {
    const result = done.get(keyOf(arm, lr)) as TuningResult | undefined;
    if (result === undefined) return null;
    const loss = result.validationLoss;
    if (loss !== null && (best === null || loss < best.loss)) best = { lr, loss };
  }
  return best?.lr ?? null;
}
