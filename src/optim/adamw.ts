import { type AdamOptions, adamRule } from "./adam-rule.js";
import { Optimizer, type Params } from "./optimizer.js";

const rule = adamRule("AdamW", true);

/**
 * Adam with decoupled weight decay: p shrinks by lr · weightDecay · p beside the step, and the means see the gradient alone.
 *
 * @param params tensors, or groups { params, lr?, betas?, … }
 * @param options.lr learning rate (default 0.001)
 * @param options.betas how much of the old means is kept (default [0.9, 0.999])
 * @param options.eps added to √v̂ (default 1e-8)
 * @param options.weightDecay (default 0.01)
 * @throws OptionError if an option cannot be used
 * @see Loshchilov & Hutter 2019, algorithm 2
 */
export class AdamW extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(rule, params, { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, ...options });
  }
}
