import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  compile,
  DisposedError,
  grad,
  init,
  manualSeed,
  memory,
  nn,
  noGrad,
  ones,
  optim,
  type Tensor,
  tensor,
  tidy,
  uniform,
  zeros,
} from "../../src/index.js";
import { isUpdatingStats, withoutStatsUpdate } from "../../src/nn/stats-update.js";

const values = (t: Tensor) => Array.from(t.data());

/** A network with everything that has a state: batch norm, dropout, an optimizer with momentum. */
function makeTraining() {
  manualSeed(3);
  const model = new nn.Sequential(
    new nn.Conv2d(1, 6, 5, { bias: false }),
    new nn.BatchNorm2d(6),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Dropout(0.2),
    new nn.Linear(54, 10),
  );
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
  const step = (x: Tensor, target: Tensor) => {
    const loss = nn.crossEntropy(model.call(x), target);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const state = () => [...model.stateDict()].map(([key, t]) => [key, values(t)]);
  return { model, optimizer, step, state };
}

const batch = (n: number) => ({ x: uniform([n, 1, 10, 10]), target: tensor(Int32Array.from({ length: n }, (_, i) => i % 10)) });

/** Losses and final state of ten steps with a falling learning rate, the third and eighth of another batch size. */
function trainTen(isCompiled: boolean) {
  const { optimizer, step, state } = makeTraining();
  const run = isCompiled ? compile(step) : step;
  const [full, short] = [batch(16), batch(7)];
  const losses = Array.from({ length: 10 }, (_, i) => {
    optimizer.lr = 0.05 / (1 + i);
    const { x, target } = i % 5 === 2 ? short : full;
    return tidy(() => run(x, target).item());
  });
  return { losses, state: state() };
}

describe.each(["wasm", "reference"] as const)("a compiled step on %s", (backend) => {
  beforeEach(() => init({ backend }));

  it("trains to the same bits as the function itself: dropout, running values, momentum, schedule, a short batch", () => {
    expect(trainTen(true)).toEqual(trainTen(false));
  });

  it("runs the function once for each shape", () => {
    let runs = 0;
    const step = compile((x: Tensor) => {
      runs++;
      return x.mul(2);
    });
    const results = [2, 3, 2, 3, 2].map((n) => values(step(ones([n]))));
    expect(results).toEqual([
      [2, 2],
      [2, 2, 2],
      [2, 2],
      [2, 2, 2],
      [2, 2],
    ]);
    expect([runs, step.recordings]).toEqual([2, 2]);
  });

  it("takes new values of its arguments at each call, in arrays, maps and objects of results", () => {
    const step = compile((x: Tensor, y: Tensor) => ({
      sum: x.add(y),
      list: [x.mul(y), new Map([["x", x]])] as const,
      none: null,
    }));
    step(ones([2]), ones([2]));
    const x = tensor([3, 4]);
    const { sum, list, none } = step(x, tensor([10, 20]));
    expect([values(sum), values(list[0]), none]).toEqual([[13, 24], [30, 80], null]);
    expect(list[1].get("x")).toBe(x);
  });

  it("keeps plain arguments apart", () => {
    const step = compile((x: Tensor, factor: number) => x.mul(factor));
    expect([2, 3, 2].map((f) => step(ones([1]), f).item())).toEqual([2, 3, 2]);
    expect(step.recordings).toBe(2);
  });

  it("gives results that the next call renews, also when they were disposed of", () => {
    const step = compile((x: Tensor) => x.add(1));
    const first = step(zeros([1]));
    expect(first.item()).toBe(1);
    step(ones([1]));
    expect(first.item()).toBe(2);
    first.dispose();
    expect(step(tensor([5])).item()).toBe(6);
  });

  it("reads parameters where they lie", () => {
    const weight = ones([1], { requiresGrad: true });
    const step = compile((x: Tensor) => x.mul(weight));
    step(ones([1]));
    weight.backend.write(weight.storage, [7]);
    expect(step(ones([1])).item()).toBe(7);
  });

  it("draws other random numbers at each call, those of the function itself", () => {
    const draw = () => uniform([3]);
    manualSeed(1);
    const expected = [1, 2, 3].map(() => values(draw()));
    manualSeed(1);
    const step = compile(draw);
    expect([1, 2, 3].map(() => values(step()))).toEqual(expected);
  });

  it("may be a part of another recorded step", () => {
    const inner = compile((x: Tensor) => x.mul(3));
    const outer = compile((x: Tensor) => inner(x).add(1));
    expect([1, 2].map((v) => outer(tensor([v])).item())).toEqual([4, 7]);
  });

  it("differentiates twice inside", () => {
    const step = compile((x: Tensor) => {
      const w = x.alias();
      w.requiresGrad = true;
      const [slope] = grad(w.pow(3).sum(), [w], { createGraph: true });
      return grad(slope!.sum(), [w])[0]!;
    });
    expect([2, 3].map((v) => step(tensor([v])).item())).toEqual([12, 18]);
  });
});

describe("gradients that a step leaves or finds", () => {
  beforeEach(() => init());

  it("are summed over calls and dropped in between as by the function itself", () => {
    const runs = [false, true].map((isCompiled) => {
      const w = ones([2], { requiresGrad: true });
      const f = (x: Tensor) => {
        const y = x.mul(w).sum();
        y.backward();
        return y;
      };
      const step = isCompiled ? compile(f) : f;
      const seen: number[][] = [];
      for (let i = 1; i <= 9; i++) {
        step(tensor([i, 2 * i]));
        seen.push(values(w.grad!));
        if (i % 3 === 0) w.grad = null;
      }
      return seen;
    });
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[1]!.at(-1)).toEqual([24, 48]);
  });

  it("reach an argument that requires one", () => {
    const step = compile((x: Tensor) => {
      const y = x.square().sum();
      y.backward();
      return y;
    });
    for (const v of [3, 4]) {
      const x = tensor([v], undefined, { requiresGrad: true });
      step(x);
      expect(values(x.grad!)).toEqual([2 * v]);
      step(x);
      expect(values(x.grad!)).toEqual([4 * v]);
    }
  });

  it("are what they were, and nothing else has moved, when the step throws", () => {
    const { model, step, state } = makeTraining();
    const { x, target } = batch(8);
    let fails = true;
    const compiled = compile((a: Tensor, b: Tensor) => {
      const loss = step(a, b);
      if (fails) throw new Error("no luck");
      return loss;
    });
    nn.crossEntropy(model.call(x), target).backward();
    const before = state();
    const grads = model.parameters().map((p) => values(p.grad!));
    expect(() => compiled(x, target)).toThrow("no luck");
    expect(state()).toEqual(before);
    expect(model.parameters().map((p) => values(p.grad!))).toEqual(grads);
    fails = false;
    compiled(x, target);
    expect(state()).not.toEqual(before);
  });
});

describe("a step is recorded anew", () => {
  beforeEach(() => init());

  it("when a layer's mode, momentum or freezing changes, and finds the old recording again", () => {
    const bn = new nn.BatchNorm1d(2);
    let runs = 0;
    const step = compile((x: Tensor) => {
      runs++;
      return bn.forward(x);
    });
    const x = tensor([1, 2, 3, 5], [2, 2]);
    const mean = () => values(bn.runningMean!);
    step(x);
    step(x);
    expect(runs).toBe(1);
    bn.eval();
    const stopped = mean();
    step(x);
    expect(mean()).toEqual(stopped);
    bn.train();
    step(x);
    expect(runs).toBe(2);
    bn.momentum = 1;
    step(x);
    expect(mean()).toEqual([2, 3.5]);
    bn.freeze();
    step(x);
    expect(runs).toBe(4);
  });

  it("when a parameter no longer requires a gradient", () => {
    const w = ones([1], { requiresGrad: true });
    const v = ones([1], { requiresGrad: true });
    const step = compile((x: Tensor) => {
      x.mul(w).mul(v).sum().backward();
      return x;
    });
    step(ones([1]));
    expect(w.grad).not.toBeNull();
    w.grad = null;
    v.grad = null;
    w.requiresGrad = false;
    step(ones([1]));
    expect([w.grad, v.grad].map((g) => (g as Tensor | null)?.item())).toEqual([undefined, 1]);
  });

  it("inside noGrad, and where running values must not move", () => {
    const bn = new nn.BatchNorm1d(1);
    const step = compile((x: Tensor) => bn.forward(x));
    const x = tensor([1, 3], [2, 1]);
    step(x);
    const moved = values(bn.runningMean!);
    withoutStatsUpdate(() => step(x));
    expect(isUpdatingStats()).toBe(true);
    expect(values(bn.runningMean!)).toEqual(moved);
    noGrad(() => step(x));
    expect(step.recordings).toBe(3);
  });

  it("when a child is replaced", () => {
    const model = new nn.Sequential(new nn.Linear(1, 1), new nn.Linear(1, 1));
    const step = compile((x: Tensor) => model.call(x));
    const before = step(ones([1, 1])).item();
    model.replaceChild("1", new nn.ReLU());
    expect(step(ones([1, 1])).item()).not.toBe(before);
  });

  it("when memory that it used was given back", () => {
    let scale = tensor([2]);
    const step = compile((x: Tensor) => x.mul(scale));
    expect(step(ones([1])).item()).toBe(2);
    scale.dispose();
    expect(() => step(ones([1]))).toThrow(DisposedError);
    scale = tensor([3]);
    expect(step(ones([1])).item()).toBe(3);
  });

  it("after the optimizer has loaded a state", () => {
    const runs = [false, true].map((isCompiled) => {
      const w = ones([3], { requiresGrad: true });
      const optimizer = new optim.Adam([w], { lr: 0.1 });
      const f = (x: Tensor) => {
        optimizer.zeroGrad();
        const loss = x.mul(w).square().sum();
        loss.backward();
        optimizer.step();
        return loss;
      };
      const step = isCompiled ? compile(f) : f;
      const x = tensor([1, 2, 3]);
      step(x);
      const saved = structuredClone(optimizer.stateDict().state.map(({ step: count }) => count));
      expect(saved).toEqual([1]);
      const state = optimizer.stateDict();
      step(x);
      optimizer.loadStateDict(state);
      step(x);
      step(x);
      return values(w);
    });
    expect(runs[1]).toEqual(runs[0]);
  });
});

describe("hooks", () => {
  beforeEach(() => init());

  it("see every value, and leave the bits as they are", () => {
    const means: number[] = [];
    const runs = [false, true].map((isWatched) => {
      const { model, step, state } = makeTraining();
      const compiled = compile(step);
      const { x, target } = batch(8);
      for (let i = 0; i < 6; i++) {
        const remove =
          isWatched && i % 2 === 1 ? model.at(1).registerForwardHook((_m, _x, y) => void means.push(y.mean().item())) : null;
        tidy(() => compiled(x, target));
        remove?.();
      }
      return state();
    });
    expect(runs[1]).toEqual(runs[0]);
    expect(means.length).toBe(3);
  });
});

describe("memory", () => {
  afterEach(() => init());

  it("of one step is planned by what is needed when: a chain of 50 maps takes the place of two", async () => {
    await init();
    const x = uniform([1 << 16]);
    const step = compile((t: Tensor) => {
      let y = t;
      for (let i = 0; i < 50; i++) y = y.mul(1.01);
      return y.sum();
    });
    const before = memory().used;
    step(x).dispose();
    expect(memory().used - before).toBeLessThan(3.6 * x.size * 4);
  });

  it("is shared by the recordings of all steps, and stays flat over 500 calls", async () => {
    await init({ threads: 2 });
    const { optimizer, step } = makeTraining();
    const compiled = compile(step);
    const [full, short] = [batch(16), batch(7)];
    const run = () => {
      tidy(() => compiled(full.x, full.target).item());
      tidy(() => compiled(short.x, short.target).item());
    };
    run();
    run();
    const before = memory();
    for (let i = 0; i < 250; i++) run();
    expect(memory()).toEqual(before);
    optimizer.dispose();
  });

  it("profile does the step, kernel by kernel", async () => {
    await init();
    const runs = [false, true].map((isProfiled) => {
      const { step, state } = makeTraining();
      const compiled = compile(step);
      const { x, target } = batch(8);
      compiled(x, target);
      if (isProfiled) {
        const times = compiled.profile(x, target);
        expect(times.map(({ kernel }) => kernel)).toEqual(expect.arrayContaining(["batchNormTrain", "batchNormBackward", "sgd"]));
      } else compiled(x, target);
      return state();
    });
    expect(runs[1]).toEqual(runs[0]);
  });
});
