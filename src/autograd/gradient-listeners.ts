import { refuseInStep } from "../engine/recorder.js";
import type { GradState, Tensor } from "../tensor/tensor.js";

/** Called with the whole gradient of a value, once in each backward pass that comes by. It may look, and must not write. */
export type GradientListener = (gradient: Tensor) => void;

const listeners = new WeakMap<GradState, Set<GradientListener>>();
/** Whether there has ever been a listener: else nobody looks for one. */
let isUsed = false;

/**
 * Calls `listener` with the gradient towards `t` in every backward pass, when all of its parts have been added up. The graph
 * stays what it is, so that all gradients keep their bits.
 *
 * @returns what takes the listener away again
 */
export function listenToGradient(t: Tensor, listener: GradientListener): () => void {
  refuseInStep("listenToGradient", "a recorded step would not call the listener: attach it outside.");
  isUsed = true;
  const own = listeners.get(t.gradState) ?? new Set();
  listeners.set(t.gradState, own);
  own.add(listener);
  return () => void own.delete(listener);
}

/** Tells the listeners of `state`, if any. */
export function announceGradient(state: GradState, gradient: Tensor): void {
  if (!isUsed) return;
  for (const listener of [...(listeners.get(state) ?? [])]) listener(gradient);
}
