// The learning rate of each arm, chosen on validation images by a seed outside the reported ones.
import type { Module } from "../nn/module.js";
import type { JobContext } from "./protocol.js";
import { splitImages, Watcher } from "./training.js";

/** Mean loss on the validation slice of the training images, in evaluation mode; null where it is not finite. */
export function validationLoss(model: Module, { train }: JobContext): number | null {
  const watcher = new Watcher(model, train, splitImages(train).validation);
  try {
    const { loss } = watcher.look();
    return Number.isFinite(loss) ? loss : null;
  } finally {
    watcher.dispose();
  }
}

/**
 * The rate whose tuning run ended with the lowest validation loss, the smallest of equals; a run that diverged (null) never wins
 * over one that did not. Returns undefined while a run is not yet known (undefined), so that `jobs()` can wait for it.
 *
 * @param lossOf validation loss of the tuning run at a rate
 */
export function bestRate(rates: readonly number[], lossOf: (rate: number) => number | null | undefined): number | undefined {
  const losses = rates.map(lossOf);
  if (losses.some((loss) => loss === undefined)) return undefined;
  const sizes = losses.map((loss) => loss ?? Number.POSITIVE_INFINITY);
  return rates[sizes.indexOf(Math.min(...sizes))];
}

/** `bestRate` of each arm; undefined while a tuning run of any of them is not yet known. */
export function bestRates<A extends string>(
  arms: readonly A[],
  rates: readonly number[],
  lossOf: (arm: A, rate: number) => number | null | undefined,
): Record<A, number> | undefined {
  const best = arms.map((arm) => [arm, bestRate(rates, (rate) => lossOf(arm, rate))] as const);
  return best.some(([, rate]) => rate === undefined) ? undefined : (Object.fromEntries(best) as Record<A, number>);
}
