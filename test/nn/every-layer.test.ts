import { afterAll, describe, expect, it } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { noGrad } from "../../src/autograd/mode.js";
import type { Backend } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import * as nn from "../../src/nn/index.js";
import { tensor } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { startTargets } from "../fixtures/compare.js";
import { type LayerSample, layerSamples } from "./layer-samples.js";

// Every layer is found by enumeration and put through the same checks, with each of its options.
const targets = await startTargets();
const [one, three] = [targets[0]!.backend, await createWasmBackend({ threads: 3 })];
const reference = targets[1]!.backend;
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
  three.dispose();
});

/** Classes that are there to be derived from. */
const abstract = ["Module", "BatchNorm", "InstanceNorm"];
const layers = Object.entries(nn).filter(
  ([name, value]) =>
    typeof value === "function" && (value as { prototype?: unknown }).prototype instanceof nn.Module && !abstract.includes(name),
);

const on = <T>(backend: Backend, fn: () => T): T =>
  withBackend(backend, () => {
    manualSeed(11);
    return tidy(fn);
  });

/** Distinct values that lie on no kink, the same on every backend. */
function input(shape: readonly number[], requiresGrad = true): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: size }, (_, i) => (((i * 37 + 11) % (size * 3 + 1)) / size - 1.5) * 1.3 + 0.017);
  return tensor(values, shape, { requiresGrad });
}

/** Parameters away from 0 and 1, so that a factor that is missing shows. */
function build({ make, shape, warmUp = false }: LayerSample): nn.Module {
  const layer = make();
  if (warmUp) noGrad(() => layer.call(input(shape, false)));
  layer.parameters().forEach((p, k) => {
    const values = Float32Array.from({ length: p.size }, (_, i) => 0.4 + 0.3 * Math.sin(i * 1.7 + k) + (p.rank > 1 ? -0.35 : 0));
    p.backend.write(p.storage, values);
  });
  return layer;
}

function gradients(sample: LayerSample, check: typeof gradcheck): void {
  on(reference, () => {
    const layer = build(sample).train(sample.training ?? true);
    const isFrozen = layer instanceof nn.BatchNorm && layer.frozen.affine;
    const parameters = isFrozen ? [] : layer.parameters();
    const call = (x: Tensor) => nn.withoutStatsUpdate(() => layer.forward(x, ...(sample.further?.() ?? [])));
    check(call, [input(sample.shape), ...parameters], { who: sample.title });
  });
}

it("every layer has samples, and every sample a layer", () => {
  expect(Object.keys(layerSamples).sort()).toEqual(layers.map(([name]) => name).sort());
});

describe.each(Object.entries(layerSamples))("%s", (name, samples) => {
  it.each(samples.map((sample) => [sample.title, sample] as const))(
    "%s: first and second derivatives of input and parameters within 1e-6 of difference quotients",
    (_, sample) => {
      gradients(sample, gradcheck);
      gradients(sample, gradgradcheck);
    },
  );

  it("a layer with the state of another gives its bits, in training and in evaluation", () => {
    for (const sample of samples) {
      on(one, () => {
        const [a, b] = [build(sample), sample.make()];
        b.loadStateDict(a.stateDict());
        for (const training of [true, false]) {
          const outputs = [a, b].map((layer) => {
            manualSeed(4);
            return [
              ...layer
                .train(training)
                .forward(input(sample.shape), ...(sample.further?.() ?? []))
                .data(),
            ];
          });
          expect(outputs[1], sample.title).toEqual(outputs[0]);
        }
      });
    }
  });

  it("1 and 3 threads give the same bits: output, gradients, state", () => {
    for (const sample of samples) {
      const runs = [one, three].map((backend) =>
        on(backend, () => {
          const layer = build(sample).train(sample.training ?? true);
          const x = input(sample.shape);
          const y = layer.forward(x, ...(sample.further?.() ?? []));
          y.square().sum().backward();
          const tensors = [y, x.grad!, ...layer.parameters().flatMap((p) => p.grad ?? []), ...layer.stateDict().values()];
          return tensors.map((t) => [...t.data()]);
        }),
      );
      expect(runs[1], sample.title).toEqual(runs[0]);
    }
  });

  it("toString names the layer", () => {
    for (const sample of samples) on(one, () => expect(build(sample).toString()).toContain(sample.printed ?? name));
  });
});
