import type { Args } from "./arrays.js";

/**
 * Stochastic gradient descent by PyTorch's rule: g = grad + weightDecay·param; with a velocity, v = g in the first step (step[0]
 * = 0), later momentum·v + (1 - dampening)·g, and the direction is v, or g + momentum·v if nesterov; param -= lr·direction.
 * velocities is null where there is no momentum. lr and step are cells.
 */
export function sgd(args: Args<"sgd">): void {
  const { velocities, lr, step, sizes, momentum, dampening, weightDecay, nesterov } = args;
  sizes.forEach((n, k) => {
    const [param, grad, velocity] = [args.params[k]!, args.grads[k]!, velocities?.[k]];
    for (let i = 0; i < n; i++) {
      let direction = grad[i]! + weightDecay * param[i]!;
      if (velocity) {
        const v = step[0] === 0 ? direction : momentum * velocity[i]! + (1 - dampening) * direction;
        velocity[i] = v;
        direction = nesterov ? direction + momentum * v : v;
      }
      param[i]! -= lr[0]! * direction;
    }
  });
}
