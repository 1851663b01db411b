import { expect, it } from "vitest";
import { resnet } from "../../examples/resnet.js";
import * as nn from "../../src/nn/index.js";
import { SGD } from "../../src/optim/index.js";
import { uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { tidy } from "../../src/tensor/scope.js";

it("ResNet-8, 14 and 20 have 8, 14 and 20 layers with weights beside the shortcuts, and give one logit for each class", () => {
  for (const blocksPerStage of [1, 2, 3]) {
    const model = resnet({ blocksPerStage });
    const weighted = [...model.namedModules()].filter(
      ([path, module]) => (module instanceof nn.Conv2d || module instanceof nn.Linear) && !path.includes("shortcut"),
    );
    expect(weighted.length).toBe(6 * blocksPerStage + 2);
    expect(tidy(() => model.call(uniform([2, 3, 16, 16])).shape)).toEqual([2, 10]);
    model.dispose();
  }
});

it("a ResNet-8 learns eight random images by heart: after 12 steps the loss is below a fifth of the first", () => {
  manualSeed(5);
  const model = resnet({ classes: 4 });
  const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
  const x = uniform([8, 3, 16, 16], -1, 1);
  const labels = Int32Array.of(0, 1, 2, 3, 0, 1, 2, 3);
  const losses = Array.from({ length: 12 }, () =>
    tidy(() => {
      optimizer.zeroGrad();
      const loss = nn.crossEntropy(model.call(x), labels);
      loss.backward();
      optimizer.step();
      return loss.item();
    }),
  );
  expect(losses[0]).toBeGreaterThan(1);
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 5);
  for (const module of model.modules()) if (module instanceof nn.BatchNorm) expect(module.numBatchesTracked!.item()).toBe(12);
});
