import { OptionError } from "../core/errors.js";
import type { UpdateRule } from "./optimizer.js";
import { checkLr, checkRange } from "./param-group.js";

export interface AdamOptions {
  lr: number;
  /** How much of the old means of g and g² is kept, each from 0 to below 1 (default [0.9, 0.999]). */
  betas: readonly [beta1: number, beta2: number];
  /** Added to the root of the mean square (default 1e-8). */
  eps: number;
  weightDecay: number;
}

/** Adam and AdamW differ in what weight decay does. */
export function adamRule(name: string, decoupled: boolean): UpdateRule<AdamOptions> {
  return {
    name,
    check({ lr, betas, eps, weightDecay }) {
      checkLr(name, lr);
      checkRange(name, "eps", eps);
      checkRange(name, "weightDecay", weightDecay);
      if (!Array.isArray(betas) || betas.length !== 2)
        throw new OptionError(`${name}: expected betas to be two numbers, got ${betas}.`);
      betas.forEach((beta, i) => {
        if (!(beta >= 0 && beta < 1)) {
          throw new OptionError(
            `${name}: Invalid beta parameter at index ${i}: expected a number of at least 0 and below 1, got ${beta}.`,
          );
        }
      });
    },
    buffers: () => ["exp_avg", "exp_avg_sq"],
    update(backend, { buffers, ...lists }, { betas: [beta1, beta2], eps, weightDecay }) {
      const state = { m: buffers.exp_avg!, v: buffers.exp_avg_sq! };
      backend.call("adam", { ...lists, ...state, beta1, beta2, eps, weightDecay, decoupled: decoupled ? 1 : 0 });
    },
  };
}
