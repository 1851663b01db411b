import { OptionError } from "../core/errors.js";
import { Optimizer, type Params, type UpdateRule } from "./optimizer.js";
import { checkLr, checkRange } from "./param-group.js";

export interface SGDOptions {
  lr: number;
  /** Share of the last direction that is kept; 0 keeps none (default 0). */
  momentum: number;
  /** Part of the gradient that momentum leaves out, from the second step on (default 0). */
  dampening: number;
  /** Adds weightDecay · parameter to the gradient (default 0). */
  weightDecay: number;
  /** Looks ahead: g + momentum · velocity in place of the velocity (default false). */
  nesterov: boolean;
}

const rule: UpdateRule<SGDOptions> = {
  name: "SGD",
  check({ lr, momentum, dampening, weightDecay, nesterov }) {
    checkLr("SGD", lr);
    checkRange("SGD", "momentum", momentum);
    checkRange("SGD", "weightDecay", weightDecay);
    checkRange("SGD", "dampening", dampening, -Infinity);
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new OptionError(
        `SGD: Nesterov momentum requires a momentum and zero dampening, got momentum = ${momentum}, dampening = ${dampening}.`,
      );
    }
  },
  buffers: ({ momentum }) => (momentum === 0 ? [] : ["momentum_buffer"]),
  update(backend, { buffers, ...lists }, { momentum, dampening, weightDecay, nesterov }) {
    const velocities = buffers.momentum_buffer ?? null;
    backend.call("sgd", { ...lists, velocities, momentum, dampening, weightDecay, nesterov: nesterov ? 1 : 0 });
  },
};

/**
 * Stochastic gradient descent: v ← momentum · v + (1 − dampening) · g, p ← p − lr · v, where g = gradient + weightDecay · p
 * and v is g itself in the first step.
 *
 * @param params tensors, or groups { params, lr?, momentum?, … }
 * @param options.lr learning rate (default 0.001)
 * @throws OptionError if an option cannot be used
 * @example
 * const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
 * @see Sutskever, Martens, Dahl, Hinton 2013, for Nesterov's rule
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(rule, params, { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false, ...options });
  }
}
