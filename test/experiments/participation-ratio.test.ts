import { expect, test } from "vitest";
import { participationRatio } from "../../src/experiments/participation-ratio.js";

test("rows in one direction have a rank of 1, to 1e-12", () => {
  const rows = [1, 2, 3, 2, 4, 6, -1, -2, -3];
  expect(participationRatio(rows, 3)).toBeCloseTo(1, 12);
});

test("directions that carry alike count as many as they are, to 1e-9", () => {
  const identity = [5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0];
  expect(participationRatio(identity, 3)).toBeCloseTo(3, 9);
});

test("singular values 3 and 1 give (9 + 1)² / (81 + 1), to 1e-9", () => {
  const rows = [3, 0, 0, 1];
  expect(participationRatio(rows, 2)).toBeCloseTo(100 / 82, 9);
});
