import { beforeEach, describe, expect, it } from "vitest";
import { compile, init, memory, nn, optim, type Tensor, tensor, tidy, uniform } from "../../src/index.js";
import { UpdateRatio } from "../../src/instruments/index.js";
import { backends, expectClose, Quadratic } from "./support.js";

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`a step of gradient descent on ½·a·w² moves w by lr·a of its length, within ${tolerance}`, () => {
    const model = new Quadratic([2, 2, 2], [3, 4, 12]);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.005 });
    const updates = new UpdateRatio(model);
    updates.before();
    model.call().backward();
    optimizer.step();
    const [got] = updates.after();
    const { name, ...numbers } = got!;
    expect([name, Object.keys(numbers)]).toEqual(["weight", ["size", "weightNorm", "updateNorm", "ratio", "log10"]]);
    expectClose(Object.values(numbers), [3, 13, 0.13, 0.01, -2], tolerance);
  });

  it("after() measures from the last before()", () => {
    const model = new Quadratic([1], [1]);
    const updates = new UpdateRatio(model);
    for (const lr of [0.5, 0.25]) {
      updates.before();
      const optimizer = new optim.SGD(model.parameters(), { lr });
      model.zeroGrad();
      model.call().backward();
      optimizer.step();
      expectClose(updates.after()[0]!.ratio, lr, tolerance);
      expectClose(updates.after()[0]!.ratio, lr, tolerance);
    }
  });
});

describe("update ratios", () => {
  beforeEach(() => init());

  it("of a parameter that was 0 are Infinity if it moved and NaN if it did not; of one that stayed, −Infinity in log₁₀", () => {
    const bn = new nn.BatchNorm1d(2);
    const updates = new UpdateRatio(bn);
    updates.before();
    expect(updates.after().map(({ ratio, log10 }) => [ratio, log10])).toEqual([
      [0, -Infinity],
      [Number.NaN, Number.NaN],
    ]);
    nn.init.ones(bn.bias!);
    expect(updates.after()[1]!.ratio).toBe(Infinity);
  });

  it("of a recorded step are those of the same step as it is", () => {
    const measured = (isCompiled: boolean) => {
      const model = new Quadratic([1, 3], [1, 1]);
      const optimizer = new optim.Adam(model.parameters(), { lr: 0.1 });
      const step = (_: Tensor) => {
        const loss = model.call();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      };
      const run = isCompiled ? compile(step) : step;
      const updates = new UpdateRatio(model);
      return Array.from({ length: 4 }, () => {
        updates.before();
        run(tensor(0));
        return updates.after();
      });
    };
    expect(measured(true)).toEqual(measured(false));
  });

  it("need before()", () => {
    const updates = new UpdateRatio(new nn.Linear(2, 2));
    expect(() => updates.after()).toThrow("UpdateRatio.after: expected a call of before() first, got none.");
  });

  it("hold one copy of the parameters, whatever tidy they were taken in, until they are disposed of", () => {
    const model = new nn.Sequential(new nn.Linear(8, 8), new nn.BatchNorm1d(8));
    model.call(uniform([4, 8]));
    const before = memory().storages;
    const updates = new UpdateRatio(model);
    for (let i = 0; i < 3; i++) {
      tidy(() => updates.before());
      updates.after();
    }
    expect(memory().storages).toBe(before + 4);
    updates.dispose();
    expect(memory().storages).toBe(before);
  });
});
