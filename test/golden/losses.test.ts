import { afterAll, describe, expect, it } from "vitest";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, decodeTensor, goldenCases, type LossCase } from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

const cases = goldenCases("losses");
const tolerances = { wasm: 2e-5, reference: 1e-12 } as const;

/** The loss, once by the module and once by the function. */
function lossesOf(example: LossCase, x: Tensor): [byModule: Tensor, byFunction: Tensor] {
  if (example.loss_fn === "mse_loss") {
    const target = decodeTensor(example.target);
    return [new nn.MSELoss().call(x, target), nn.mseLoss(x, target)];
  }
  const options = { labelSmoothing: example.label_smoothing! };
  const labels = decode(example.target) as Int32Array;
  return [new nn.CrossEntropyLoss(options).call(x, labels), nn.crossEntropy(x, decodeTensor(example.target), options)];
}

describe.each(targets)("losses against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  it.each(cases)(
    `$name: loss within ${t} relative, dx within ${t} of its largest entry, by module and by function`,
    (example) => {
      withBackend(backend, () => {
        for (const i of [0, 1] as const) {
          const x = decodeTensor(example.x, true);
          const loss = lossesOf(example, x)[i];
          loss.backward();
          const want = decode(example.dx);
          expect(outside("loss", [loss.item()], [example.loss], t * Math.abs(example.loss))).toBeNull();
          expect(outside("dx", x.grad!.data(), want, t * largest(want))).toBeNull();
        }
      });
    },
  );
});

it("all 4 cases are there", () => {
  expect(cases.length).toBe(4);
});
