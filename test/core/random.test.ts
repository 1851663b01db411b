import { describe, expect, it } from "vitest";
import { inverseNormal, philox, Random, seedWords } from "../../src/core/random.js";

const hex = (words: Uint32Array): string[] => Array.from(words, (word) => word.toString(16).padStart(8, "0"));

describe("philox", () => {
  it("gives the known answers of Random123 (kat_vectors, philox 4x32 10)", () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    expect(hex(philox([-1, -1, -1, -1], [-1, -1]))).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
    const counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    expect(hex(philox(counter, [0xa4093822, 0x299f31d0]))).toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]);
  });
});

describe("inverseNormal", () => {
  it("agrees with tabled quantiles within 1e-14, in the middle and in both tails", () => {
    expect(inverseNormal(0.5)).toBe(0);
    expect(Math.abs(inverseNormal(0.975) - 1.959963984540054)).toBeLessThan(1e-14);
    expect(Math.abs(inverseNormal(0.25) + 0.6744897501960817)).toBeLessThan(1e-14);
    expect(Math.abs(inverseNormal(0.001) + 3.090232306167814)).toBeLessThan(1e-14);
    expect(Math.abs(inverseNormal(1e-20) + 9.262340089798408)).toBeLessThan(1e-14);
  });
});

describe("Random", () => {
  it("repeats for a seed and differs between seeds, also in the upper half of the seed", () => {
    const draw = (seed: number): number[] =>
      Array.from(
        { length: 5 },
        function (this: Random) {
          return this.uniform();
        },
        new Random(seed),
      );
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(7)).not.toEqual(draw(7 + 2 ** 40));
    expect(seedWords(2 ** 32 + 5)).toEqual([5, 1]);
  });

  it("has the mean and variance of its distributions within 4 standard errors of 20000 draws", () => {
    const random = new Random(1);
    const moments = (draw: () => number): [number, number] => {
      const values = Array.from({ length: 20000 }, draw);
      const mean = values.reduce((a, b) => a + b, 0) / 20000;
      return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / 20000];
    };
    const [uniformMean, uniformVariance] = moments(() => random.uniform());
    expect(Math.abs(uniformMean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / 20000));
    expect(Math.abs(uniformVariance - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / 20000));
    const [normalMean, normalVariance] = moments(() => random.normal());
    expect(Math.abs(normalMean)).toBeLessThan(4 * Math.sqrt(1 / 20000));
    expect(Math.abs(normalVariance - 1)).toBeLessThan(4 * Math.sqrt(2 / 20000));
  });

  it("draws every integer below n about equally often: χ² of 10 classes below 27.9 (p = 0.001)", () => {
    const random = new Random(2);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10000; i++) counts[random.integer(10)]!++;
    expect(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(27.9);
  });

  it("permutes: every number once, in another order, the same for the same seed", () => {
    const order = new Random(3).permutation(1000);
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(order).not.toEqual(Int32Array.from({ length: 1000 }, (_, i) => i));
    expect(order).toEqual(new Random(3).permutation(1000));
    expect(new Random(3).permutation(0)).toEqual(new Int32Array(0));
  });

  it("refuses seeds and sizes out of range", () => {
    expect(() => new Random(-1)).toThrow("seed: expected an integer from 0 to 2^53 - 1, got -1.");
    expect(() => new Random(0.5)).toThrow("seed: expected an integer from 0 to 2^53 - 1, got 0.5.");
    expect(() => new Random(1).integer(0)).toThrow("Random.integer: expected n from 1 to 2^32, got 0.");
    expect(() => new Random(1).permutation(-1)).toThrow("Random.permutation: expected a length from 0 to 2^31, got -1.");
  });
});
