// Floating-point operations of the products and convolutions of a training step, computed directly: two for each multiply-add.

/** Forward, the gradient of the weights, and, except in the first layer that has weights, the gradient of the input. */
export function stepFlops(network, [n, ...shape]) {
  let [channels, height = 1, width = 1] = shape;
  let flops = 0;
  const count = (multiplyAdds) => {
    flops += 2 * multiplyAdds * (flops === 0 ? 2 : 3);
  };
  for (const [kind, ...options] of network) {
    if (kind === "linear") {
      count(n * options[0] * options[1]);
      channels = options[1];
    } else if (kind === "conv") {
      const [inputs, outputs, kernel, padding] = options;
      [height, width] = [height, width].map((size) => size + 2 * padding - kernel + 1);
      count(n * outputs * height * width * inputs * kernel * kernel);
      channels = outputs;
    } else if (kind === "maxPool") {
      [height, width] = [height, width].map((size) => Math.floor(size / options[0]));
    } else if (kind === "flatten") {
      [channels, height, width] = [channels * height * width, 1, 1];
    }
  }
  return flops;
}

/** Operations of one repetition of the peak loop: some milliseconds, so that starting the threads counts for nothing. */
const LOOP = 4e8;

/** What a work of `flops` operations takes at the peak of multiply-add. */
export const peakOf = (flops) => ({ kind: "fma", flops: LOOP, rounds: LOOP / flops });
