// Products of square float32 matrices.
export const works = [256, 512, 1024].map((size) => ({
  name: `matrix product ${size} x ${size} x ${size}`,
  kind: "matmul",
  size,
  flops: 2 * size ** 3,
}));
