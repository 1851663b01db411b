// RMSprop, by PyTorch's rule (torch.optim.RMSprop, not centered). A unit is a line of a parameter (lists.ts).
import { Rmsprop } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";

/**
 * g += weightDecay · param; square = alpha · square + (1 - alpha) g²; step = g / (√square + eps);
 * with velocity: velocity = momentum · velocity + step, param -= lr · velocity; without: param -= lr · step.
 */
export function rmsprop(a: Rmsprop, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay), eps = f32x4.splat(<f32>a.eps);
  const alpha = f32x4.splat(<f32>a.alpha), share = f32x4.splat(<f32>(1 - a.alpha)), momentum = f32x4.splat(<f32>a.momentum);
  const decays = a.weightDecay != 0, args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size);
    const params = arrayAt(args, a.params, k), grads = arrayAt(args, a.grads, k), squares = arrayAt(args, a.squares, k);
    const velocities = a.velocities ? arrayAt(args, a.velocities, k) : 0;
    for (let i = startIn(line, from); i < end; i += 4) {
      const offset = <usize>i << 2, n = end - i, param = loadLanes(params + offset, n);
      let g = loadLanes(grads + offset, n), square = loadLanes(squares + offset, n);
      if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
      square = f32x4.add(f32x4.mul(alpha, square), f32x4.mul(f32x4.mul(share, g), g));
      storeLanes(squares + offset, square, n);
      let step = f32x4.div(g, f32x4.add(f32x4.sqrt(square), eps));
      if (velocities) {
        step = f32x4.add(f32x4.mul(momentum, loadLanes(velocities + offset, n)), step);
        storeLanes(velocities + offset, step, n);
      }
      storeLanes(params + offset, f32x4.sub(param, f32x4.mul(lr, step)), n);
    }
    line += linesOf(size);
  }
}
