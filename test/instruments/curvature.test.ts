import { beforeEach, describe, expect, it } from "vitest";
import { grad, init, manualSeed, nn, type Tensor, tensor, uniform, zeros } from "../../src/index.js";
import { hessianVectorProduct, largestCurvature } from "../../src/instruments/index.js";
import { symmetricEigen } from "../../src/instruments/symmetric-eigen.js";
import { backends, expectClose, norm, Quadratic } from "./support.js";

const a = [0.5, 2, -7, 3, 0.1, 0];
const w = [1, -2, 0.5, 0.25, 1, 1];
const v = [1, 2, 3, -1, 0.5, 4];

/** A small network with convolution, batch norm, tanh and cross-entropy, with its loss. */
function makeNet() {
  manualSeed(1);
  const model = new nn.Sequential(
    new nn.Conv2d(1, 2, 2),
    new nn.BatchNorm2d(2),
    new nn.Tanh(),
    new nn.Flatten(),
    new nn.Dropout(0.2),
    new nn.Linear(8, 3),
  );
  const x = uniform([6, 1, 3, 3]);
  const labels = tensor(Int32Array.of(0, 1, 2, 2, 1, 0));
  return { model, x, labels, loss: () => nn.crossEntropy(model.call(x), labels) };
}

const flat = (parts: Iterable<Tensor>) => [...parts].flatMap((t) => Array.from(t.data()));

/** The whole Hessian of a net, column by column. */
function wholeHessian(model: nn.Module, loss: () => Tensor): number[][] {
  const parameters = [...model.namedParameters()];
  return parameters.flatMap(([key, p]) =>
    Array.from({ length: p.size }, (_, i) => {
      const unit = tensor(
        Float32Array.from({ length: p.size }, (__, k) => (k === i ? 1 : 0)),
        p.shape,
      );
      return flat(hessianVectorProduct(model, loss, new Map([[key, unit]])).values());
    }),
  );
}

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`the Hessian of ½·Σ a·w² times v is a·v within ${tolerance}`, () => {
    const model = new Quadratic(a, w);
    const got = hessianVectorProduct(model, () => model.call(), new Map([["weight", tensor(v)]]));
    expect([...got.keys()]).toEqual(["weight"]);
    expectClose(
      Array.from(got.get("weight")!.data()),
      v.map((x, i) => a[i]! * x),
      tolerance,
    );
  });

  it.each([
    ["magnitude", -7],
    ["largest", 3],
    ["smallest", -7],
  ] as const)(`the eigenvalue of ½·Σ a·w² that is "%s" is %d within ${tolerance}, and its residual says so`, (which, wanted) => {
    const model = new Quadratic(a, w);
    const got = largestCurvature(model, () => model.call(), { which, tolerance: tolerance / 10 });
    expectClose(got.eigenvalue, wanted, tolerance);
    expect(Math.abs(got.eigenvalue - wanted)).toBeLessThanOrEqual(got.residual + tolerance);
    expect(got.residual).toBeLessThan(7 * tolerance);
    expect(got.iterations).toBeLessThanOrEqual(a.length);
  });

  it("a loss that is linear in the parameters has no curvature", () => {
    const model = new Quadratic([1], [1]);
    const loss = () => model.weight.mul(3).sum();
    expect(
      hessianVectorProduct(model, loss, new Map([["weight", tensor([5])]]))
        .get("weight")!
        .toArray(),
    ).toEqual([0]);
    expect(largestCurvature(model, loss)).toEqual({ eigenvalue: 0, residual: 0, iterations: 1, converged: true });
  });

  it("a parameter that the loss does not reach, and one that is left out of v, have products of 0", () => {
    const model = new nn.Sequential(new Quadratic([2], [1]), new nn.Linear(1, 1));
    const got = hessianVectorProduct(model, () => (model.at(0) as Quadratic).call(), new Map([["1.weight", tensor([[1]])]]));
    expect(flat(got.values())).toEqual([0, 0, 0]);
  });
});

describe("of a network with convolution, batch norm, dropout and cross-entropy, in float64", () => {
  beforeEach(() => init({ backend: "reference" }));

  it("H·v is the difference quotient of the gradient within 1e-6", () => {
    const { model, loss } = makeNet();
    model.at(4).eval();
    manualSeed(7);
    const v = new Map([...model.namedParameters()].map(([key, p]) => [key, uniform(p.shape, -1, 1)]));
    const got = flat(hessianVectorProduct(model, loss, v).values());
    const gradientAt = (h: number) => {
      const parameters = [...model.namedParameters()];
      const move = (by: number) => {
        for (const [key, p] of parameters) p.backend.write(p.storage, p.detach().add(v.get(key)!.mul(by)).data());
      };
      move(h);
      const found = flat(
        grad(
          loss(),
          parameters.map(([, p]) => p),
        ).map((g, i) => g ?? zeros(parameters[i]![1].shape)),
      );
      move(-h);
      return found;
    };
    const h = 1e-5;
    const [above, below] = [gradientAt(h), gradientAt(-h)];
    expectClose(
      got,
      above.map((g, i) => (g - below[i]!) / (2 * h)),
      1e-6,
    );
    expect(norm(got)).toBeGreaterThan(0.1);
  });

  it("the Hessian is symmetric within 1e-12, and Lanczos finds its outermost eigenvalues within 1e-8", () => {
    const { model, loss } = makeNet();
    // A mask of dropout that changes would show as asymmetry.
    const hessian = wholeHessian(model, loss);
    const worst = Math.max(...hessian.flatMap((row, i) => row.map((x, j) => Math.abs(x - hessian[j]![i]!))));
    expect(worst).toBeLessThan(1e-12);
    const { values } = symmetricEigen(hessian);
    const byMagnitude = values.reduce((best, x) => (Math.abs(x) > Math.abs(best) ? x : best));
    const options = { iterations: 45, tolerance: 1e-9 };
    expectClose(largestCurvature(model, loss, options).eigenvalue, byMagnitude, 1e-8);
    expectClose(largestCurvature(model, loss, { ...options, which: "largest" }).eigenvalue, Math.max(...values), 1e-8);
    expectClose(largestCurvature(model, loss, { ...options, which: "smallest" }).eigenvalue, Math.min(...values), 1e-8);
  });

  it("few iterations say by their residual that they have not converged, and how far off they may be", () => {
    const { model, loss } = makeNet();
    const { values } = symmetricEigen(wholeHessian(model, loss));
    const got = largestCurvature(model, loss, { iterations: 3, tolerance: 1e-6 });
    expect([got.iterations, got.converged]).toEqual([3, false]);
    const nearest = Math.min(...values.map((x) => Math.abs(x - got.eigenvalue)));
    expect(nearest).toBeLessThanOrEqual(got.residual + 1e-12);
  });
});

describe("on wasm", () => {
  beforeEach(() => init());

  it("H·v of the network with convolution, batch norm and cross-entropy is that of float64 within 1e-4 of its length", async () => {
    const ofBackend = async (backend: "wasm" | "reference", values: Map<string, Float32Array> | null) => {
      await init({ backend });
      const { model, x, labels } = makeNet();
      model.at(4).eval();
      const tensors: [string, Tensor][] = [...model.stateDict(), ["x", x]];
      const given = values ?? new Map(tensors.map(([key, t]) => [key, t.data() as Float32Array]));
      for (const [key, t] of tensors) t.backend.write(t.storage, given.get(key)!);
      const v = new Map([...model.namedParameters()].map(([key, p]) => [key, p.detach()]));
      return { given, product: flat(hessianVectorProduct(model, () => nn.crossEntropy(model.call(x), labels), v).values()) };
    };
    const { given, product } = await ofBackend("wasm", null);
    const { product: exact } = await ofBackend("reference", given);
    expect(norm(product.map((value, i) => value - exact[i]!))).toBeLessThan(1e-4 * norm(exact));
    expect(norm(exact)).toBeGreaterThan(0.01);
  });

  it("the same seed gives the same bits, and another start the same eigenvalue within 1e-3", () => {
    const { model, loss } = makeNet();
    const run = (seed: number) => largestCurvature(model, loss, { seed, iterations: 30, tolerance: 1e-5 });
    expect(run(1)).toEqual(run(1));
    expectClose(run(2).eigenvalue, run(1).eigenvalue, 1e-3);
  });

  it("options and vectors that do not fit are refused", () => {
    const { model, loss } = makeNet();
    expect(() => largestCurvature(model, loss, { iterations: 0 })).toThrow(
      "largestCurvature: expected iterations to be an integer of at least 1, got 0.",
    );
    expect(() => largestCurvature(model, loss, { tolerance: -1 })).toThrow(
      "largestCurvature: expected a tolerance of at least 0, got -1.",
    );
    expect(() => largestCurvature(model, loss, { which: "all" as "largest" })).toThrow(
      'largestCurvature: expected which to be magnitude, largest, smallest, got "all".',
    );
    expect(() => hessianVectorProduct(model, loss, new Map([["0.gain", tensor([1])]]))).toThrow(
      'hessianVectorProduct: expected keys of parameters that require grad, got "0.gain".',
    );
    expect(() => hessianVectorProduct(model, loss, new Map([["5.bias", tensor([1])]]))).toThrow(
      'hessianVectorProduct: expected [3] for "5.bias", got [1].',
    );
  });
});

describe("symmetricEigen", () => {
  it("gives the eigenvalues 1 and 3 of [[2, 1], [1, 2]], and vectors that the matrix only stretches, within 1e-14", () => {
    const matrix = [
      [2, 1],
      [1, 2],
    ];
    const { values, vectors } = symmetricEigen(matrix);
    expectClose([...values].sort(), [1, 3], 1e-14);
    for (const [k, u] of vectors.entries()) {
      expectClose(norm(u), 1, 1e-14);
      expectClose(
        matrix.map((row) => row[0]! * u[0]! + row[1]! * u[1]!),
        u.map((x) => values[k]! * x),
        1e-14,
      );
    }
  });

  it("gives the eigenvalues 2 − 2·cos(πk/(n + 1)) of the second difference of 20 points, within 1e-13", () => {
    const n = 20;
    const matrix = Array.from({ length: n }, (_, i) =>
      Array.from({ length: n }, (__, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)),
    );
    const wanted = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos((Math.PI * (k + 1)) / (n + 1)));
    expectClose(
      symmetricEigen(matrix).values.sort((x, y) => x - y),
      wanted,
      1e-13,
    );
  });
});
