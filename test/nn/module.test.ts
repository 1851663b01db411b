import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/core/errors.js";
import * as nn from "../../src/nn/index.js";
import { mul } from "../../src/ops/index.js";
import { ones, tensor, uniform, zeros } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";

class Scale extends nn.Module {
  readonly weight = this.parameter("weight", ones([1]));
  readonly factor = this.buffer("factor", tensor([2], [1]));
  readonly cache = this.buffer("cache", zeros([1]), { persistent: false });

  forward(x: Tensor): Tensor {
    return mul(mul(x, this.weight), this.factor);
  }
}

/** Declares its child before its own parameter. */
class Nested extends nn.Module {
  readonly inner = this.child("inner", new nn.Sequential(new Scale(), new nn.ReLU()));
  readonly gain = this.parameter("gain", ones([1]));

  forward(x: Tensor): Tensor {
    return mul(this.inner.call(x), this.gain);
  }
}

describe("parameters, buffers and children", () => {
  it("come in PyTorch's order: own first, then children as registered, by dotted key", () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.BatchNorm1d(3), new Nested());
    expect([...model.namedParameters().keys()]).toEqual([
      "0.weight",
      "0.bias",
      "1.weight",
      "1.bias",
      "2.gain",
      "2.inner.0.weight",
    ]);
    expect([...model.namedBuffers().keys()]).toEqual([
      "1.running_mean",
      "1.running_var",
      "1.num_batches_tracked",
      "1.rejected",
      "2.inner.0.factor",
      "2.inner.0.cache",
    ]);
    expect([...model.namedModules().keys()]).toEqual(["", "0", "1", "2", "2.inner", "2.inner.0", "2.inner.1"]);
    expect([...model.namedChildren().keys()]).toEqual(["0", "1", "2"]);
    expect(model.numParameters()).toBe(6 + 3 + 6 + 2);
  });

  it("a module used twice is listed once among parameters and modules, and twice in the state dictionary", () => {
    const shared = new nn.Linear(2, 2, { bias: false });
    const model = new nn.Sequential(shared, new nn.ReLU(), shared);
    expect(model.parameters()).toEqual([shared.weight]);
    expect(model.modules().length).toBe(3);
    expect([...model.stateDict().keys()]).toEqual(["0.weight", "2.weight"]);
  });

  it("parameters ask for gradients and buffers do not; both outlive a tidy", () => {
    const model = tidy(() => {
      const made = new Nested();
      made.call(uniform([3]));
      return { made };
    }).made;
    expect(model.parameters().map((p) => [p.requiresGrad, p.isDisposed])).toEqual([
      [true, false],
      [true, false],
    ]);
    expect(model.buffers().map((b) => [b.requiresGrad, b.isDisposed])).toEqual([
      [false, false],
      [false, false],
    ]);
  });

  it("a name that is taken, empty or dotted is refused", () => {
    class Odd extends nn.Module {
      constructor(names: string[]) {
        super();
        for (const name of names) this.parameter(name, ones([1]));
      }
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(() => new Odd(["a", "a"])).toThrow(
      new OptionError('Odd: expected a name that is not taken for a parameter, buffer or child, got "a".'),
    );
    for (const name of ["", "a.b"]) expect(() => new Odd([name])).toThrow("a name that is not empty and has no dot");
  });

  it("replaceChild puts the new module into the same place, the property and the computation, and returns the old one", () => {
    const model = new Nested();
    const old = model.inner;
    const next = new nn.Sequential(new nn.Identity());
    expect(model.replaceChild("inner", next)).toBe(old);
    expect(model.inner).toBe(next);
    expect([...model.namedModules().keys()]).toEqual(["", "inner", "inner.0"]);
    expect([...model.call(tensor([-3, 4])).data()]).toEqual([-3, 4]);
    expect(() => model.replaceChild("outer", next)).toThrow(
      new OptionError('Nested.replaceChild: expected the name of a child (inner), got "outer".'),
    );
  });
});

describe("modes", () => {
  it("train and eval reach every module below and return the module", () => {
    const model = new nn.Sequential(new Nested(), new nn.BatchNorm1d(2));
    expect(model.eval()).toBe(model);
    expect(model.modules().map((m) => m.training)).toEqual(Array(6).fill(false));
    expect(model.train()).toBe(model);
    expect(model.modules().map((m) => m.training)).toEqual(Array(6).fill(true));
  });

  it("requiresGrad_(false) stops gradients, zeroGrad drops them, and a second backward adds to the first", () => {
    const layer = new nn.Linear(2, 1, { bias: false });
    const x = tensor([1, 2], [1, 2]);
    for (let i = 0; i < 2; i++) layer.call(x).sum().backward();
    expect([...layer.weight.grad!.data()]).toEqual([2, 4]);
    layer.zeroGrad();
    expect(layer.weight.grad).toBeNull();
    layer.requiresGrad_(false);
    expect(layer.call(x).requiresGrad).toBe(false);
  });

  it("apply visits children before their parent, each in turn", () => {
    const seen: string[] = [];
    new Nested().apply((module) => void seen.push(module.typeName));
    expect(seen).toEqual(["Scale", "ReLU", "Sequential", "Nested"]);
  });

  it("dispose gives back parameters, gradients and buffers, and may be repeated", () => {
    const layer = new nn.BatchNorm1d(3);
    const before = layer.weight!.backend.memory().storages;
    layer
      .call(uniform([4, 3]))
      .sum()
      .backward();
    const grad = layer.weight!.grad!;
    layer.dispose();
    layer.dispose();
    expect(grad.isDisposed).toBe(true);
    expect([...layer.parameters(), ...layer.buffers()].every((t) => t.isDisposed)).toBe(true);
    expect(before).toBeGreaterThanOrEqual(6);
  });
});

describe("hooks", () => {
  it("see the module, its inputs and its output in the order of registration, and only look if they return nothing", () => {
    const layer = new nn.ReLU();
    const seen: unknown[] = [];
    layer.registerForwardPreHook((module, inputs) => void seen.push("before", module, inputs[0]));
    layer.registerForwardHook((module, inputs, output) => void seen.push("after", module, inputs[0], output));
    layer.registerForwardHook(() => void seen.push("last"));
    const x = tensor([-1, 1]);
    const y = layer.call(x);
    expect(seen).toEqual(["before", layer, x, "after", layer, x, y, "last"]);
    expect([...y.data()]).toEqual([0, 1]);
  });

  it("replace inputs and output by what they return, and gradients flow through the replacement", () => {
    const layer = new nn.Identity();
    layer.registerForwardPreHook((_, [x]) => mul(x!, 3));
    layer.registerForwardHook((_, __, y) => mul(y, 5));
    const x = tensor([2], [1], { requiresGrad: true });
    const y = layer.call(x);
    y.backward();
    expect([y.item(), x.grad!.item()]).toEqual([30, 15]);
  });

  it("are gone after their remover was called, even from inside the hook; hasHooks tells", () => {
    const layer = new nn.Identity();
    expect(layer.hasHooks).toBe(false);
    let calls = 0;
    const remove = layer.registerForwardHook(() => {
      calls++;
      remove();
    });
    expect(layer.hasHooks).toBe(true);
    layer.call(ones([1]));
    layer.call(ones([1]));
    remove();
    expect([calls, layer.hasHooks]).toEqual([1, false]);
  });

  it("of a layer inside Sequential and Residual run with the whole", () => {
    const inner = new nn.ReLU();
    const shortcut = new nn.Identity();
    let calls = 0;
    for (const layer of [inner, shortcut]) layer.registerForwardHook(() => void calls++);
    new nn.Sequential(new nn.Residual(inner, shortcut)).call(ones([1]));
    expect(calls).toBe(2);
  });
});

it("toString shows the nested layers with their options", () => {
  const model = new nn.Sequential(
    new nn.Conv2d(3, 8, [5, 3], { stride: 2, padding: [2, 1], bias: false }),
    new nn.BatchNorm2d(8, { momentum: null }),
    new nn.Residual(new nn.Sequential(new nn.LeakyReLU(0.1), new nn.Dropout(0.2))),
    new nn.Flatten(),
    new nn.Linear(64, 10),
  );
  expect(String(model)).toBe(`Sequential(
  (0): Conv2d(3, 8, kernelSize = [5, 3], stride = 2, padding = [2, 1], bias = false)
  (1): BatchNorm2d(8, eps = 0.00001, momentum = null, affine = true, trackRunningStats = true)
  (2): Residual(
    (branch): Sequential(
      (0): LeakyReLU(negativeSlope = 0.1)
      (1): Dropout(p = 0.2)
    )
  )
  (3): Flatten(startAxis = 1)
  (4): Linear(inFeatures = 64, outFeatures = 10, bias = true)
)`);
});
