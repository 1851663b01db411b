import { beforeEach, describe, expect, it } from "vitest";
import { full, init, tensor } from "../../src/index.js";
import { saturation } from "../../src/instruments/index.js";
import { backends } from "./support.js";

describe.each(backends)("saturation on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("a ReLU's zeros are saturated, and a unit that is never above 0 is dead", () => {
    const y = tensor([
      [0, 0, 1],
      [0, 2, 3],
      [0, 0, 4],
      [0, 0, 5],
    ]);
    expect(saturation(y, { activation: "relu" })).toEqual({
      share: 7 / 12,
      low: 7 / 12,
      high: 0,
      units: [
        { share: 1, low: 1, high: 0 },
        { share: 0.75, low: 0.75, high: 0 },
        { share: 0, low: 0, high: 0 },
      ],
      dead: [0],
      nonFinite: 0,
    });
  });

  it("the smallest positive value is not 0, and −0 and what lies below is", () => {
    const tiny = backend === "wasm" ? 2 ** -149 : Number.MIN_VALUE;
    expect(
      saturation(
        tensor([
          [tiny, -0],
          [tiny, -1e38],
        ]),
        { activation: "relu" },
      ).dead,
    ).toEqual([1]);
  });

  it("values of a ReLU up to the threshold are saturated", () => {
    const y = tensor([[0.5], [0.25], [0.75], [0]]);
    expect(saturation(y, { activation: "relu", threshold: 0.5 }).share).toBe(0.75);
  });

  it("ends of a sigmoid and a tanh are those within the threshold of their range", () => {
    const sigmoid = saturation(tensor([[0.01], [0.125], [0.5], [0.97], [0.99]]), { activation: "sigmoid" });
    expect(sigmoid).toMatchObject({ share: 3 / 5, low: 1 / 5, high: 2 / 5, dead: [] });
    const tanh = saturation(
      tensor([
        [-0.99, 0.875],
        [-0.5, 0.875],
        [0.99, 1],
        [0, -1],
      ]),
      { activation: "tanh", threshold: 0.25 },
    );
    expect(tanh.units.map(({ low, high }) => [low, high])).toEqual([
      [0.25, 0.25],
      [0.25, 0.75],
    ]);
    expect(tanh.dead).toEqual([1]);
  });

  it("takes units of [N, C, H, W], and leaves out what is not finite", () => {
    const y = tensor([
      [[[0, Number.NaN]], [[1, Infinity]]],
      [[[0, 0]], [[0, 1]]],
    ]);
    expect(saturation(y, { activation: "relu" })).toMatchObject({ share: 4 / 6, dead: [0], nonFinite: 2 });
    const none = saturation(full([2, 1], Number.NaN), { activation: "tanh" });
    expect(none).toMatchObject({ share: Number.NaN, dead: [], nonFinite: 2 });
  });

  it("refuses other activations, thresholds that leave no middle, and shapes without units", () => {
    const y = full([2, 2], 0);
    expect(() => saturation(y, { activation: "gelu" as "relu" })).toThrow(
      'saturation: expected activation to be sigmoid, tanh or relu, got "gelu".',
    );
    expect(() => saturation(y, { activation: "sigmoid", threshold: 0.5 })).toThrow(
      "saturation: expected a threshold from 0 to below 0.5 for sigmoid, got 0.5.",
    );
    expect(() => saturation(y, { activation: "relu", threshold: Number.NaN })).toThrow("expected a finite threshold, got NaN.");
    expect(() => saturation(full([2], 0), { activation: "relu" })).toThrow("got shape [2].");
    expect(() => saturation(full([0, 2], 0), { activation: "relu" })).toThrow(
      "saturation: expected at least one value, got shape [0, 2].",
    );
  });
});
