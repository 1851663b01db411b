import { grad } from "../../../src/autograd/backward.js";
import type { Tensor } from "../../../src/tensor/tensor.js";

/**
 * The backward pass of `f` towards input `which` as a function of its inputs and of dy, the last: the way to the ops that only
 * gradient rules call.
 */
export function gradientOf(f: (...inputs: Tensor[]) => Tensor, which = 0): (...all: Tensor[]) => Tensor {
  return (...all) => {
    const inputs = all.slice(0, -1);
    const [result] = grad(f(...inputs), [inputs[which]!], { dy: all[all.length - 1]!, createGraph: true });
    return result!;
  };
}
