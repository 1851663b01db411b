// RMSprop, by PyTorch's rule (torch.optim.RMSprop, not centered). A unit is one element.
import { Rmsprop } from "./generated";
import { loadLanes, storeLanes } from "./lanes";

/**
 * g += weightDecay · param; square = alpha · square + (1 - alpha) g²; step = g / (√square + eps);
 * with velocity: velocity = momentum · velocity + step, param -= lr · velocity; without: param -= lr · step.
 */
export function rmsprop(a: Rmsprop, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay), eps = f32x4.splat(<f32>a.eps);
  const alpha = f32x4.splat(<f32>a.alpha), share = f32x4.splat(<f32>(1 - a.alpha)), momentum = f32x4.splat(<f32>a.momentum);
  const decays = a.weightDecay != 0;
  for (let i = from; i < to; i += 4) {
    const offset = <usize>i << 2, n = to - i, param = loadLanes(a.param + offset, n);
    let g = loadLanes(a.grad + offset, n), square = loadLanes(a.square + offset, n);
    if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
    square = f32x4.add(f32x4.mul(alpha, square), f32x4.mul(f32x4.mul(share, g), g));
    storeLanes(a.square + offset, square, n);
    let step = f32x4.div(g, f32x4.add(f32x4.sqrt(square), eps));
    if (a.velocity) {
      step = f32x4.add(f32x4.mul(momentum, loadLanes(a.velocity + offset, n)), step);
      storeLanes(a.velocity + offset, step, n);
    }
    storeLanes(a.param + offset, f32x4.sub(param, f32x4.mul(lr, step)), n);
  }
}
