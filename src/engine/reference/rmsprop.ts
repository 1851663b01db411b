import type { Args } from "./arrays.js";

/**
 * RMSprop (Tieleman & Hinton 2012) by PyTorch's rule: g = grad + weightDecay·param, square = α·square + (1 - α)·g²,
 * d = g / (√square + ε); with a velocity, velocity = momentum·velocity + d and param -= lr·velocity, else param -= lr·d.
 */
export function rmsprop(args: Args<"rmsprop">): void {
  const { velocities, lr, sizes, alpha, eps, weightDecay, momentum } = args;
  sizes.forEach((n, k) => {
    const [param, grad, square, velocity] = [args.params[k]!, args.grads[k]!, args.squares[k]!, velocities?.[k]];
    for (let i = 0; i < n; i++) {
      const g = grad[i]! + weightDecay * param[i]!;
      square[i] = alpha * square[i]! + (1 - alpha) * g * g;
      let direction = g / (Math.sqrt(square[i]!) + eps);
      if (velocity) {
        direction += momentum * velocity[i]!;
        velocity[i] = direction;
      }
      param[i]! -= lr[0]! * direction;
    }
  });
}
