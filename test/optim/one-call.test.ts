import { afterAll, describe, expect, test, vi } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { memory, optim, type Tensor, tensor, zeros } from "../../src/index.js";
import { bitDifference } from "../kernels/compare.js";

const opened: Backend[] = [];
async function open(threads = 1): Promise<Backend> {
  const backend = await createWasmBackend({ threads });
  opened.push(backend);
  return backend;
}
afterAll(() => opened.forEach((b) => void b.dispose()));

const optimizers: Record<string, (params: optim.Params<{ lr: number }>) => optim.Optimizer> = {
  SGD: (params) => new optim.SGD(params, { lr: 0.1, weightDecay: 0.01 }),
  "SGD with Nesterov momentum": (params) => new optim.SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true }),
  Adam: (params) => new optim.Adam(params, { lr: 0.01, weightDecay: 0.1 }),
  AdamW: (params) => new optim.AdamW(params, { lr: 0.01 }),
  RMSprop: (params) => new optim.RMSprop(params, { lr: 0.01 }),
  "RMSprop with momentum": (params) => new optim.RMSprop(params, { lr: 0.01, momentum: 0.9, weightDecay: 0.1 }),
};
const kernelOf = { SGD: "sgd", Ada: "adam", RMS: "rmsprop" } as const;

const SIZES = [7, 8193, 0, 64, 20_000, 1];

/** Parameters of SIZES, the same each time. */
function makeParameters(sizes: readonly number[] = SIZES): Tensor[] {
  const random = new Random(3);
  return sizes.map((n) =>
    tensor(
      Float32Array.from({ length: n }, () => random.normal()),
      [n],
      { requiresGrad: true },
    ),
  );
}

/** Gives each parameter, except `without`, the gradient of this step. */
function giveGradients(params: readonly Tensor[], step: number, without: readonly number[] = []): void {
  params.forEach((p, i) => {
    const random = new Random(100 * step + i);
    p.grad = without.includes(i) ? null : tensor(Float32Array.from({ length: p.size }, () => random.normal()));
  });
}

/** Names of the kernels that `run` calls. */
function callsOf(backend: Backend, run: () => void): string[] {
  const spy = vi.spyOn(backend, "call");
  try {
    run();
    return spy.mock.calls.map(([kernel]) => kernel);
  } finally {
    spy.mockRestore();
  }
}

const values = (tensors: readonly Tensor[]): HostArray[] => tensors.map((t) => t.data());
const differences = (got: readonly HostArray[], want: readonly HostArray[]) => want.map((w, i) => bitDifference(got[i]!, w));
const same = SIZES.map(() => null);

describe.each(Object.entries(optimizers))("%s", (name, make) => {
  const kernel = kernelOf[name.slice(0, 3) as keyof typeof kernelOf];

  test("a step is one call, the count of steps another, and a group without gradients makes none", async () => {
    const backend = await open();
    withBackend(backend, () => {
      const params = makeParameters();
      const optimizer = make([{ params: params.slice(0, 2) }, { params: params.slice(2, 3) }, { params: params.slice(3) }]);
      expect(callsOf(backend, () => optimizer.step())).toEqual([]);
      giveGradients(params, 0);
      expect(callsOf(backend, () => optimizer.step())).toEqual([kernel, kernel, "addToCell"]);
      // The first three parameters get a count of their own.
      giveGradients(params, 1, [3, 4, 5]);
      expect(callsOf(backend, () => optimizer.step())).toEqual(["copyCell", kernel, "addToCell"]);
      giveGradients(params, 2);
      expect(callsOf(backend, () => optimizer.step())).toEqual([kernel, kernel, "addToCell", "addToCell"]);
      expect(optimizer.stateDict().state.map(({ step }) => step)).toEqual([3, 3, 3, 2, 2, 2]);
    });
  });

  test("gives the same bits as an optimizer for each parameter, also where a parameter has no gradient for a step", async () => {
    withBackend(await open(2), () => {
      const [together, alone] = [makeParameters(), makeParameters()];
      const optimizer = make(together);
      const each = alone.map((p) => make([p]));
      for (const [step, without] of [[], [], [1, 5], [0], []].entries()) {
        giveGradients(together, step, without);
        giveGradients(alone, step, without);
        optimizer.step();
        for (const one of each) one.step();
      }
      expect(differences(values(together), values(alone))).toEqual(same);
    });
  });

  test("gives the same bits with 1, 2, 3 and 8 threads, with gradients clipped before", async () => {
    const run = (backend: Backend) =>
      withBackend(backend, () => {
        const params = makeParameters();
        const optimizer = make(params);
        const norms: number[] = [];
        for (let step = 0; step < 3; step++) {
          giveGradients(params, step, step === 1 ? [1] : []);
          norms.push(optim.clipGradNorm(params, 1).item());
          optimizer.step();
        }
        return [Float64Array.from(norms), ...values(params)];
      });
    const want = run(await open(1));
    expect(want[0]!.every((norm) => norm > 100)).toBe(true);
    for (const threads of [2, 3, 8]) expect(differences(run(await open(threads)), want)).toEqual([null, ...same]);
  });

  test("a state that is loaded between steps counts from the next one on, bit for bit", async () => {
    withBackend(await open(), () => {
      const [p, q] = [makeParameters(), makeParameters()];
      const [first, second] = [make(p), make(q)];
      for (let step = 0; step < 3; step++) {
        giveGradients(p, step);
        first.step();
      }
      giveGradients(q, 7);
      second.step();
      second.loadStateDict(first.stateDict());
      for (const [i, t] of q.entries()) t.backend.write(t.storage, p[i]!.data());
      for (const [params, optimizer] of [[p, first] as const, [q, second] as const]) {
        giveGradients(params, 3);
        optimizer.step();
      }
      expect(second.stateDict().state.map(({ step }) => step)).toEqual(SIZES.map(() => 4));
      expect(differences(values(q), values(p))).toEqual(same);
    });
  });
});

test("clipping is one call for the sum of squares and one for the scaling, zeroGrad one that fills", async () => {
  const backend = await open();
  withBackend(backend, () => {
    const params = makeParameters();
    giveGradients(params, 0, [3]);
    expect(callsOf(backend, () => optim.clipGradNorm(params, 1))).toEqual(["fillCell", "addSquares", "clipScale"]);
    const optimizer = new optim.SGD(params);
    expect(callsOf(backend, () => optimizer.zeroGrad({ setToNull: false }))).toEqual(["fillAll"]);
    expect(params.map((p) => p.grad && Array.from(p.grad.data()).every((g) => g === 0))).toEqual([
      true,
      true,
      true,
      null,
      true,
      true,
    ]);
  });
});

test("the norm of 28,265 gradients is within 1e-7 of float64", async () => {
  withBackend(await open(2), () => {
    const params = makeParameters();
    giveGradients(params, 0);
    const want = Math.hypot(...params.flatMap((p) => Array.from(p.grad!.data())));
    expect(Math.abs(optim.clipGradNorm(params, Infinity).item() / want - 1)).toBeLessThan(1e-7);
  });
});

test("a gradient that two parameters share is counted and scaled once", async () => {
  withBackend(await open(), () => {
    const [p, q] = makeParameters([2, 2]) as [Tensor, Tensor];
    const shared = tensor([3, 4]);
    p.grad = shared;
    q.grad = shared.detach();
    expect(optim.clipGradNorm([p, q, p], 1).item()).toBeCloseTo(5, 6);
    expect(Array.from(q.grad.data())).toEqual([0.6, 0.8].map((g) => expect.closeTo(g, 6)));
  });
});

test("two tensors over the same memory cannot be parameters of one optimizer", () => {
  const p = zeros([3]);
  expect(() => new optim.SGD([p, p.detach()])).toThrow("some parameters appear in more than one parameter group, or twice.");
});

test("6,000 parameters, whose record is larger than the program began with, follow calls that are pending", async () => {
  const sizes = Array.from({ length: 6000 }, (_, i) => i % 3);
  const run = (backend: Backend) =>
    withBackend(backend, () => {
      const params = makeParameters(sizes);
      for (const p of params) p.grad = tensor(new Float32Array(p.size).fill(1));
      const optimizer = new optim.SGD(params, { lr: 0.5, momentum: 0.9 });
      const later = optim.clipGradNorm(params, 1e6);
      optimizer.step();
      optimizer.step();
      return [later.item(), ...params.map((p) => Array.from(p.data()))];
    });
  const moved = withBackend(await open(), () =>
    makeParameters(sizes).map((p) => Array.from(p.data(), (v) => v - 0.5 * (1 + 1.9))),
  );
  const [norm, ...got] = run(await open(2));
  expect(norm).toBeCloseTo(Math.sqrt(6000), 6);
  expect(got).toEqual(moved.map((p) => p.map((v) => expect.closeTo(v, 5))));
});

test("steps, clipping and zeros leave no storage behind", async () => {
  withBackend(await open(), () => {
    const params = makeParameters();
    giveGradients(params, 0);
    const before = memory().storages;
    const optimizer = new optim.Adam(params);
    optim.clipGradNorm(params, 1).dispose();
    optimizer.step();
    optimizer.zeroGrad({ setToNull: false });
    optimizer.dispose();
    expect(memory().storages).toBe(before);
  });
});
