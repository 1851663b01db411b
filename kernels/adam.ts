// Adam and AdamW, by PyTorch's rule (torch.optim.Adam, torch.optim.AdamW). A unit is a line of a parameter (lists.ts).
import { Adam } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";

/** base^n for a whole number n >= 0; its relative error is about n times that of a float64. */
function power(base: f64, n: f64): f64 {
  let result: f64 = 1;
  for (let bits = <u64>n; bits; bits >>= 1, base *= base) if (bits & 1) result *= base;
  return result;
}

/**
 * Updates `n` elements (1 to 4): g += weightDecay · param, or, decoupled, param *= 1 - lr · weightDecay;
 * m += (1 - beta1) (g - m); v = beta2 · v + (1 - beta2) g²; param -= rate · m / (√v · correction + eps).
 */
@inline function update(
  n: i32, params: usize, grads: usize, ms: usize, vs: usize, rate: v128, correction: v128, eps: v128,
  mShare: v128, beta2: v128, vShare: v128, decay: v128, decays: bool, decoupled: bool,
): void {
  let param = loadLanes(params, n), g = loadLanes(grads, n);
  if (decays) {
    if (decoupled) param = f32x4.mul(param, decay);
    else g = f32x4.add(g, f32x4.mul(decay, param));
  }
  let m = loadLanes(ms, n), v = loadLanes(vs, n);
  m = f32x4.add(m, f32x4.mul(mShare, f32x4.sub(g, m)));
  v = f32x4.add(f32x4.mul(beta2, v), f32x4.mul(f32x4.mul(vShare, g), g));
  storeLanes(ms, m, n);
  storeLanes(vs, v, n);
  const size = f32x4.add(f32x4.mul(f32x4.sqrt(v), correction), eps);
  storeLanes(params, f32x4.sub(param, f32x4.div(f32x4.mul(rate, m), size)), n);
}

/** With t = step + 1, rate = lr / (1 - beta1^t) and correction = 1 / √(1 - beta2^t). */
export function adam(a: Adam, from: i32, to: i32): void {
  const lr = load<f64>(a.lr), t = load<f64>(a.step) + 1;
  const rate = f32x4.splat(<f32>(lr / (1 - power(a.beta1, t))));
  const correction = f32x4.splat(<f32>(1 / sqrt<f64>(1 - power(a.beta2, t)))), eps = f32x4.splat(<f32>a.eps);
  const mShare = f32x4.splat(<f32>(1 - a.beta1)), beta2 = f32x4.splat(<f32>a.beta2), vShare = f32x4.splat(<f32>(1 - a.beta2));
  const decoupled = a.decoupled != 0, decays = a.weightDecay != 0;
  const decay = f32x4.splat(<f32>(decoupled ? 1 - lr * a.weightDecay : a.weightDecay)), args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size);
    const params = arrayAt(args, a.params, k), grads = arrayAt(args, a.grads, k);
    const m = arrayAt(args, a.m, k), v = arrayAt(args, a.v, k);
    let i = startIn(line, from);
    // Whole vectors in a loop of their own: with the calls for the rest in it, constants do not stay in registers.
    for (; i + 4 <= end; i += 4) {
      const o = <usize>i << 2;
      update(
        4, params + o, grads + o, m + o, v + o, rate, correction, eps, mShare, beta2, vShare, decay, decays, decoupled,
      );
    }
    if (i < end) {
      const o = <usize>i << 2;
      update(
        end - i, params + o, grads + o, m + o, v + o, rate, correction, eps, mShare, beta2, vShare, decay, decays, decoupled,
      );
    }
    line += linesOf(size);
  }
}
