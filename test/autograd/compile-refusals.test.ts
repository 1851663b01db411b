import { beforeEach, describe, expect, it } from "vitest";
import {
  compile,
  DisposedError,
  GradientError,
  init,
  manualSeed,
  memory,
  nn,
  ones,
  optim,
  RecordingError,
  type Tensor,
  tensor,
} from "../../src/index.js";

const values = (t: Tensor) => Array.from(t.data());

describe("what cannot be recorded is refused before anything is changed", () => {
  beforeEach(async () => {
    await init();
    manualSeed(0);
  });
  const x = () => tensor([1, 2]);
  const refused: Record<string, [fn: (x: Tensor) => unknown, message: RegExp]> = {
    "reading one value": [(t) => (t.sum().item() > 0 ? t.mul(2) : t), /^item: a recorded step cannot read a value/],
    "reading all values": [(t) => t.mul(t.data()[0]!), /^data: a recorded step cannot read/],
    "nested arrays": [(t) => t.toArray(), /^toArray: a recorded step cannot read/],
    "a tensor from numbers": [
      (t) => t.mul(tensor([3, 4])),
      /^tensor: values from JavaScript enter a recorded step only through its/,
    ],
    "a result that is no tensor": [(t) => t.size, /^compile: expected a step that returns tensors, .* got a number/],
    "a promise": [async (t) => t, /^compile: expected a step that returns tensors, .* got a Promise|synchronous/],
  };
  it.each(Object.entries(refused))("%s", (_, [fn, message]) => {
    const step = compile(fn);
    const arg = x();
    const used = memory().used;
    for (let i = 0; i < 3; i++) {
      expect(() => step(arg)).toThrow(RecordingError);
      expect(() => step(arg)).toThrow(message);
    }
    expect(memory().used).toBe(used);
  });

  it("a learning rate that is set", () => {
    const optimizer = new optim.SGD([ones([1], { requiresGrad: true })], { lr: 1 });
    const schedule = new optim.Scheduler(optimizer, (t) => 1 / (t + 1));
    const step = compile((t: Tensor) => {
      schedule.step();
      return t.mul(2);
    });
    expect(() => step(x())).toThrow(/^SGD: a learning rate that is set in a recorded step/);
  });

  it("a hook that is attached", () => {
    const layer = new nn.ReLU();
    const step = compile((t: Tensor) => {
      layer.registerForwardHook(() => {});
      return layer.call(t);
    });
    expect(() => step(x())).toThrow(/^hook: a hook cannot be attached in a recorded step/);
    expect(layer.hasHooks).toBe(false);
  });

  it("an argument with a graph behind it", () => {
    const w = ones([2], { requiresGrad: true });
    const step = compile((t: Tensor) => t.mul(2));
    expect(() => step(w.mul(2))).toThrow(GradientError);
    expect(() => step(w.mul(2))).toThrow(/argument 0 \[2\] was computed by ops/);
    expect(values(step(w.mul(2).detach()))).toEqual([4, 4]);
  });

  it("a step that is never the same twice, by the name of what changes", () => {
    class Counting extends nn.Module {
      calls = 0;
      forward(t: Tensor): Tensor {
        return t.mul(++this.calls);
      }
    }
    const model = new Counting();
    const step = compile((t: Tensor) => model.call(t));
    const call = () => values(step(ones([1])));
    expect(() => {
      for (let i = 0; i < 20; i++) call();
    }).toThrow(/could never be repeated. What is in the way: the property "calls" of Counting, which changes/);
  });

  it("a step that keeps what it made; the first calls do what the function does", () => {
    const kept: Tensor[] = [];
    const step = compile((t: Tensor) => {
      kept.push(t.mul(2).keep());
      return t;
    });
    step(tensor([4, 5]));
    step(tensor([6, 7]));
    expect(kept.map(values)).toEqual([
      [8, 10],
      [12, 14],
    ]);
    expect(() => {
      for (let i = 0; i < 20; i++) step(x());
    }).toThrow(/it keeps a tensor beyond its end \(2 values of float32\); return it instead/);
  });

  it("a step that was disposed of", () => {
    const step = compile((t: Tensor) => t.mul(2));
    const arg = x();
    const before = memory();
    step(arg).dispose();
    step.dispose();
    step.dispose();
    expect(memory()).toMatchObject({ used: before.used, storages: before.storages });
    expect(() => step(arg)).toThrow(DisposedError);
  });
});

describe("with onEager", () => {
  beforeEach(() => init());

  it("such a step runs as it is, and the reason is told once", () => {
    const reasons: string[] = [];
    const step = compile((t: Tensor) => (t.sum().item() > 0 ? t.mul(2) : t.neg()), {
      onEager: ({ message }) => reasons.push(message),
    });
    expect([1, -1, 3].map((v) => step(tensor([v])).item())).toEqual([2, 1, 6]);
    expect(reasons).toEqual([expect.stringMatching(/^item: /)]);
  });

  it("BatchRenorm with a schedule is named, and with numbers is recorded", () => {
    const reasons: string[] = [];
    const run = (layer: nn.Module) => {
      const step = compile((t: Tensor) => layer.call(t), { onEager: ({ message }) => reasons.push(message) });
      for (let i = 0; i < 3; i++) step(tensor([1, 2, 3, 4], [4, 1]));
      return step.recordings;
    };
    expect(run(new nn.BatchRenorm(1, { rMax: 2, dMax: 1 }))).toBe(1);
    expect(reasons).toEqual([]);
    expect(run(new nn.BatchRenorm(1))).toBe(0);
    expect(reasons).toEqual([expect.stringMatching(/^BatchRenorm: a recorded step cannot follow a schedule/)]);
  });
});
