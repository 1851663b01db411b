import { Optimizer, type Params, type UpdateRule } from "./optimizer.js";
import { checkLr, checkRange } from "./param-group.js";

export interface RMSpropOptions {
  lr: number;
  /** How much of the old mean of g² is kept (default 0.99). */
  alpha: number;
  /** Added to the root of the mean square (default 1e-8). */
  eps: number;
  /** Adds weightDecay · parameter to the gradient (default 0). */
  weightDecay: number;
  /** Share of the last direction that is kept (default 0). */
  momentum: number;
}

const rule: UpdateRule<RMSpropOptions> = {
  name: "RMSprop",
  check({ lr, alpha, eps, weightDecay, momentum }) {
    checkLr("RMSprop", lr);
    checkRange("RMSprop", "alpha", alpha);
    checkRange("RMSprop", "eps", eps);
    checkRange("RMSprop", "weightDecay", weightDecay);
    checkRange("RMSprop", "momentum", momentum);
  },
  buffers: ({ momentum }) => (momentum === 0 ? ["square_avg"] : ["square_avg", "momentum_buffer"]),
  update(backend, { buffers, step: _, ...lists }, { alpha, eps, weightDecay, momentum }) {
    const state = { squares: buffers.square_avg!, velocities: buffers.momentum_buffer ?? null };
    backend.call("rmsprop", { ...lists, ...state, alpha, eps, weightDecay, momentum });
  },
};

/**
 * RMSprop: each value's gradient is divided by the root of a running mean of its squares, p ← p − lr · g / (√v + eps).
 *
 * @param params tensors, or groups { params, lr?, alpha?, … }
 * @param options.lr learning rate (default 0.01)
 * @throws OptionError if an option cannot be used
 * @see Tieleman & Hinton 2012, lecture 6.5 of "Neural networks for machine learning"
 */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: Params<RMSpropOptions>, options: Partial<RMSpropOptions> = {}) {
    super(rule, params, { lr: 1e-2, alpha: 0.99, eps: 1e-8, weightDecay: 0, momentum: 0, ...options });
  }
}
