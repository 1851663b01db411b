import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as optim from "../../src/optim/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, decodeTensor, goldenCases, type OptimizerCase } from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const optimizers = { SGD: optim.SGD, Adam: optim.Adam, AdamW: optim.AdamW, RMSprop: optim.RMSprop };

/** PyTorch's options under our names. */
function optionsOf(example: OptimizerCase): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(example.options).map(([name, value]) => [name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase()), value]),
  );
}

/** Takes the ten steps; lists where a parameter is farther off than `t` times the largest one. */
function differences(example: OptimizerCase, t: number): string[] {
  const p = decodeTensor(example.param, true);
  const make = optimizers[example.optimizer as keyof typeof optimizers] as new (
    params: Tensor[],
    options: object,
  ) => optim.Optimizer;
  const optimizer = new make([p], optionsOf(example));
  const found = example.grads.map((grad, i) => {
    p.grad = decodeTensor(grad);
    optimizer.step();
    const want = decode(example.after[i]!);
    return outside(`step ${i}`, p.data(), want, t * largest(want));
  });
  return found.filter((line) => line !== null);
}

describe.each(targets)("optimizers against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = name === "wasm" ? 2e-5 : 1e-12;
  it.each(goldenCases("optimizers"))(`$name: all ten steps within ${t} of the largest entry`, (example) => {
    expect(withBackend(backend, () => differences(example, t))).toEqual([]);
  });
});
