import { expect, it } from "vitest";
import { collectGarbage } from "../../src/cli/collect-garbage.js";
import { compile, init, memory, ones, type Tensor } from "../../src/index.js";

it("a step that nobody can call any more gives its memory back, though its function leads to the step itself", async () => {
  await init();
  // As in a training loop in one function: what the step closes over is what everything there closes over.
  const once = () => {
    const weight = ones([1000]);
    const step = compile((x: Tensor) => x.mul(weight).add(1));
    const run = () => step(ones([1000]));
    run();
    run();
    expect(step.recordings).toBe(1);
  };
  const collect = async () => {
    for (let i = 0; i < 3; i++) await collectGarbage();
  };
  // The area that all recordings share stays.
  once();
  await collect();
  const before = memory().storages;
  for (let i = 0; i < 5; i++) once();
  expect(memory().storages).toBeGreaterThan(before);
  await collect();
  expect(memory().storages).toBeLessThanOrEqual(before);
});
