import { type AdamOptions, adamRule } from "./adam-rule.js";
import { Optimizer, type Params } from "./optimizer.js";

const rule = adamRule("Adam", false);

/**
 * Adam: m and v are running means of g and g², freed of their bias towards 0; p ← p − lr · m̂ / (√v̂ + eps), where
 * g = gradient + weightDecay · p.
 *
 * @param params tensors, or groups { params, lr?, betas?, … }
 * @param options.lr learning rate (default 0.001)
 * @param options.betas how much of the old means is kept (default [0.9, 0.999])
 * @param options.eps added to √v̂ (default 1e-8)
 * @param options.weightDecay part of the gradient; see AdamW for the other way (default 0)
 * @throws OptionError if an option cannot be used
 * @see Kingma & Ba 2015, algorithm 1
 */
export class Adam extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(rule, params, { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, ...options });
  }
}
