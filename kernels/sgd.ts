// Stochastic gradient descent with momentum, by PyTorch's rule (torch.optim.SGD). A unit is a line of a parameter (lists.ts).
import { Sgd } from "./generated";
import { loadLanes, storeLanes } from "./lanes";
import { arrayAt, endIn, intAt, linesOf, startIn } from "./lists";

/**
 * g += weightDecay · param; velocity = momentum · velocity + (1 - dampening) · g, or g in the first step;
 * param -= lr · velocity, with Nesterov's rule lr · (g + momentum · velocity), without velocity lr · g.
 */
export function sgd(a: Sgd, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay);
  const momentum = f32x4.splat(<f32>a.momentum), share = f32x4.splat(<f32>(1 - a.dampening));
  const decays = a.weightDecay != 0, first = load<f64>(a.step) == 0, nesterov = a.nesterov != 0;
  const args = changetype<usize>(a);
  for (let k = 0, line = 0; line < to; k++) {
    const size = intAt(args, a.sizes, k), end = endIn(line, to, size);
    const params = arrayAt(args, a.params, k), grads = arrayAt(args, a.grads, k);
    const velocities = a.velocities ? arrayAt(args, a.velocities, k) : 0;
    for (let i = startIn(line, from); i < end; i += 4) {
      const offset = <usize>i << 2, n = end - i, param = loadLanes(params + offset, n);
      let g = loadLanes(grads + offset, n);
      if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
      if (velocities) {
        let velocity = g;
        if (!first) velocity = f32x4.add(f32x4.mul(momentum, loadLanes(velocities + offset, n)), f32x4.mul(share, g));
        storeLanes(velocities + offset, velocity, n);
        g = nesterov ? f32x4.add(g, f32x4.mul(momentum, velocity)) : velocity;
      }
      storeLanes(params + offset, f32x4.sub(param, f32x4.mul(lr, g)), n);
    }
    line += linesOf(size);
  }
}
