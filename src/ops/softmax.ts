import { defineOp } from "../autograd/op.js";
import { normalizeAxis, sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like } from "./operand.js";

interface Options {
  axis: number;
  log: boolean;
}

/** The axis as the middle one of [outer, count, inner]. */
export function middleOf(shape: readonly number[], axis: number): { outer: number; count: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), count: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) };
}

const softmaxOp = defineOp<Options>("softmax", {
  keepOutput: true,
  forward: ([x], { axis, log }) => {
    const y = like(x!);
    if (x!.size > 0) x!.backend.call("softmax", { x: x!.storage, y: y.storage, ...middleOf(x!.shape, axis), log: log ? 1 : 0 });
    return y;
  },
  gradient: (options) => (saved, dy) => [softmaxBackwardOp([saved.output(), dy], options)],
});

const softmaxBackwardOp = defineOp<Options>("softmaxBackward", {
  keepInputs: [0, 1],
  forward: ([y, dy], { axis, log }) => {
    const dx = like(y!);
    const call = { y: y!.storage, dy: dy!.storage, dx: dx.storage, ...middleOf(y!.shape, axis), log: log ? 1 : 0 };
    if (y!.size > 0) y!.backend.call("softmaxBackward", call);
    return dx;
  },
  // softmax: dx = y (dy − Σ y dy). log-softmax: dx = dy − eʸ Σ dy.
  gradient:
    ({ axis, log }) =>
    (saved, ddx) => {
      const y = saved.input(0);
      const dy = saved.input(1);
      if (log) {
        const p = y.exp();
        const towardY = () => ddx.mul(p).mul(dy.sum(axis, true)).neg();
        return [saved.needs[0] ? towardY() : null, saved.needs[1] ? ddx.sub(ddx.mul(p).sum(axis, true)) : null];
      }
      const centered = () => ddx.sub(ddx.mul(y).sum(axis, true));
      const towardY = () =>
        ddx
          .mul(dy)
          .sub(ddx.mul(dy.mul(y).sum(axis, true)))
          .sub(dy.mul(ddx.mul(y).sum(axis, true)));
      return [saved.needs[0] ? towardY() : null, saved.needs[1] ? y.mul(centered()) : null];
    },
});

/** eˣ / Σ eˣ along `axis` (default the last). */
export function softmax(x: Tensor, axis = -1): Tensor {
  checkFloat("softmax", x);
  return softmaxOp([x], { axis: normalizeAxis("softmax", axis, x.rank), log: false });
}

/** x − log Σ eˣ along `axis` (default the last). */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  checkFloat("logSoftmax", x);
  return softmaxOp([x], { axis: normalizeAxis("logSoftmax", axis, x.rank), log: true });
}
