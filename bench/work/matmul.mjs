// Products of square float32 matrices.
import { peakOf } from "../flops.mjs";

export const productOf = (size) => ({
  name: `matrix product ${size} x ${size} x ${size}`,
  kind: "matmul",
  size,
  flops: 2 * size ** 3,
  limit: peakOf(2 * size ** 3),
});

const { limit, ...plainOf512 } = { ...productOf(512), plain: true };

/** The last one without fused multiply-add, as `init({ deterministic: true })` computes. */
export const works = [
  ...[256, 512, 1024].map(productOf),
  { ...plainOf512, name: "matrix product 512 x 512 x 512, plain SIMD", peers: ["tfjs", "jax"] },
];
