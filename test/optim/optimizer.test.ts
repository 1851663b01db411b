import { afterEach, describe, expect, test } from "vitest";
import { OptionError, ShapeError, StateDictError } from "../../src/core/errors.js";
import { currentBackend } from "../../src/engine/current.js";
import { Adam, AdamW, type Optimizer, RMSprop, SGD } from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const made: Tensor[] = [];
afterEach(() => {
  for (const t of made.splice(0)) t.dispose();
});

function param(...values: number[]): Tensor {
  const p = tensor(values, [values.length], { requiresGrad: true });
  made.push(p);
  return p;
}

const give = (p: Tensor, ...values: number[]) => {
  p.grad = tensor(values);
};
const list = (p: Tensor) => Array.from(p.data());

const makers: Record<string, (params: Tensor[]) => Optimizer> = {
  SGD: (params) => new SGD(params, { lr: 0.1, momentum: 0.9, dampening: 0.5 }) as unknown as Optimizer,
  Adam: (params) => new Adam(params, { lr: 0.1 }) as unknown as Optimizer,
  AdamW: (params) => new AdamW(params, { lr: 0.1 }) as unknown as Optimizer,
  RMSprop: (params) => new RMSprop(params, { lr: 0.1, momentum: 0.9 }) as unknown as Optimizer,
};

describe.each(Object.entries(makers))("%s", (_, make) => {
  test("a parameter without a gradient keeps its value, its state and its own count of steps", () => {
    const late = param(1, 2);
    const early = param(1, 2);
    const optimizer = make([early, late]);
    for (let i = 0; i < 3; i++) {
      give(early, 0.5, -0.25);
      optimizer.step();
    }
    expect(list(late)).toEqual([1, 2]);
    expect(optimizer.stateDict().state.map(({ step }) => step)).toEqual([3, 0]);
    early.grad = null;
    const fresh = param(1, 2);
    const other = make([fresh]);
    for (let i = 0; i < 4; i++) {
      give(late, 0.5, -0.25);
      give(fresh, 0.5, -0.25);
      optimizer.step();
      other.step();
      expect(list(late)).toEqual(list(fresh));
    }
    expect(optimizer.stateDict().state.map(({ step }) => step)).toEqual([3, 4]);
  });

  test("going on from a saved state gives the same bits as never stopping", () => {
    const a = param(1, -2, 3);
    const first = make([a]);
    for (let i = 0; i < 5; i++) {
      give(a, 0.3, 0.1 * i, -0.2);
      first.step();
    }
    const b = param(...list(a));
    const second = make([b]);
    second.loadStateDict(first.stateDict());
    for (let i = 0; i < 5; i++) {
      for (const p of [a, b]) give(p, -0.1, 0.2, 0.05 * i);
      first.step();
      second.step();
      expect(list(b)).toEqual(list(a));
    }
  });

  test("10 steps inside tidy leave no storage behind, and dispose gives back all state", () => {
    const before = currentBackend().memory().storages;
    const p = param(1, 2, 3);
    const optimizer = make([p]);
    const step = () =>
      tidy(() => {
        give(p, 1, 1, 1);
        optimizer.step();
        optimizer.zeroGrad();
      });
    step();
    const once = currentBackend().memory().storages;
    for (let i = 0; i < 10; i++) step();
    expect(currentBackend().memory().storages).toBe(once);
    optimizer.dispose();
    optimizer.dispose();
    expect(currentBackend().memory().storages).toBe(before + 1);
  });
});

describe("options that cannot be used are refused with PyTorch's phrases", () => {
  const cases: [string, (p: Tensor) => unknown, string][] = [
    [
      "negative lr",
      (p) => new SGD([p], { lr: -1 }),
      "SGD: Invalid learning rate: expected a finite number of at least 0, got -1.",
    ],
    ["lr NaN", (p) => new Adam([p], { lr: Number.NaN }), "Adam: Invalid learning rate"],
    ["momentum", (p) => new SGD([p], { momentum: -0.1 }), "Invalid momentum value"],
    ["weightDecay", (p) => new AdamW([p], { weightDecay: -1 }), "Invalid weightDecay value"],
    ["nesterov alone", (p) => new SGD([p], { nesterov: true }), "Nesterov momentum requires a momentum and zero dampening"],
    [
      "nesterov with dampening",
      (p) => new SGD([p], { nesterov: true, momentum: 0.9, dampening: 0.1 }),
      "Nesterov momentum requires a momentum and zero dampening",
    ],
    ["beta of 1", (p) => new Adam([p], { betas: [0.9, 1] }), "Invalid beta parameter at index 1"],
    ["eps", (p) => new RMSprop([p], { eps: -1 }), "Invalid eps value"],
    ["nothing", () => new SGD([]), "optimizer got an empty parameter list"],
    ["twice", (p) => new SGD([p, p]), "some parameters appear in more than one parameter group"],
    ["computed", (p) => new SGD([p.mul(2)]), "can't optimize a non-leaf Tensor"],
    ["in a group", (p) => new SGD([{ params: [p], lr: -2 }]), "Invalid learning rate"],
  ];
  test.each(cases)("%s", (_, make, phrase) => {
    expect(() => make(param(1))).toThrow(OptionError);
    expect(() => make(param(1))).toThrow(phrase);
  });
});

test("a gradient of another shape is refused, and no parameter has moved", () => {
  const [a, b] = [param(1, 2), param(3, 4)];
  const optimizer = new SGD([a, b], { lr: 1 });
  give(a, 1, 1);
  give(b, 1, 1, 1);
  expect(() => optimizer.step()).toThrow(ShapeError);
  expect([...list(a), ...list(b)]).toEqual([1, 2, 3, 4]);
});

test("groups have learning rates of their own, and those they leave out come from the optimizer", () => {
  const [a, b] = [param(1), param(1)];
  const optimizer = new SGD([{ params: [a], lr: 0.5 }, { params: [b] }], { lr: 0.25 });
  for (const p of [a, b]) give(p, 1);
  optimizer.step();
  expect([list(a), list(b)]).toEqual([[0.5], [0.75]]);
});

test("a new learning rate holds from the next step on, also when nothing was read in between", () => {
  const p = param(0);
  const optimizer = new SGD([p], { lr: 1 });
  for (const lr of [1, 0.5, 0.25]) {
    optimizer.lr = lr;
    give(p, -1);
    optimizer.step();
  }
  expect(list(p)).toEqual([1.75]);
  expect(() => {
    optimizer.lr = -1;
  }).toThrow("Invalid learning rate");
  expect(optimizer.lr).toBe(0.25);
});

test("zeroGrad drops gradients, or fills them with zeros on demand", () => {
  const p = param(1, 2);
  const optimizer = new SGD([p]);
  give(p, 1, 1);
  optimizer.zeroGrad({ setToNull: false });
  expect(list(p.grad!)).toEqual([0, 0]);
  optimizer.zeroGrad();
  expect(p.grad).toBeNull();
});

test("a state of another optimizer or size is refused by name, and nothing changes", () => {
  const [a, b] = [param(1), param(1)];
  const optimizer = new SGD([a], { lr: 0.1, momentum: 0.9 });
  expect(() => optimizer.loadStateDict(new Adam([b]).stateDict())).toThrow(StateDictError);
  expect(() => optimizer.loadStateDict(new Adam([b]).stateDict())).toThrow(
    "expected the state tensors momentum_buffer of parameter 0",
  );
  const pair = new SGD([param(1), param(1)], { lr: 0.7, momentum: 0.9 });
  expect(() => optimizer.loadStateDict(pair.stateDict())).toThrow("doesn't match the size of optimizer's group");
  expect(optimizer.lr).toBe(0.1);
});
