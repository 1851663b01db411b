import { watch } from "../engine/recorder.js";

const mode = { updating: true };

/** Whether layers in training mode move their running statistics. */
export function isUpdatingStats(): boolean {
  watch(mode);
  return mode.updating;
}

/**
 * Runs `fn`, during which no layer moves its running statistics, whatever its mode: for recomputation and for further forward
 * passes over a batch that was counted already. Training mode still normalizes with the batch's own statistics.
 */
export function withoutStatsUpdate<T>(fn: () => T): T {
  const previous = mode.updating;
  mode.updating = false;
  try {
    return fn();
  } finally {
    mode.updating = previous;
  }
}
