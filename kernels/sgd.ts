// Stochastic gradient descent with momentum, by PyTorch's rule (torch.optim.SGD). A unit is a line of a parameter (lists.ts).
import { Sgd } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";

/**
 * Updates `n` elements (1 to 4): g += weightDecay · param; velocity = momentum · velocity + (1 - dampening) · g, or g in the
 * first step; param -= lr · velocity, with Nesterov's rule lr · (g + momentum · velocity), without velocity lr · g.
 */
@inline function update(
  n: i32, params: usize, grads: usize, velocities: usize, lr: v128, decay: v128, momentum: v128, share: v128,
  decays: bool, moves: bool, first: bool, nesterov: bool,
): void {
  const param = loadLanes(params, n);
  let g = loadLanes(grads, n);
  if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
  if (moves) {
    let velocity = g;
    if (!first) velocity = f32x4.add(f32x4.mul(momentum, loadLanes(velocities, n)), f32x4.mul(share, g));
    storeLanes(velocities, velocity, n);
    g = nesterov ? f32x4.add(g, f32x4.mul(momentum, velocity)) : velocity;
  }
  storeLanes(params, f32x4.sub(param, f32x4.mul(lr, g)), n);
}

export function sgd(a: Sgd, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay);
  const momentum = f32x4.splat(<f32>a.momentum), share = f32x4.splat(<f32>(1 - a.dampening));
  const decays = a.weightDecay != 0, moves = a.velocities != 0;
  const first = load<f64>(a.step) == 0, nesterov = a.nesterov != 0, args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size);
    const params = arrayAt(args, a.params, k), grads = arrayAt(args, a.grads, k);
    const velocities = moves ? arrayAt(args, a.velocities, k) : 0;
    let i = startIn(line, from);
    // Whole vectors in a loop of their own: with the calls for the rest in it, constants do not stay in registers.
    for (; i + 4 <= end; i += 4) {
      const o = <usize>i << 2;
      update(4, params + o, grads + o, velocities + o, lr, decay, momentum, share, decays, moves, first, nesterov);
    }
    if (i < end) {
      const o = <usize>i << 2;
      update(end - i, params + o, grads + o, velocities + o, lr, decay, momentum, share, decays, moves, first, nesterov);
    }
    line += linesOf(size);
  }
}
