import { OptionError } from "../core/errors.js";
import { drawRandom } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFloat, like } from "./operand.js";

/** In training, each value becomes 0 with probability p and is divided by 1 − p otherwise (Srivastava et al. 2014). */
export function dropout(x: Tensor, p = 0.5, training = true): Tensor {
  checkFloat("dropout", x);
  if (!(p >= 0 && p <= 1)) throw new OptionError(`dropout: dropout probability has to be between 0 and 1, but got ${p}.`);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(0);
  const mask = like(x);
  drawRandom(x.backend, (state) => x.backend.call("dropoutMask", { state, y: mask.storage, n: x.size, p }));
  const y = x.mul(mask);
  mask.dispose();
  return y;
}
