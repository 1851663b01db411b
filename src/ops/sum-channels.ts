import { defineOp } from "../autograd/op.js";
import { ShapeError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like } from "./operand.js";

const sumChannelsOp = defineOp("sumChannels", {
  forward: ([x]) => {
    const [n, c] = x!.shape as [number, number];
    const y = like(x!, [c]);
    if (c > 0) x!.backend.call("sumChannels", { x: x!.storage, y: y.storage, n, c, s: sizeOf(x!.shape.slice(2)) });
    return y;
  },
  gradient: () => (saved, dy) => {
    const shape = saved.shapes[0]!;
    return [dy.reshape([1, shape[1]!, ...shape.slice(2).map(() => 1)]).expand(shape)];
  },
});

/** Sum over all axes but the second: [N, C, …] → [C]. */
export function sumChannels(x: Tensor): Tensor {
  checkFloat("sumChannels", x);
  if (x.rank < 2) throw new ShapeError(`sumChannels: expected [N, C] or [N, C, …], got ${formatShape(x.shape)}.`);
  return sumChannelsOp([x]);
}
