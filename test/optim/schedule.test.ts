import { expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import { cosineSchedule, multiStepSchedule, type Schedule, Scheduler, SGD, stepSchedule, warmUp } from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";

const sgd = (lr: number) => new SGD([tensor([1], [1], { requiresGrad: true })], { lr });

function rates(lr: number, schedule: Schedule, steps: number): number[] {
  const optimizer = sgd(lr);
  const scheduler = new Scheduler(optimizer, schedule);
  return Array.from({ length: steps }, () => {
    const now = optimizer.lr;
    scheduler.step();
    return now;
  });
}

function expectNear(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  got.forEach((x, i) => {
    expect(Math.abs(x - want[i]!)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(want[i]!)));
  });
}

// Learning rates of PyTorch 2.13, printed with repr; the optimizer's step and the schedule's follow each other.
test("StepLR of PyTorch, within 1e-12", () => {
  expectNear(rates(0.4, stepSchedule(3, 0.5), 8), [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1, 0.1]);
});

test("MultiStepLR of PyTorch, within 1e-12", () => {
  expectNear(
    rates(0.1, multiStepSchedule([2, 5]), 7),
    [0.1, 0.1, 0.010000000000000002, 0.010000000000000002, 0.010000000000000002, 0.0010000000000000002, 0.0010000000000000002],
  );
});

test("CosineAnnealingLR with eta_min = 0.02 of PyTorch, within 1e-12", () => {
  expectNear(
    rates(0.2, cosineSchedule(6, 0.1), 7),
    [0.2, 0.1879422863405995, 0.15500000000000003, 0.11000000000000003, 0.06500000000000003, 0.03205771365940052, 0.02],
  );
});

test("a warm-up rises in equal parts to the whole rate, then what follows starts at its own 0", () => {
  expectNear(rates(0.8, warmUp(4), 6), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]);
  expectNear(rates(0.8, warmUp(2, stepSchedule(2, 0.5)), 7), [0.4, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2]);
});

test("a schedule jumped to a step gives what stepping there gives", () => {
  const [walked, jumped] = [sgd(0.3), sgd(0.3)];
  const slow = new Scheduler(walked, cosineSchedule(9, 0.1));
  for (let i = 0; i < 5; i++) slow.step();
  new Scheduler(jumped, cosineSchedule(9, 0.1)).position = 5;
  expect(jumped.lr).toBe(walked.lr);
});

test("every group keeps its own base, also under a second schedule", () => {
  const params = [1, 2].map((x) => tensor([x], [1], { requiresGrad: true }));
  const optimizer = new SGD([{ params: [params[0]!], lr: 1 }, { params: [params[1]!] }], { lr: 0.1 });
  new Scheduler(optimizer, () => 0.5);
  new Scheduler(optimizer, () => 0.25);
  expect(optimizer.paramGroups.map(({ lr }) => lr)).toEqual([0.25, 0.025]);
});

test("lengths must be above 0", () => {
  for (const make of [() => stepSchedule(0), () => cosineSchedule(-1), () => warmUp(0)]) expect(make).toThrow(OptionError);
});
