import { expect, test } from "vitest";
import { effectiveRank, participationRatio } from "../../src/experiments/effective-rank.js";

test("rows in one direction have a rank of 1, to 1e-6", () => {
  const rows = [1, 2, 3, 2, 4, 6, -1, -2, -3];
  expect(participationRatio(rows, 3)).toBeCloseTo(1, 12);
  expect(effectiveRank(rows, 3)).toBeCloseTo(1, 6);
});

test("directions that carry alike count as many as they are, to 1e-9", () => {
  const identity = [5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0];
  expect(participationRatio(identity, 3)).toBeCloseTo(3, 9);
  expect(effectiveRank(identity, 3)).toBeCloseTo(3, 9);
});

test("singular values 3 and 1 give (9 + 1)² / (81 + 1), and exp of the entropy of 3/4 and 1/4, to 1e-9", () => {
  const rows = [3, 0, 0, 1];
  expect(participationRatio(rows, 2)).toBeCloseTo(100 / 82, 9);
  expect(effectiveRank(rows, 2)).toBeCloseTo(4 / 3 ** 0.75, 9);
});
