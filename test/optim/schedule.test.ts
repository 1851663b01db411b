import { beforeAll, describe, expect, test } from "vitest";
import { init, ones, optim } from "../../src/index.js";

beforeAll(() => init());

const { cosineSchedule, multiStepSchedule, SGD, Scheduler, stepSchedule, warmUp } = optim;
const values = (schedule: optim.Schedule, n: number) => Array.from({ length: n }, (_, t) => schedule(t));

describe("schedules", () => {
  test("step: times γ after every `size` steps", () => {
    expect(values(stepSchedule(2, 0.5), 5)).toEqual([1, 1, 0.5, 0.5, 0.25]);
  });

  test("multi-step: times γ at each milestone", () => {
    expect(values(multiStepSchedule([1, 3], 0.5), 5)).toEqual([1, 0.5, 0.5, 0.25, 0.25]);
  });

  test("cosine: 1 at the start, the middle of 1 and floor halfway, floor at the end and after", () => {
    const schedule = cosineSchedule(10, 0.2);
    expect(schedule(0)).toBe(1);
    expect(schedule(5)).toBeCloseTo(0.6, 12);
    expect(schedule(10)).toBeCloseTo(0.2, 12);
    expect(schedule(99)).toBeCloseTo(0.2, 12);
  });

  test("warm-up: rises to 1 in even steps, then the other schedule begins", () => {
    expect(values(warmUp(4, stepSchedule(1, 0.5)), 7)).toEqual(
      [0.25, 0.5, 0.75, 1, 1, 0.5, 0.25].map((_, i) => [0.25, 0.5, 0.75, 1, 1, 0.5, 0.25][i]!),
    );
  });

  test("a scheduler sets each group's rate from its own, and can jump", () => {
    const optimizer = new SGD([{ params: [ones([2])] }, { params: [ones([3])], lr: 1 }], { lr: 0.1 });
    const scheduler = new Scheduler(optimizer, stepSchedule(1, 0.5));
    const rates = () => optimizer.paramGroups.map((group) => group.lr);
    expect(rates()).toEqual([0.1, 1]);
    scheduler.step();
    expect(rates()).toEqual([0.05, 0.5]);
    scheduler.position = 3;
    expect(rates()).toEqual([0.0125, 0.125]);
  });

  test.each([
    [() => stepSchedule(0), "stepSchedule: expected size above 0, got 0."],
    [() => cosineSchedule(-1), "cosineSchedule: expected total above 0, got -1."],
    [() => warmUp(Number.NaN), "warmUp: expected steps above 0, got NaN."],
  ])("%s is refused", (make, message) => {
    expect(make).toThrow(message);
  });
});
