import { describe, expect, it } from "vitest";
import { grad, init, memory, nn, normal, ones, optim, type Tensor, tidy } from "../../src/index.js";

type Run = (model: nn.Module, x: Tensor) => Tensor;
const plain: Run = (model, x) => model.forward(x);

/** Everything that a step can do with normalization, on [8, 4]. */
const steps: Record<string, [model: () => nn.Module, run: Run]> = {
  BatchNorm1d: [() => new nn.BatchNorm1d(4), plain],
  "a mask": [() => new nn.BatchNorm1d(4), (model, x) => (model as nn.BatchNorm1d).forward(x, ones([8]))],
  "parts of a batch": [
    () =>
      new nn.Sequential(new nn.Linear(4, 4), new nn.BatchNorm1d(4), new nn.Dropout(0.2), new nn.Residual(new nn.BatchNorm1d(4))),
    (model, x) => nn.cat(model.callTogether([x.slice(0, 0, 3), x.slice(0, 3, 8)])),
  ],
  BatchRenorm: [() => new nn.BatchRenorm(4), plain],
  GhostBatchNorm: [() => new nn.GhostBatchNorm(4, 3), plain],
  IterNorm: [() => new nn.IterNorm(4), plain],
  LayerNorm: [() => new nn.LayerNorm(4), plain],
  GroupNorm: [() => new nn.GroupNorm(2, 4), plain],
  "a gradient penalty": [
    () => new nn.Sequential(new nn.BatchNorm1d(4), new nn.ReLU()),
    (model, x) => grad(model.forward(x).square().sum(), [x], { createGraph: true })[0]!,
  ],
};

describe("200 steps inside tidy", () => {
  it.each(Object.entries(steps))("with %s leave as many storages as 5 did", async (_, [make, run]) => {
    await init();
    const model = make();
    const optimizer = new optim.SGD(optim.paramGroups(model, { weightDecay: 1e-3 }), { lr: 0.01 });
    const step = () =>
      tidy(() => {
        const x = normal([8, 4]);
        x.requiresGrad = true;
        run(model, x).square().sum().backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    for (let i = 0; i < 5; i++) step();
    const before = memory().storages;
    for (let i = 0; i < 200; i++) step();
    expect(memory().storages).toBe(before);
  });
});
