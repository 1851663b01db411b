import type { Args } from "./arrays.js";

/**
 * Adam (Kingma & Ba 2015) and, if decoupled, AdamW (Loshchilov & Hutter 2019) by PyTorch's rule, with t = step[0] + 1:
 * AdamW: param *= 1 - lr·weightDecay; Adam: g = grad + weightDecay·param.
 * m = β₁·m + (1 - β₁)·g, v = β₂·v + (1 - β₂)·g², param -= lr/(1 - β₁ᵗ)·m / (√v/√(1 - β₂ᵗ) + ε). lr and step are cells.
 */
export function adam(args: Args<"adam">): void {
  const { lr, step, sizes, beta1, beta2, eps, weightDecay, decoupled } = args;
  const t = step[0]! + 1;
  const stepSize = lr[0]! / (1 - beta1 ** t);
  const correction = Math.sqrt(1 - beta2 ** t);
  sizes.forEach((n, k) => {
    const [param, grad, m, v] = [args.params[k]!, args.grads[k]!, args.m[k]!, args.v[k]!];
    for (let i = 0; i < n; i++) {
      let g = grad[i]!;
      if (decoupled) param[i]! *= 1 - lr[0]! * weightDecay;
      else g += weightDecay * param[i]!;
      m[i] = beta1 * m[i]! + (1 - beta1) * g;
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
      param[i]! -= (stepSize * m[i]!) / (Math.sqrt(v[i]!) / correction + eps);
    }
  });
}
