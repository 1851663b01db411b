import { beforeAll, describe, expect, test } from "vitest";
import type { ImageSet } from "../../src/data/dataset.js";
import { conditionNumber, Prepare, residualOf, whiteningOf } from "../../src/experiments/whitening.js";
import { init } from "../../src/index.js";
import { channelMoments } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";

beforeAll(async () => void (await init({ deterministic: true, threads: 1 })));

/** Three pixels: ±a, ±b independent of it, and one that never changes. */
function pixels(a: number, b: number): ImageSet {
  const rows = [0, 1, 2, 3].map((i) => [100 + (i & 1 ? a : -a), 100 + (i & 2 ? b : -b), 100]);
  const images = Uint8Array.from(rows.flat());
  const labels = new Int32Array(4);
  return { name: "pixels", count: 4, shape: [1, 1, 3], classes: ["a"], source: "here", sample: false, images, labels };
}

describe("whitening", () => {
  const set = pixels(51, 17);
  const [va, vb] = [0.2 ** 2, (17 / 255) ** 2];

  test("the covariance of known pixels is exact to 1e-8, and ε is 1 % of the mean variance", () => {
    const { covariance, epsilon } = whiteningOf(set, 4);
    [va, 0, 0, 0, vb, 0, 0, 0, 0].forEach((value, i) => {
      expect(Math.abs(covariance[i]! - value)).toBeLessThan(1e-8);
    });
    expect(epsilon).toBeCloseTo((0.01 * (va + vb)) / 3, 9);
  });

  test("W (Σ + ε) W is 1 to 1e-4", () => {
    expect(residualOf(whiteningOf(set, 4))).toBeLessThan(1e-4);
  });

  test("whitened pixels have variance λ / (λ + ε) to 1e-4, raw ones stay as they are", () => {
    const whitening = whiteningOf(set, 4);
    const x = tensor(
      Float32Array.from(set.images, (byte) => byte / 255),
      [4, 3],
    );
    const variances = channelMoments([new Prepare("whitened", whitening).call(x)])
      .data()
      .slice(6);
    [va, vb, 0].forEach((v, i) => {
      expect(Math.abs(variances[i]! - v / (v + whitening.epsilon))).toBeLessThan(1e-4);
    });
    expect(new Prepare("raw", whitening).call(x).data()).toEqual(x.data());
  });

  test("standardized pixels have the same variances, for pixels that are independent already, to 1e-4", () => {
    const whitening = whiteningOf(set, 4);
    const x = tensor(
      Float32Array.from(set.images, (byte) => byte / 255),
      [4, 3],
    );
    const variances = channelMoments([new Prepare("standardized", whitening).call(x)])
      .data()
      .slice(6);
    [va, vb, 0].forEach((v, i) => {
      expect(Math.abs(variances[i]! - v / (v + whitening.epsilon))).toBeLessThan(1e-4);
    });
  });

  test("the condition number of known variances is 1 + λ / ε to 1e-5 of it", () => {
    const whitening = whiteningOf(set, 4);
    expect(conditionNumber("raw", whitening, 60) / (1 + va / whitening.epsilon)).toBeCloseTo(1, 5);
  });
});
