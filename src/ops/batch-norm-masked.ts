import { noGrad } from "../autograd/mode.js";
import { defineOp } from "../autograd/op.js";
import { sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { full, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { batchNormByMoments, row } from "./batch-moments.js";
import { moveRunning, overChannels } from "./batch-norm-composed.js";
import type { BatchNormOptions } from "./batch-norm-options.js";
import { keepWhere, maximum } from "./binary.js";
import { like } from "./operand.js";
import { cat } from "./shape.js";

/** The mask [N, …] over all channels of x. */
function over(mask: Tensor, x: Tensor): Tensor {
  return mask.reshape([x.shape[0]!, 1, ...x.shape.slice(2)]).expand(x.shape);
}

/** Moments [3, C] of x where the mask, its second input, is not 0; `count` gets how many values that is per channel. */
const maskedMomentsOp = defineOp<{ count: Tensor }>("maskedMoments", {
  keepInputs: "all",
  keepOutput: true,
  forward: ([x, mask], { count }, save) => {
    const [n, c] = x!.shape as [number, number];
    const moments = like(x!, [3, c]);
    const sizes = { n, c, s: sizeOf(x!.shape.slice(2)) };
    const call = { x: x!.storage, mask: mask!.storage, moments: moments.storage, count: count.storage };
    x!.backend.call("maskedMoments", { ...call, ...sizes });
    save(count.alias());
    return moments;
  },
  gradient: () => (saved, dmoments) => {
    const [x, moments] = [saved.input(0), saved.output()];
    const there = over(saved.input(1), x);
    const channel = (t: Tensor, i: number) => overChannels(row(t, i), x);
    const centred = x.sub(channel(moments, 0)).sub(channel(moments, 1));
    const dx = centred.mul(channel(dmoments, 2).mul(2)).add(channel(dmoments, 0));
    return [keepWhere(dx, there).div(maximum(saved.extra(0), 1)), null];
  },
});

/** Batch normalization of the positions where `mask` is not 0; y is 0 elsewhere. */
export function maskedBatchNorm(x: Tensor, mask: Tensor, options: BatchNormOptions): Tensor {
  const { weight = null, bias = null, eps = 1e-5, activation = null } = options;
  const there = over(mask, x);
  // What stands in the padding, NaN perhaps, must not reach the arithmetic.
  const present = keepWhere(x, there);
  const moments = options.training ? momentsOf(present, mask, options) : given(options);
  return keepWhere(batchNormByMoments(present, moments, { weight, bias, eps, activation }), there);
}

/** The moments of the batch, towards which the running values have moved. */
function momentsOf(present: Tensor, mask: Tensor, options: BatchNormOptions): Tensor {
  const count = like(present, []);
  const moments = maskedMomentsOp([present, mask], { count });
  moveRunning(moments, count, options);
  return options.detachStats ? moments.detach() : moments;
}

/** The running values as moments, as they are now. */
function given({ runningMean, runningVar }: BatchNormOptions): Tensor {
  return noGrad(() => {
    const rows = (t: Tensor) => t.reshape([1, t.size]);
    const none = withBackend(runningMean!.backend, () => zeros([1, runningMean!.size]));
    return cat([rows(runningMean!), none, rows(runningVar!)]);
  });
}

/** How many positions a mask leaves, as one value on its backend. */
export function presentCount(mask: Tensor): Tensor {
  return noGrad(() =>
    keepWhere(
      withBackend(mask.backend, () => full(mask.shape, 1)),
      mask,
    ).sum(),
  );
}
