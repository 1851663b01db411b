// PyTorch's tests of LazyBatchNorm1d, 2d and 3d (test_lazy_modules.py), as claims; see pytorch-batch-norm.test.ts. Pickling
// becomes a state dictionary here. Not here: test_lazy_batchnorm_with_dict_input (modules take tensors only).
import { afterAll, describe, expect, it } from "vitest";
import { TrainingError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import { startTargets } from "../fixtures/compare.js";
import { normals, numbers, Ports } from "./support.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});
const ports = new Ports();

const batch = (seed: number, shape: readonly number[]) => tensor(normals(seed, shape, 1, 2), shape);
const stateOf = (layer: nn.Module) => [...layer.stateDict()].map(([key, t]) => [key, t.shape, numbers(t)]);

const kinds = [
  [
    "1d",
    nn.BatchNorm1d,
    nn.LazyBatchNorm1d,
    [
      [16, 3, 6],
      [16, 6],
    ],
  ],
  ["2d", nn.BatchNorm2d, nn.LazyBatchNorm2d, [[16, 3, 6, 7]]],
  ["3d", nn.BatchNorm3d, nn.LazyBatchNorm3d, [[16, 3, 6, 7, 8]]],
] as const;

describe.each(targets)("lazy layers on $name", ({ backend }) => {
  const port = (upstream: string, claim: string, run: () => void) =>
    ports.port(upstream, claim, () => withBackend(backend, () => tidy(run)));

  for (const [kind, Eager, Lazy, shapes] of kinds) {
    for (const shape of shapes) {
      for (const affine of [false, true]) {
        for (const trackRunningStats of [false, true]) {
          const options = { affine, trackRunningStats, eps: 1e-3, momentum: 0.25 };
          const claim = `[${shape}] affine ${affine} tracking ${trackRunningStats}: name, keys, options, bits in both modes are the eager layer's`;
          port(`test_lazy_batchnorm${kind}`, claim, () => {
            const [lazy, eager] = [new Lazy(options), new Eager(shape[1]!, options)];
            expect(() => lazy.parameters()).toThrow(TrainingError);
            const outputs = [lazy, eager].map((layer) => numbers(layer.forward(batch(1, shape))));
            expect(outputs[0]).toEqual(outputs[1]);
            expect(lazy.typeName).toBe(eager.typeName);
            expect(String(lazy)).toBe(String(eager));
            expect(lazy.numFeatures).toBe(shape[1]);
            expect(stateOf(lazy)).toEqual(stateOf(eager));
            const evaluated = [lazy, eager].map((layer) => numbers(layer.eval().forward(batch(2, shape))));
            expect(evaluated[0]).toEqual(evaluated[1]);
          });
        }
      }
    }

    const first = shapes[0];
    port(
      `test_lazy_batchnorm${kind}_state`,
      "an eager layer's state of 10 channels makes it one of 10, which then computes the same bits",
      () => {
        const shape = first.map((size, axis) => (axis === 1 ? 10 : size));
        const eager = new Eager(10);
        eager.forward(batch(3, shape));
        const lazy = new Lazy();
        lazy.loadStateDict(eager.stateDict());
        expect(stateOf(lazy)).toEqual(stateOf(eager));
        expect(numbers(lazy.eval().forward(batch(4, shape)))).toEqual(numbers(eager.eval().forward(batch(4, shape))));
      },
    );

    port(
      `test_lazy_batchnorm${kind}_state`,
      "a state that is not there yet cannot be asked for, so no eager layer can load it",
      () => {
        const eager = new Eager(10);
        const before = stateOf(eager);
        const lazy = new Lazy();
        expect(() => eager.loadStateDict(lazy.stateDict())).toThrow(TrainingError);
        expect(stateOf(eager)).toEqual(before);
        expect(lazy.numFeatures).toBe(0);
      },
    );

    port(
      `test_lazy_batchnorm${kind}_pickle`,
      "saved before the first batch it is an error; after it, a new lazy layer takes the state over",
      () => {
        const lazy = new Lazy();
        expect(() => lazy.stateDict()).toThrow("expected numFeatures to be known");
        lazy.forward(batch(5, first));
        const saved = new Map([...lazy.stateDict()].map(([key, t]) => [key, tensor(t.data(), t.shape)]));
        const again = new Lazy();
        again.loadStateDict(saved);
        expect(again.numFeatures).toBe(first[1]);
        expect(stateOf(again)).toEqual(stateOf(lazy));
        for (const training of [false, true]) {
          const outputs = [again, lazy].map((layer) => numbers(layer.train(training).forward(batch(6, first))));
          expect(outputs[0]).toEqual(outputs[1]);
        }
        expect(stateOf(again)).toEqual(stateOf(lazy));
      },
    );
  }
});

it("portedTests of the lazy layers: 9", () => {
  const portedTests = ports.count;
  expect(portedTests).toBe(9);
});
