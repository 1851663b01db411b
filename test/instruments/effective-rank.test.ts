import { beforeEach, describe, expect, it } from "vitest";
import { full, init, manualSeed, normal, tensor } from "../../src/index.js";
import { effectiveRank } from "../../src/instruments/index.js";
import { backends, expectClose } from "./support.js";

const identity = (n: number) =>
  tensor(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? 1 : 0))));

describe.each(backends)("effectiveRank on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("n equal singular values are n directions, within 1e-12, whatever the scale", () => {
    for (const scale of [1, 1e-18, 1e18]) {
      const { effectiveRank: rank, participationRatio } = effectiveRank(identity(7).mul(scale));
      expectClose([rank, participationRatio], [7, 7], 1e-12);
    }
  });

  it("all rows the same are one direction, and none when centred", () => {
    const x = full([9, 1], 1).matmul(tensor([[0.1, -2, 3]]));
    const { effectiveRank: rank, participationRatio, singularValues } = effectiveRank(x);
    expectClose([rank, participationRatio], [1, 1], 1e-5);
    expectClose(singularValues, [3 * Math.sqrt(0.01 + 4 + 9), 0, 0], 1e-5);
    expect(effectiveRank(x, { centred: true })).toEqual({ effectiveRank: 0, participationRatio: 0, singularValues: [0, 0, 0] });
  });

  it("singular values 3 and 1 have the entropy of ¾ and ¼, and the participation ratio 100/82, within 1e-12", () => {
    for (const x of [
      tensor([
        [3, 0, 0],
        [0, 0, 1],
      ]),
      tensor([
        [0, 1],
        [-3, 0],
        [0, 0],
      ]),
    ]) {
      const { effectiveRank: rank, participationRatio, singularValues } = effectiveRank(x);
      expectClose(singularValues, [3, 1], 1e-12);
      expectClose(rank, Math.exp(-0.75 * Math.log(0.75) - 0.25 * Math.log(0.25)), 1e-12);
      expectClose(participationRatio, 100 / 82, 1e-12);
    }
  });

  it("a product of thin factors has at most their width, and a matrix and its transpose have the same, within 1e-5", () => {
    manualSeed(11);
    const x = normal([40, 3]).matmul(normal([3, 25]));
    const { effectiveRank: rank, singularValues } = effectiveRank(x);
    expect(singularValues.length).toBe(25);
    expect(rank).toBeGreaterThan(2);
    expect(rank).toBeLessThan(3.001);
    expectClose(effectiveRank(x.transpose(0, 1)).effectiveRank, rank, 1e-5);
  });

  it("centring takes the common part away: a large mean hides the directions around it", () => {
    manualSeed(12);
    const x = normal([400, 10]);
    expect(effectiveRank(x.add(1000)).effectiveRank).toBeLessThan(1.1);
    expect(effectiveRank(x.add(1000), { centred: true }).effectiveRank).toBeGreaterThan(9.5);
  });

  it("zeros have no direction, and NaN gives NaN", () => {
    expect(effectiveRank(full([3, 2], 0))).toEqual({ effectiveRank: 0, participationRatio: 0, singularValues: [0, 0] });
    expect(effectiveRank(full([3, 2], Number.NaN)).effectiveRank).toBeNaN();
  });

  it("refuses what is no matrix with values", () => {
    for (const shape of [[4], [2, 2, 2], [0, 3]]) {
      expect(() => effectiveRank(full(shape, 1))).toThrow(
        `effectiveRank: expected a matrix [n, d] with values, got shape [${shape.join(", ")}].`,
      );
    }
  });
});
