import { beforeEach, describe, expect, test } from "vitest";
import { resnet } from "../../examples/resnet.js";
import { init, nn, ones, optim, type Tensor, zeros } from "../../src/index.js";
import { largest, outside } from "../fixtures/compare.js";

beforeEach(() => init());

/** The network of the article. */
const articleNet = () => {
  const hidden = (inputs: number, outputs: number) => [
    new nn.Linear(inputs, outputs),
    new nn.BatchNorm1d(outputs),
    new nn.ReLU(),
  ];
  return new nn.Sequential(...hidden(784, 64), ...hidden(64, 128), new nn.Linear(128, 10));
};

/** A layer of one vector that is neither a bias nor part of a normalization. */
class Scale extends nn.Module {
  readonly weight = this.parameter("weight", ones([3]));
  readonly bias = this.parameter("bias", zeros([3, 3]));
  forward(x: Tensor): Tensor {
    return x.mul(this.weight);
  }
}

const namesOf = (model: nn.Module) => optim.paramGroups(model, { weightDecay: 0.1 }).map(({ names }) => names);
const bits = (t: Tensor) => [...t.data()];

describe("paramGroups", () => {
  test("of the article's network: weights of the dense layers decay; γ, β and all biases do not", () => {
    expect(namesOf(articleNet())).toEqual([
      ["0.weight", "3.weight", "6.weight"],
      ["0.bias", "1.weight", "1.bias", "3.bias", "4.weight", "4.bias", "6.bias"],
    ]);
  });

  test("of a ResNet-14: exactly the weights of convolutions and of the last layer decay, in the model's order", () => {
    const model = resnet({ blocksPerStage: 2 });
    const [decayed, others] = optim.paramGroups(model, { weightDecay: 5e-4 });
    const keys = [...model.namedParameters().keys()];
    const isWeight = (key: string) => model.namedParameters().get(key)!.rank >= 2;
    expect(decayed!.names).toEqual(keys.filter(isWeight));
    expect(others!.names).toEqual(keys.filter((key) => !isWeight(key)));
    expect(decayed!.names).toContain("7.shortcut.0.weight");
    expect(others!.names).toContain("7.shortcut.1.weight");
    const byName = [decayed!, others!].flatMap(({ names, params }) =>
      params.map((p, i) => model.namedParameters().get(names[i]!) === p),
    );
    expect(byName).toEqual(keys.map(() => true));
    expect([decayed!.weightDecay, others!.weightDecay]).toEqual([5e-4, 0]);
  });

  test("decides by the layer and the name, not by the number of axes", () => {
    expect(namesOf(new Scale())).toEqual([["weight"], ["bias"]]);
    expect(namesOf(new nn.BatchNorm1d(3))).toEqual([["weight", "bias"]]);
    const model = new nn.Sequential(new nn.StdConv2d(3, 4, 3, { bias: false }), new nn.IterNorm(4), new nn.BatchNorm3d(2));
    expect(namesOf(model)).toEqual([["0.weight"], ["1.weight", "1.bias", "2.weight", "2.bias"]]);
  });

  test.each([
    ["BatchNorm1d", () => new nn.BatchNorm1d(3), 2],
    ["BatchNorm3d", () => new nn.BatchNorm3d(3), 2],
    ["GroupNorm", () => new nn.GroupNorm(3, 6), 2],
    ["InstanceNorm2d", () => new nn.InstanceNorm2d(3, { affine: true }), 2],
    ["IterNorm", () => new nn.IterNorm(3), 2],
    ["LayerNorm over two axes", () => new nn.LayerNorm([4, 5]), 2],
    ["RMSNorm over two axes", () => new nn.RMSNorm([4, 5]), 1],
  ])("no parameter of %s decays, alone or in a network", (_, make, count) => {
    for (const model of [make(), new nn.Sequential(make())]) {
      const groups = optim.paramGroups(model, { weightDecay: 0.1 });
      expect(groups.map(({ weightDecay, params }) => [weightDecay, params.length])).toEqual([[0, count]]);
    }
  });

  test("asks a lazy layer for its parameters only when it has them", () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.LazyBatchNorm1d());
    expect(() => optim.paramGroups(model, { weightDecay: 0.1 })).toThrow(/numFeatures to be known/);
    model.call(ones([4, 2]));
    expect(namesOf(model)).toEqual([["0.weight"], ["0.bias", "1.weight", "1.bias"]]);
  });

  test("has a parameter of a shared module once, under its first key", () => {
    const shared = new nn.Linear(3, 3);
    const norm = new nn.BatchNorm1d(3);
    const model = new nn.Sequential(new nn.Sequential(shared, norm), norm, shared, new nn.Linear(3, 3, { bias: false }));
    expect(namesOf(model)).toEqual([
      ["0.0.weight", "3.weight"],
      ["0.0.bias", "0.1.weight", "0.1.bias"],
    ]);
    expect(() => new optim.SGD(optim.paramGroups(model, { weightDecay: 0.1 }), { lr: 0.1 })).not.toThrow();
  });

  test("has frozen parameters, too", () => {
    const model = new nn.Sequential(new nn.Linear(2, 2), new nn.BatchNorm1d(2)).requiresGrad_(false);
    expect(optim.paramGroups(model, { weightDecay: 0.1 }).flatMap(({ params }) => params)).toHaveLength(4);
  });

  test("leaves out a group without parameters", () => {
    expect(namesOf(new nn.Linear(2, 2, { bias: false }))).toEqual([["weight"]]);
    expect(namesOf(new nn.ReLU())).toEqual([]);
    expect(() => new optim.SGD(optim.paramGroups(new nn.ReLU(), { weightDecay: 0.1 }))).toThrow(
      "SGD: optimizer got an empty parameter list.",
    );
  });

  test("hands other options to both groups, and names to no optimizer", () => {
    const groups = optim.paramGroups(articleNet(), { weightDecay: 0.1, lr: 0.5 });
    const optimizer = new optim.SGD(groups, { lr: 0.1, momentum: 0.9 });
    expect(optimizer.paramGroups.map(({ lr }) => lr)).toEqual([0.5, 0.5]);
    const rest = { momentum: 0.9, dampening: 0, nesterov: false };
    expect(optimizer.stateDict().paramGroups.map(({ options }) => options)).toEqual([
      { ...rest, weightDecay: 0.1 },
      { ...rest, weightDecay: 0 },
    ]);
    expect(`${groups[0]!.names}`).toBe("0.weight,3.weight,6.weight");
  });

  test("refuses a weight decay that is negative or not finite", () => {
    for (const weightDecay of [-1, Number.NaN, Infinity]) {
      expect(() => optim.paramGroups(articleNet(), { weightDecay })).toThrow(
        `paramGroups: Invalid weightDecay value: expected a finite number of at least 0, got ${weightDecay}.`,
      );
    }
  });
});

describe.each([
  ["SGD", (groups: optim.NamedParamGroup<{ weightDecay: number }>[]) => new optim.SGD(groups, { lr: 0.5 })],
  ["AdamW", (groups: optim.NamedParamGroup<{ weightDecay: number }>[]) => new optim.AdamW(groups, { lr: 0.5 })],
])("a step of %s with gradients of zero", (_, make) => {
  test.each([
    ["the article's network", articleNet],
    ["a ResNet-8", resnet],
  ])("on %s takes 5 % off every weight within 1e-7 and leaves γ, β and biases their bits", (_, build) => {
    const model = build();
    for (const p of model.parameters()) {
      if (p.rank < 2) nn.init.uniform(p, 0.5, 1);
      p.grad = zeros(p.shape);
    }
    const groups = optim.paramGroups(model, { weightDecay: 0.1 });
    const before = groups.map(({ params }) => params.map(bits));
    make(groups).step();
    const after = groups.map(({ params }) => params.map(bits));
    expect(after[1]).toEqual(before[1]);
    before[0]!.forEach((values, i) => {
      const want = values.map((v) => 0.95 * v);
      expect(outside(groups[0]!.names[i]!, after[0]![i]!, want, 1e-7)).toBeNull();
      expect(largest(values)).toBeGreaterThan(0.01);
    });
  });
});
