// RMSprop, by PyTorch's rule (torch.optim.RMSprop, not centered). A unit is a line of a parameter (lists.ts).
import { Rmsprop } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";

/**
 * Updates `n` elements (1 to 4): g += weightDecay · param; square = alpha · square + (1 - alpha) g²; step = g / (√square + eps);
 * with velocity: velocity = momentum · velocity + step, param -= lr · velocity; without: param -= lr · step.
 */
@inline function update(
  n: i32, params: usize, grads: usize, squares: usize, velocities: usize, lr: v128, decay: v128, eps: v128,
  alpha: v128, share: v128, momentum: v128, decays: bool, moves: bool,
): void {
  const param = loadLanes(params, n);
  let g = loadLanes(grads, n), square = loadLanes(squares, n);
  if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
  square = f32x4.add(f32x4.mul(alpha, square), f32x4.mul(f32x4.mul(share, g), g));
  storeLanes(squares, square, n);
  let step = f32x4.div(g, f32x4.add(f32x4.sqrt(square), eps));
  if (moves) {
    step = f32x4.add(f32x4.mul(momentum, loadLanes(velocities, n)), step);
    storeLanes(velocities, step, n);
  }
  storeLanes(params, f32x4.sub(param, f32x4.mul(lr, step)), n);
}

export function rmsprop(a: Rmsprop, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay), eps = f32x4.splat(<f32>a.eps);
  const alpha = f32x4.splat(<f32>a.alpha), share = f32x4.splat(<f32>(1 - a.alpha)), momentum = f32x4.splat(<f32>a.momentum);
  const decays = a.weightDecay != 0, moves = a.velocities != 0, args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size);
    const params = arrayAt(args, a.params, k), grads = arrayAt(args, a.grads, k), squares = arrayAt(args, a.squares, k);
    const velocities = moves ? arrayAt(args, a.velocities, k) : 0;
    let i = startIn(line, from);
    // Whole vectors in a loop of their own: with the calls for the rest in it, constants do not stay in registers.
    for (; i + 4 <= end; i += 4) {
      const o = <usize>i << 2;
      update(
        4, params + o, grads + o, squares + o, velocities + o, lr, decay, eps, alpha, share, momentum, decays, moves,
      );
    }
    if (i < end) {
      const o = <usize>i << 2;
      update(
        end - i, params + o, grads + o, squares + o, velocities + o, lr, decay, eps, alpha, share, momentum, decays, moves,
      );
    }
    line += linesOf(size);
  }
}
