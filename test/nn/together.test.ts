import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { resnet } from "../../examples/resnet.js";
import { memory, withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { normal, ones, tensor } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
beforeEach(() => manualSeed(7));

/** Rows [from, to) of x. */
const rows = (x: Tensor, from: number, to: number) => x.slice(0, from, to);

/** Loss, gradients and state after one batch, whole or in parts of the given sizes. */
function train(model: nn.Module, x: Tensor, labels: Int32Array, sizes: readonly number[] | null) {
  model.train();
  model.zeroGrad();
  let loss: Tensor;
  if (sizes === null) loss = nn.crossEntropy(model.call(x), labels, { reduction: "sum" });
  else {
    const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
    const outputs = model.callTogether(sizes.map((size, i) => rows(x, starts[i]!, starts[i]! + size)));
    const losses = outputs.map((y, i) =>
      nn.crossEntropy(y, labels.slice(starts[i]!, starts[i]! + sizes[i]!), { reduction: "sum" }),
    );
    loss = losses.reduce((a, b) => a.add(b));
  }
  loss.mul(1 / labels.length).backward();
  return {
    loss: loss.item(),
    gradients: [...model.namedParameters()].map(([key, p]) => [key, p.grad!.data()] as const),
    state: [...model.stateDict()].map(([key, t]) => [key, t.data()] as const),
  };
}

const models: Record<string, [shape: number[], make: () => nn.Module]> = {
  "a dense network": [
    [12, 20],
    () => new nn.Sequential(new nn.Linear(20, 16), new nn.BatchNorm1d(16), new nn.ReLU(), new nn.Linear(16, 10)),
  ],
  "a convolutional network": [
    [12, 1, 8, 8],
    () =>
      new nn.Sequential(
        new nn.Conv2d(1, 4, 3, { padding: 1 }),
        new nn.BatchNorm2d(4),
        new nn.ReLU(),
        new nn.Sequential(new nn.Conv2d(4, 6, 3), new nn.BatchNorm2d(6), new nn.ReLU()),
        new nn.MaxPool2d(2),
        new nn.Flatten(),
        new nn.Linear(54, 10),
        new nn.BatchNorm1d(10, { affine: false }),
      ),
  ],
  "a residual network": [[12, 3, 4, 4], () => resnet({ blocksPerStage: 1, classes: 10 })],
};

describe.each(targets)("callTogether on $name", ({ name, backend }) => {
  const tolerance = name === "wasm" ? 1e-5 : 1e-11;
  it.each(Object.entries(models))(
    `of %s in parts of 4, 4, 4 and of 1, 7, 4 gives loss, gradients and running values of the whole batch within ${tolerance}`,
    (_, [shape, make]) => {
      withBackend(backend, () => {
        const x = normal(shape, 0.5, 2);
        const labels = Int32Array.from({ length: shape[0]! }, (_, i) => (i * 7) % 10);
        const model = make();
        const start = new Map([...model.stateDict()].map(([key, t]) => [key, tensor(t.data(), t.shape)]));
        const run = (sizes: number[] | null) => {
          model.loadStateDict(start);
          return train(model, x, labels, sizes);
        };
        const whole = run(null);
        // A gradient that is 0 but for rounding (of a bias before batch normalization) is measured by the others.
        const most = Math.max(...whole.gradients.map(([, g]) => largest(g)));
        for (const sizes of [[4, 4, 4], [1, 7, 4], [12]]) {
          const parts = run(sizes);
          const found = [outside("loss", [parts.loss], [whole.loss], tolerance * whole.loss)];
          whole.gradients.forEach(([key, want], i) => {
            found.push(outside(key, parts.gradients[i]![1], want, tolerance * Math.max(largest(want), most)));
          });
          whole.state.forEach(([key, want], i) => {
            found.push(outside(key, parts.state[i]![1], want, tolerance * largest(want)));
          });
          expect(found.filter((line) => line !== null)).toEqual([]);
        }
      });
    },
  );
});

describe("callTogether", () => {
  const wasm = targets[0]!.backend;

  it("needs less than 0.6 times the memory of the big batch at its peak", () => {
    withBackend(wasm, () => {
      const layers = [16, 16, 16].flatMap((c, i) => [
        new nn.Conv2d(i === 0 ? 3 : c, c, 3, { padding: 1 }),
        new nn.BatchNorm2d(c),
        new nn.SiLU(),
        new nn.Tanh(),
      ]);
      const model = new nn.Sequential(...layers, new nn.AdaptiveAvgPool2d(1), new nn.Flatten(), new nn.Linear(16, 10));
      const x = normal([32, 3, 16, 16]);
      const labels = new Int32Array(32);
      // The peak of a backend only grows: measured from what is alive before each run.
      const grown = (sizes: number[] | null) => {
        let most = 0;
        const before = memory().used;
        const call = wasm.call;
        wasm.call = function (this: typeof wasm, ...args: Parameters<typeof call>) {
          most = Math.max(most, memory().used - before);
          return call.apply(this, args);
        } as typeof call;
        try {
          tidy(() => void train(model, x, labels, sizes));
        } finally {
          wasm.call = call;
        }
        return most;
      };
      const whole = grown(null);
      const parts = grown(Array.from({ length: 8 }, () => 4));
      expect(parts / whole).toBeLessThan(0.6);
    });
  });

  it("one part with one value per channel is fine among others; one value in all is refused, before anything changes", () => {
    const bn = new nn.BatchNorm1d(2);
    const [a, b] = bn.callTogether([tensor([1, 2], [1, 2]), tensor([3, 6], [1, 2])]);
    expect(outside("a", a!.data(), [-1, -1], 1e-5)).toBeNull();
    expect(outside("b", b!.data(), [1, 1], 1e-5)).toBeNull();
    expect(bn.numBatchesTracked!.item()).toBe(1);
    const before = bn.runningMean!.data();
    expect(() => bn.callTogether([ones([1, 2]), ones([0, 2])])).toThrow(
      "BatchNorm1d: Expected more than 1 value per channel when training, got input sizes [1, 2], [0, 2].",
    );
    expect([bn.runningMean!.data(), bn.numBatchesTracked!.item()]).toEqual([before, 1]);
  });

  it("dropout draws the same mask when its part is computed again", () => {
    // y = mask · w · x̂ is linear in w, so dw · w = Σ y · dy for the mask of the forward pass alone.
    const model = new nn.Sequential(new nn.BatchNorm1d(4), new nn.Dropout(0.5));
    const bn = model.at(0) as nn.BatchNorm1d;
    const [y, z] = model.callTogether([normal([8, 4]), normal([8, 4])]);
    const sum = y!.add(z!).sum();
    const want = sum.item();
    sum.backward();
    const got = bn.weight!.grad!.sum().item();
    expect(outside("Σ dγ · γ", [got], [want], 1e-4)).toBeNull();
  });

  it("in evaluation, or frozen, a layer treats each part alone and moves nothing", () => {
    const model = new nn.Sequential(new nn.BatchNorm1d(2), new nn.Tanh());
    model.forward(normal([8, 2], 3));
    for (const prepare of [() => model.eval(), () => (model.train().at(0) as nn.BatchNorm1d).freeze()]) {
      prepare();
      const x = normal([4, 2]);
      const parts = model.callTogether([rows(x, 0, 1), rows(x, 1, 4)]);
      expect([...parts[0]!.data(), ...parts[1]!.data()]).toEqual([...model.forward(x).data()]);
      expect((model.at(0) as nn.BatchNorm1d).numBatchesTracked!.item()).toBe(1);
    }
  });

  it("hooks see every part once forward, on modules and around them", () => {
    const model = new nn.Sequential(new nn.BatchNorm1d(2), new nn.Tanh());
    const seen: string[] = [];
    for (const module of [model, ...model])
      module.registerForwardHook((m, [x], y) => void seen.push(`${m.typeName} ${x!.shape} ${y.shape}`));
    const parts = model.callTogether([ones([3, 2]).mul(2), normal([1, 2])]);
    parts[0]!.add(parts[1]!).sum().backward();
    expect(seen.sort()).toEqual([
      "BatchNorm1d 1,2 1,2",
      "BatchNorm1d 3,2 3,2",
      "Sequential 1,2 1,2",
      "Sequential 3,2 3,2",
      "Tanh 1,2 1,2",
      "Tanh 3,2 3,2",
    ]);
  });

  it("a module of one's own with batch normalization inside and no rule for parts is named", () => {
    class Own extends nn.Module {
      readonly bn = this.child("bn", new nn.BatchNorm1d(2));
      forward(x: Tensor): Tensor {
        return this.bn.call(x);
      }
    }
    expect(() => new nn.Sequential(new Own()).callTogether([ones([2, 2])])).toThrow(
      'Own (layer "0"): expected a module that has a rule for parts of a batch, since BatchNorm1d (layer "0.bn") mixes the ' +
        "examples of a batch; write forwardTogether, or build it of Sequential and Residual.",
    );
  });
});
