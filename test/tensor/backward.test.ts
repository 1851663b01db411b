import { describe, expect, test } from "vitest";
import { DTypeError, GradientError, ShapeError } from "../../src/core/errors.js";
import { grad, memory, noGrad, ops, type Tensor, tensor } from "../../src/index.js";

const leaf = (...values: number[]) => tensor(values, [values.length], { requiresGrad: true });
const values = (t: Tensor | null) => t && [...t.data()];

/** Adds to the first value of a tensor in place. */
function poke(t: Tensor): void {
  const data = t.data();
  data[0]! += 100;
  t.backend.write(t.storage, data);
}

describe("backward", () => {
  test("reaches leaves through a chain, and only those that ask", () => {
    const [a, b] = [leaf(2, 3), tensor([4, 5])];
    a.mul(b).square().sum().backward();
    expect(values(a.grad)).toEqual([64, 150]);
    expect(b.grad).toBeNull();
  });

  test("adds up over two calls and starts anew after grad = null", () => {
    const a = leaf(2);
    a.square().backward();
    a.square().backward();
    expect(values(a.grad)).toEqual([8]);
    a.grad = null;
    a.mul(3).backward();
    expect(values(a.grad)).toEqual([3]);
  });

  test("adds up where a leaf is used on two paths", () => {
    const a = leaf(3);
    a.square().add(a.mul(5)).add(a).backward();
    expect(values(a.grad)).toEqual([12]);
  });

  test("adds up where a leaf is both operands", () => {
    const a = leaf(3);
    a.mul(a).backward();
    expect(values(a.grad)).toEqual([6]);
    a.grad = null;
    a.add(a).backward();
    expect(values(a.grad)).toEqual([2]);
  });

  test("visits each node of a ladder of diamonds once: 40 of them give 2⁴⁰", () => {
    const a = leaf(1);
    let y: Tensor = a;
    for (let i = 0; i < 40; i++) y = y.add(y);
    y.backward();
    expect(values(a.grad)).toEqual([2 ** 40]);
  });

  test("waits for all paths of an uneven diamond", () => {
    const a = leaf(2);
    const h = a.square();
    h.exp().log().mul(h).backward();
    // h² with h = a²: 4a³, within float32.
    expect(a.grad!.item()).toBeCloseTo(32, 4);
  });

  test("goes through 10,000 nodes in a row", () => {
    const a = leaf(1);
    let y: Tensor = a;
    for (let i = 0; i < 10_000; i++) y = y.add(1);
    y.backward();
    expect(values(a.grad)).toEqual([1]);
  });

  test("starts at a leaf", () => {
    const a = leaf(1, 2);
    a.backward(tensor([3, 4]));
    expect(values(a.grad)).toEqual([3, 4]);
  });

  test("takes dy for results of more than one value", () => {
    const a = leaf(1, 2);
    a.mul(3).backward(tensor([1, 10]));
    expect(values(a.grad)).toEqual([3, 30]);
  });

  test("gradients of a and b in y = a + b do not share memory, nor with dy", () => {
    const [a, b, c] = [leaf(1, 2), leaf(3, 4), leaf(5, 6)];
    const dy = tensor([1, 2]);
    a.add(b)
      .add(c.reshape([2]))
      .backward(dy);
    for (const t of [a, b, c]) poke(t.grad!);
    for (const t of [a, b, c]) expect(values(t.grad)).toEqual([101, 2]);
    expect(values(dy)).toEqual([1, 2]);
  });

  test("a gradient does not share memory with what was kept for another call", () => {
    const [a, b] = [leaf(2, 3), leaf(4, 5)];
    const y = a.add(0).exp().mul(b);
    y.backward(tensor([1, 1]), { retainGraph: true });
    const first = values(a.grad);
    poke(a.grad!);
    poke(b.grad!);
    a.grad = null;
    b.grad = null;
    y.backward(tensor([1, 1]));
    expect(values(a.grad)).toEqual(first);
  });

  test("twice through a graph is refused, and changes no gradient", () => {
    const a = leaf(2);
    const y = a.square();
    y.backward();
    const again = () => y.backward();
    expect(again).toThrow(
      new GradientError(
        "backward: Trying to backward through the graph a second time: what square saved is freed. " +
          "Pass { retainGraph: true } to the first call.",
      ),
    );
    expect(again).toThrow(GradientError);
    expect(values(a.grad)).toEqual([4]);
  });

  test("through a part that was freed is refused as well", () => {
    const a = leaf(2);
    const h = a.exp();
    h.mul(2).backward();
    expect(() => h.mul(3).backward()).toThrow(/what exp saved is freed/);
  });

  test("retainGraph lets it run again", () => {
    const a = leaf(2);
    const y = a.square();
    y.backward(undefined, { retainGraph: true });
    y.backward();
    expect(values(a.grad)).toEqual([8]);
    expect(() => y.backward()).toThrow(GradientError);
  });

  test("refuses what has no gradient, lacks dy, or has the wrong dy", () => {
    const a = leaf(1, 2);
    expect(() => tensor([1]).backward()).toThrow(
      new GradientError(
        "backward: the tensor does not require grad and does not have a grad_fn: no input of it asked for gradients.",
      ),
    );
    expect(() => a.mul(2).backward()).toThrow(
      new GradientError("backward: grad can be implicitly created only for scalar outputs, got shape [2]. Pass dy."),
    );
    expect(() => a.mul(2).backward(tensor([1]))).toThrow(new ShapeError("backward: expected dy of shape [2], got [1]."));
    expect(() => a.mul(2).backward(tensor(new Int32Array(2)))).toThrow(
      new DTypeError("backward: expected dy to be float32, got int32."),
    );
    expect(a.grad).toBeNull();
  });

  test("a path without a gradient gives none, and what lies behind it is freed", () => {
    const a = leaf(-1, 2);
    const kept = a.exp();
    ops.greater(kept, 1).mul(a).sum().backward();
    expect(values(a.grad)).toEqual([0, 1]);
    expect(() => kept.sum().backward()).toThrow(/second time/);
  });
});

describe("recording", () => {
  test("noGrad records nothing, also after an exception inside", () => {
    const a = leaf(2);
    expect(noGrad(() => a.square()).requiresGrad).toBe(false);
    expect(() =>
      noGrad(() => {
        throw new Error("x");
      }),
    ).toThrow("x");
    expect(a.square().requiresGrad).toBe(true);
  });

  test("noGrad may be nested", () => {
    const a = leaf(2);
    const y = noGrad(() => {
      noGrad(() => a.square());
      return a.square();
    });
    expect(y.requiresGrad).toBe(false);
  });

  test("detach gives the same values, in the same memory, as a constant", () => {
    const a = leaf(2);
    const y = a.square();
    const d = y.detach();
    expect(d.requiresGrad).toBe(false);
    expect(d.storage).toBe(y.storage);
    d.mul(a).backward();
    expect(values(a.grad)).toEqual([4]);
  });

  test("only float32 leaves can ask for gradients", () => {
    const i = tensor(new Int32Array([1]));
    expect(() => {
      i.requiresGrad = true;
    }).toThrow(new DTypeError("requiresGrad: expected a float32 tensor, got int32."));
    const y = leaf(1).square();
    for (const on of [true, false]) {
      expect(() => {
        y.requiresGrad = on;
      }).toThrow(
        new GradientError(
          "requiresGrad: you can only change requiresGrad flags of leaf variables, and this one was computed: use detach().",
        ),
      );
    }
    expect(y.requiresGrad).toBe(true);
  });

  test("a leaf that was switched off is a constant", () => {
    const a = leaf(2);
    a.requiresGrad = false;
    expect(a.square().requiresGrad).toBe(false);
  });

  test("what needs no gradient keeps nothing: a result of constants holds one storage", () => {
    const x = tensor([1, 2]);
    const before = memory().storages;
    const y = x.exp();
    expect(memory().storages).toBe(before + 1);
    y.dispose();
    expect(memory().storages).toBe(before);
  });
});

describe("grad", () => {
  test("gives gradients of leaves and of values on the way and touches no .grad", () => {
    const [a, b] = [leaf(2), leaf(3)];
    const h = a.mul(b);
    const [da, dh, none] = grad(h.square(), [a, h, leaf(1)]);
    // It stops at h, which is asked for, so nothing reaches a.
    expect(da).toBeNull();
    expect(values(dh!)).toEqual([12]);
    expect(none).toBeNull();
    expect(a.grad).toBeNull();
    expect(b.grad).toBeNull();
  });

  test("leaves the graph behind a value on the way for a backward pass from there", () => {
    const a = leaf(3);
    const h = a.square();
    const [dh] = grad(h.mul(2), [h]);
    h.backward(dh!);
    expect(values(a.grad)).toEqual([12]);
  });

  test("takes dy and gives what was asked for in its order", () => {
    const [a, b] = [leaf(1, 2), leaf(3, 4)];
    const [db, da] = grad(a.mul(b), [b, a], { dy: tensor([1, 10]) });
    expect(values(da!)).toEqual([3, 40]);
    expect(values(db!)).toEqual([1, 20]);
  });

  test("leaves no memory behind for leaves that were not asked for", () => {
    const [a, b] = [leaf(1, 2), leaf(3, 4)];
    const before = memory().storages;
    const y = a.mul(b);
    const dy = tensor([1, 1]);
    const [da] = grad(y, [a], { dy });
    for (const t of [y, dy, da!]) t.dispose();
    expect(memory().storages).toBe(before);
  });

  test("gives second and third derivatives with createGraph", () => {
    const a = leaf(2);
    const [first] = grad(a.pow(4), [a], { createGraph: true });
    const [second] = grad(first!, [a], { createGraph: true });
    const [third] = grad(second!, [a]);
    expect([first, second, third].map((t) => t!.item())).toEqual([32, 48, 48]);
  });

  test("without createGraph its results are constants", () => {
    const a = leaf(2);
    expect(grad(a.pow(3), [a])[0]!.requiresGrad).toBe(false);
  });
});

describe("backward with createGraph", () => {
  // The memory of each of these gradients is shared at some point, by a sum, a shape, or what an op kept.
  const functions: [string, (x: Tensor) => Tensor, number, number][] = [
    ["x³", (x) => x.pow(3), 12, 12],
    ["(x + 1)³", (x) => x.add(1).pow(3), 27, 18],
    ["(x reshaped)³", (x) => x.reshape([1, 1]).pow(3).sum(), 12, 12],
    ["x² + x²", (x) => x.square().add(x.square()), 8, 4],
    ["x · x · x", (x) => x.mul(x).mul(x), 12, 12],
  ];

  test.each(functions)("keeps the gradient of %s in its graph", (_, f, first, second) => {
    const x = leaf(2);
    f(x).backward(undefined, { createGraph: true });
    const g = x.grad!;
    expect(g.item()).toBe(first);
    expect(g.requiresGrad).toBe(true);
    expect(grad(g, [x])[0]!.item()).toBe(second);
  });

  test("a gradient penalty: the gradient of |dy/dx|² at y = w x² is 8 w x²", () => {
    const [w, x] = [leaf(3), leaf(2)];
    const [dx] = grad(w.mul(x.square()), [x], { createGraph: true });
    dx!.square().backward();
    expect(values(w.grad)).toEqual([96]);
    expect(values(x.grad)).toEqual([144]);
  });
});
