import { describe, expect, it } from "vitest";
import { OptionError, ShapeError } from "../../src/core/errors.js";
import * as nn from "../../src/nn/index.js";
import { ones, tensor, uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";

describe("Linear", () => {
  it("by hand: [1, 2] with W = [[1, 2], [3, 4]] and b = [10, 20] gives [15, 31]", () => {
    const layer = new nn.Linear(2, 2);
    layer.loadStateDict(
      new Map([
        ["weight", tensor([1, 2, 3, 4], [2, 2])],
        ["bias", tensor([10, 20])],
      ]),
    );
    expect([...layer.call(tensor([1, 2], [1, 2])).data()]).toEqual([15, 31]);
  });

  it("names what it was built with when the input does not fit", () => {
    const layer = new nn.Linear(4, 2);
    for (const shape of [[3, 5], []]) expect(() => layer.call(ones(shape))).toThrow(ShapeError);
    expect(() => layer.call(ones([3, 5]))).toThrow(
      "Linear: expected input [..., 4], got [3, 5]. The layer was built with inFeatures = 4.",
    );
    expect(() => new nn.Linear(0, 2)).toThrow("Linear: expected inFeatures to be an integer of at least 1, got 0.");
  });
});

describe("Conv2d", () => {
  it("names what it was built with when the input does not fit", () => {
    const layer = new nn.Conv2d(3, 4, 3);
    for (const shape of [
      [2, 4, 8, 8],
      [3, 8, 8],
    ]) {
      expect(() => layer.call(ones(shape))).toThrow(
        `Conv2d: expected input [N, 3, H, W], got [${shape.join(", ")}]. The layer was built with inChannels = 3.`,
      );
    }
  });

  it("refuses groups that do not divide the channels, and sizes that are no integers in range", () => {
    expect(() => new nn.Conv2d(4, 6, 3, { groups: 3 })).toThrow(OptionError);
    expect(() => new nn.Conv2d(4, 6, 0)).toThrow("Conv2d: expected kernelSize to be an integer of at least 1, got 0.");
    expect(() => new nn.Conv2d(4, 6, 3, { padding: -1 })).toThrow("expected padding to be an integer of at least 0, got -1.");
    expect(() => new nn.Conv2d(4, 6, [3] as unknown as [number, number])).toThrow("a number or a pair [height, width], got [3]");
  });
});

describe("Sequential", () => {
  it("gives its modules by position, from both ends, and refuses other positions", () => {
    const [a, b] = [new nn.ReLU(), new nn.Flatten()];
    const model = new nn.Sequential(a).append(b);
    expect([model.length, model.at(0), model.at(-1), ...model]).toEqual([2, a, b, a, b]);
    for (const i of [2, -3, 0.5]) expect(() => model.at(i)).toThrow("Sequential.at: expected a position from -2 to 1");
  });

  it("without modules gives its input", () => {
    const x = ones([2]);
    expect(new nn.Sequential().call(x)).toBe(x);
  });
});

describe("Residual", () => {
  it("adds the branch to the input, or to what the shortcut makes of it; gradients take both ways", () => {
    const x = tensor([-2, 3], [2], { requiresGrad: true });
    new nn.Residual(new nn.ReLU()).call(x).backward(ones([2]));
    expect([...x.grad!.data()]).toEqual([1, 2]);
    expect([...new nn.Residual(new nn.ReLU(), new nn.Identity()).call(x).data()]).toEqual([-2, 6]);
    expect([...new nn.Residual(new nn.Identity(), new nn.ReLU()).call(x).data()]).toEqual([-2, 6]);
  });

  it("has the keys branch and shortcut", () => {
    const model = new nn.Residual(new nn.Linear(2, 3), new nn.Linear(2, 3, { bias: false }));
    expect([...model.stateDict().keys()]).toEqual(["branch.weight", "branch.bias", "shortcut.weight"]);
  });
});

describe("Dropout", () => {
  it("training: values are 0 or 1 / (1 − p), a share p of them 0 within 0.02; evaluation: the input itself", () => {
    manualSeed(4);
    const layer = new nn.Dropout(0.3);
    const y = layer.call(ones([10000])).data();
    const kept = Math.fround(1 / 0.7);
    expect([...y].every((v) => v === 0 || v === kept)).toBe(true);
    expect(Math.abs(y.filter((v: number) => v === 0).length / 10000 - 0.3)).toBeLessThan(0.02);
    const x = uniform([5]);
    expect([...layer.eval().call(x).data()]).toEqual([...x.data()]);
  });

  it("refuses p outside [0, 1)", () => {
    for (const p of [-0.1, 1, NaN]) expect(() => new nn.Dropout(p)).toThrow("Dropout: expected a probability p with 0 <= p < 1");
  });
});

describe("pooling", () => {
  it("the window's step is its size unless stride says otherwise", () => {
    const x = tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);
    expect([...new nn.MaxPool2d(2).call(x).data()]).toEqual([5]);
    expect([...new nn.MaxPool2d(2, { stride: 1 }).call(x).data()]).toEqual([5, 6, 8, 9]);
    expect([...new nn.AvgPool2d([1, 3]).call(x).data()]).toEqual([2, 5, 8]);
    expect([...new nn.AdaptiveAvgPool2d([3, 1]).call(x).data()]).toEqual([2, 5, 8]);
  });

  it("padding counts in the mean of AvgPool2d unless countIncludePad is false", () => {
    const x = ones([1, 1, 2, 2]);
    expect([...new nn.AvgPool2d(2, { padding: 1 }).call(x).data()]).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect([...new nn.AvgPool2d(2, { padding: 1, countIncludePad: false }).call(x).data()]).toEqual([1, 1, 1, 1]);
  });
});

describe("losses", () => {
  it("CrossEntropyLoss passes its options on, and its class weights are a buffer as in PyTorch", () => {
    const options = { weight: tensor([1, 2, 3]), labelSmoothing: 0.2, ignoreIndex: 1, reduction: "none" as const };
    const module = new nn.CrossEntropyLoss(options);
    const x = uniform([4, 3]);
    const labels = Int32Array.of(0, 1, 2, 0);
    expect([...module.call(x, labels).data()]).toEqual([...nn.crossEntropy(x, labels, options).data()]);
    expect([...module.stateDict().keys()]).toEqual(["weight"]);
    expect(module.call(x, labels).data()[1]).toBe(0);
  });

  it("MSELoss: mean, sum and none of (1, 3)²", () => {
    const [x, target] = [tensor([2, 5]), tensor([1, 2])];
    const results = (["mean", "sum", "none"] as const).map((reduction) => [
      ...new nn.MSELoss({ reduction }).call(x, target).data(),
    ]);
    expect(results).toEqual([[5], [10], [1, 9]]);
  });
});

it("nn has add, cat, batchNorm, crossEntropy and mseLoss as functions", () => {
  expect([...nn.add(ones([2]), ones([2])).data()]).toEqual([2, 2]);
  expect([...nn.cat([ones([1]), tensor([3])], 0).data()]).toEqual([1, 3]);
  expect([...nn.batchNorm(tensor([1, 3], [2, 1]), { training: true, eps: 0 }).data()]).toEqual([-1, 1]);
});
