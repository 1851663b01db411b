import { beforeEach, describe, expect, test } from "vitest";
import { init, memory, ones, optim, tensor } from "../../src/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";

beforeEach(() => init());

/** A parameter with a gradient. */
function parameter(values: number[], gradient: number[] | null): Tensor {
  const p = tensor(values, undefined, { requiresGrad: true });
  if (gradient) p.grad = tensor(gradient);
  return p;
}

const all = { SGD: optim.SGD, Adam: optim.Adam, AdamW: optim.AdamW, RMSprop: optim.RMSprop };

describe.each(Object.entries(all))("%s", (_, Optimizer) => {
  test("skips parameters without a gradient", () => {
    const p = parameter([1, 2], null);
    const q = parameter([1, 2], [1, 1]);
    const optimizer = new Optimizer([p, q], { lr: 0.1 });
    optimizer.step();
    expect([...p.data()]).toEqual([1, 2]);
    expect([...q.data()]).not.toEqual([1, 2]);
  });

  test("goes on from a saved state bit for bit", () => {
    const gradients = [
      [1, -2],
      [0.5, 3],
      [-1, 0.25],
      [2, 2],
    ];
    const take = (optimizer: optim.Optimizer, p: Tensor, from: number, to: number) => {
      for (const g of gradients.slice(from, to)) {
        p.grad = tensor(g);
        optimizer.step();
      }
    };
    const options = { lr: 0.1, weightDecay: 0.01, momentum: 0.9 };
    const p = parameter([1, 2], null);
    take(new Optimizer([p], options), p, 0, 4);
    const q = parameter([1, 2], null);
    const first = new Optimizer([q], options);
    take(first, q, 0, 2);
    const r = parameter([...q.data()], null);
    const second = new Optimizer([r], options);
    second.loadStateDict(first.stateDict());
    take(second, r, 2, 4);
    expect([...r.data()]).toEqual([...p.data()]);
  });

  test("a learning rate that is set counts from the next step on, and is checked", () => {
    const p = parameter([1], [1]);
    const optimizer = new Optimizer([p], { lr: 0.5 });
    optimizer.lr = 0;
    optimizer.step();
    expect([...p.data()]).toEqual([1]);
    expect(() => {
      optimizer.lr = -1;
    }).toThrow("Invalid learning rate: expected a finite number of at least 0, got -1.");
  });

  test("gives its memory back", () => {
    const p = ones([64]);
    p.requiresGrad = true;
    const before = memory().storages;
    const optimizer = new Optimizer([p], { lr: 0.1 });
    p.grad = ones([64]);
    optimizer.step();
    optimizer.zeroGrad();
    optimizer.dispose();
    expect(memory().storages).toBe(before);
  });

  test("refuses an empty list and a parameter that appears twice", () => {
    const p = parameter([1], null);
    expect(() => new Optimizer([])).toThrow("optimizer got an empty parameter list.");
    expect(() => new Optimizer([p, p])).toThrow("some parameters appear in more than one parameter group, or twice.");
  });
});

test.each([
  [{ lr: -0.1 }, "SGD: Invalid learning rate"],
  [{ lr: 0.1, momentum: -1 }, "SGD: Invalid momentum value"],
  [{ lr: 0.1, nesterov: true }, "SGD: Nesterov momentum requires a momentum and zero dampening"],
  [{ lr: 0.1, weightDecay: Number.NaN }, "SGD: Invalid weightDecay value"],
])("SGD refuses %o", (options, message) => {
  expect(() => new optim.SGD([parameter([1], null)], options)).toThrow(message);
});

test("groups have options of their own", () => {
  const p = parameter([1], [1]);
  const q = parameter([1], [1]);
  new optim.SGD([{ params: [p] }, { params: [q], lr: 0.5, weightDecay: 1 }], { lr: 0.25 }).step();
  expect([...p.data(), ...q.data()]).toEqual([0.75, 0]);
});

describe("clipping", () => {
  test("scales all gradients to the joint norm, and leaves shorter ones alone", () => {
    const p = parameter([0], [3]);
    const q = parameter([0], [4]);
    expect(optim.clipGradNorm([p, q], 1).item()).toBeCloseTo(5, 6);
    expect([p.grad!.item(), q.grad!.item()].map((g) => g.toFixed(5))).toEqual(["0.60000", "0.80000"]);
    optim.clipGradNorm([p, q], 2);
    expect([p.grad!.item(), q.grad!.item()].map((g) => g.toFixed(5))).toEqual(["0.60000", "0.80000"]);
  });

  test("by value limits each entry", () => {
    const p = parameter([0, 0, 0], [-3, 0.5, 9]);
    optim.clipGradValue([p], 1);
    expect([...p.grad!.data()]).toEqual([-1, 0.5, 1]);
  });

  test("a norm that is not finite throws if that is asked for, and changes nothing", () => {
    const p = parameter([0, 0], [Number.NaN, 1]);
    expect(() => optim.clipGradNorm([p], 1, { errorIfNonfinite: true })).toThrow("The total norm of the gradients is non-finite");
    expect([...p.grad!.data()]).toEqual([Number.NaN, 1]);
  });

  test("maxNorm must be above 0", () => {
    expect(() => optim.clipGradNorm([], 0)).toThrow("clipGradNorm: expected maxNorm above 0, got 0.");
  });
});
