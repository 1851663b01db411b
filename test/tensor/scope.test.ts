import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DisposedError, EvenkeelError } from "../../src/core/errors.js";
import { memory, noGrad, ops, type Tensor, tensor, tidy, zeros } from "../../src/index.js";

let start: { used: number; storages: number };
const level = () => ({ used: memory().used, storages: memory().storages });

describe("with nothing left behind", () => {
  beforeEach(() => {
    tensor(0).dispose();
    start = level();
  });
  afterEach(() => expect(level()).toEqual(start));

  test("tidy disposes of what was made and not returned", () => {
    let inner: Tensor | null = null;
    const y = tidy(() => {
      inner = tensor([1, 2]);
      return inner.add(1).mul(2);
    });
    expect(inner!.isDisposed).toBe(true);
    expect(y.toArray()).toEqual([4, 6]);
    y.dispose();
  });

  test("tidy returns what is no tensor as it is", () => {
    expect(tidy(() => tensor([1, 2]).sum().item())).toBe(3);
    expect(tidy(() => null)).toBeNull();
    expect(tidy(() => undefined)).toBeUndefined();
  });

  test("tidy spares tensors in arrays, maps and plain objects, at any depth", () => {
    const made: Tensor[] = [];
    const t = () => {
      const x = tensor([1]);
      made.push(x);
      return x;
    };
    const result = tidy(() => {
      t();
      return { a: t(), list: [t(), { b: t() }], map: new Map([["c", t()]]), n: 1, none: null };
    });
    expect(made.map((x) => x.isDisposed)).toEqual([true, false, false, false, false]);
    expect(result.list[0]).toBe(made[2]);
    for (const x of made) x.dispose();
  });

  test("a tensor that leaves an inner tidy belongs to the outer one", () => {
    let inner: Tensor | null = null;
    tidy(() => {
      inner = tidy(() => tensor([1]).add(1));
      expect(inner.isDisposed).toBe(false);
    });
    expect(inner!.isDisposed).toBe(true);
  });

  test("tidy leaves tensors of outside alone, even if they are returned", () => {
    const x = tensor([1]);
    expect(tidy(() => x)).toBe(x);
    expect(x.isDisposed).toBe(false);
    x.dispose();
  });

  test("keep takes a tensor out of every tidy", () => {
    const x = tidy(() => {
      const kept = tidy(() => tensor([5]).keep());
      return { item: kept };
    }).item;
    const y = tidy(() => ({ y: x }));
    expect(y.y.item()).toBe(5);
    x.dispose();
  });

  test("an exception passes through and everything is disposed of", () => {
    let inner: Tensor | null = null;
    const fail = () =>
      tidy(() => {
        tidy(() => {
          inner = tensor([1]);
          throw new RangeError("no");
        });
      });
    expect(fail).toThrow(new RangeError("no"));
    expect(inner!.isDisposed).toBe(true);
    const after = tensor([1]);
    expect(after.isDisposed).toBe(false);
    after.dispose();
  });

  test("tidy refuses a function that returns a promise", () => {
    expect(() => tidy(() => Promise.resolve(tensor([1])))).toThrow(
      new EvenkeelError("tidy: expected a synchronous function, got one that returns a promise."),
    );
    expect(() => tidy(async () => 1)).toThrow(EvenkeelError);
  });

  test("using disposes of a tensor at the end of the block", () => {
    let seen: Tensor;
    {
      using x = tensor([1, 2]);
      seen = x;
      expect(x.isDisposed).toBe(false);
    }
    expect(seen.isDisposed).toBe(true);
  });

  test("dispose may be repeated", () => {
    const x = tensor([1]);
    x.dispose();
    x.dispose();
    expect(x.isDisposed).toBe(true);
  });

  test("views hold the memory until the last is gone", () => {
    const x = tensor([1, 2, 3, 4]);
    const y = x.reshape([2, 2]);
    expect(x.sharesMemory && y.sharesMemory).toBe(true);
    expect(y.storage).toBe(x.storage);
    x.dispose();
    expect(y.toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(y.sharesMemory).toBe(false);
    y.dispose();
  });

  test("a disposed tensor says so, whatever it is used for", () => {
    const x = tensor([1, 2]);
    const y = tensor([1, 2]);
    x.dispose();
    const error = new DisposedError("tensor [2]: used after it was disposed of.");
    const uses = [
      () => x.data(),
      () => x.toArray(),
      () => x.add(1),
      () => y.add(x),
      () => x.reshape([2]),
      () => x.detach(),
      () => x.alias(),
    ];
    for (const use of uses) expect(use).toThrow(error);
    for (const use of uses) expect(use).toThrow(DisposedError);
    y.dispose();
  });

  test("a training step in tidy, repeated 200 times, leaves bytes and storages where they were", () => {
    const weight = tensor(
      [
        [0.1, -0.2],
        [0.3, 0.4],
      ],
      [2, 2],
      { requiresGrad: true },
    );
    const x = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const gamma = tensor([1, 1], [2], { requiresGrad: true });
    const step = () =>
      tidy(() => {
        const h = ops.batchNorm(ops.linear(x, weight), { training: true, weight: gamma });
        const loss = ops.crossEntropy(h.relu().add(0.5), new Int32Array([0, 1, 1]));
        loss.backward();
        for (const p of [weight, gamma]) {
          const moved = noGrad(() => p.sub(p.grad!.mul(0.1)));
          p.backend.call("copy", { x: moved.storage, y: p.storage, n: p.size });
          p.grad = null;
        }
        return loss.item();
      });
    const first = step();
    const before = level();
    let last = first;
    for (let i = 0; i < 200; i++) last = step();
    expect(level()).toEqual(before);
    expect(last).toBeLessThan(first);
    for (const t of [weight, x, gamma]) t.dispose();
  });

  test("the same with accumulated gradients: the one gradient of each leaf is all that stays", () => {
    const w = tensor([2], [1], { requiresGrad: true });
    const step = () => tidy(() => w.square().sum().backward());
    step();
    const before = level();
    for (let i = 0; i < 50; i++) step();
    expect(level()).toEqual(before);
    expect(w.grad!.item()).toBe(4 * 51);
    w.grad = null;
    w.dispose();
  });

  test("a forward pass without a backward pass leaves nothing behind in tidy", () => {
    const w = tensor([2, 3], [2], { requiresGrad: true });
    for (let i = 0; i < 20; i++) tidy(() => w.exp().mul(w).sum().item());
    w.dispose();
  });

  test("what leaves a tidy can still be differentiated, whatever its inner values", () => {
    const w = tensor([2, 3], [2], { requiresGrad: true });
    const y = tidy(() => ({ y: tidy(() => w.square().mul(w)).sum() })).y;
    y.backward();
    expect(w.grad!.toArray()).toEqual([12, 27]);
    w.grad = null;
    for (const t of [y, w]) t.dispose();
  });

  test("what is kept in a tidy can still be differentiated", () => {
    const w = tensor([2, 3], [2], { requiresGrad: true });
    let kept: Tensor | null = null;
    tidy(() => {
      kept = tidy(() => w.square().mul(w))
        .sum()
        .keep();
    });
    kept!.backward();
    expect(w.grad!.toArray()).toEqual([12, 27]);
    w.grad = null;
    for (const t of [kept!, w]) t.dispose();
  });

  test("gradients of leaves made in tidy go with them, unless they are returned", () => {
    const run = () => {
      const x = tensor([3], [1], { requiresGrad: true });
      x.square().backward();
      return x;
    };
    tidy(() => void run());
    const g = tidy(() => run().grad!);
    expect(g.item()).toBe(6);
    g.dispose();
    const x = tidy(run);
    expect(x.grad!.item()).toBe(6);
    x.grad = null;
    x.dispose();
  });

  test("backward outside of tidy leaves the gradient and nothing else", () => {
    const w = tensor([2, 3], [2], { requiresGrad: true });
    const before = level().storages;
    const y = w.sum();
    y.backward();
    expect(level().storages).toBe(before + 2);
    w.grad = null;
    for (const t of [y, w]) t.dispose();
  });

  test("a failed call gives its memory back in tidy", () => {
    const x = zeros([2, 3]);
    expect(() => tidy(() => x.add(zeros([2, 4])))).toThrow();
    x.dispose();
  });
});
