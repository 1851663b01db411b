import { defineOp } from "../autograd/op.js";
import { sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { like } from "./operand.js";

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
  return sumChannelsOp([x]);
}
