// Stochastic gradient descent with momentum, by PyTorch's rule (torch.optim.SGD). A unit is one element.
import { Sgd } from "./generated";
import { loadLanes, storeLanes } from "./lanes";

/**
 * g += weightDecay · param; velocity = momentum · velocity + (1 - dampening) · g, or g in the first step;
 * param -= lr · velocity, with Nesterov's rule lr · (g + momentum · velocity), without velocity lr · g.
 */
export function sgd(a: Sgd, from: i32, to: i32): void {
  const lr = f32x4.splat(<f32>load<f64>(a.lr)), decay = f32x4.splat(<f32>a.weightDecay);
  const momentum = f32x4.splat(<f32>a.momentum), share = f32x4.splat(<f32>(1 - a.dampening));
  const decays = a.weightDecay != 0, first = load<f64>(a.step) == 0, nesterov = a.nesterov != 0;
  for (let i = from; i < to; i += 4) {
    const offset = <usize>i << 2, n = to - i, param = loadLanes(a.param + offset, n);
    let g = loadLanes(a.grad + offset, n);
    if (decays) g = f32x4.add(g, f32x4.mul(decay, param));
    if (a.velocity) {
      let velocity = g;
      if (!first) velocity = f32x4.add(f32x4.mul(momentum, loadLanes(a.velocity + offset, n)), f32x4.mul(share, g));
      storeLanes(a.velocity + offset, velocity, n);
      g = nesterov ? f32x4.add(g, f32x4.mul(momentum, velocity)) : velocity;
    }
    storeLanes(a.param + offset, f32x4.sub(param, f32x4.mul(lr, g)), n);
  }
}
