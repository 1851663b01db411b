import { beforeEach, expect, it } from "vitest";
import { compile, init, manualSeed, memory, nn, optim, type Tensor, tidy, uniform } from "../../src/index.js";

beforeEach(() => init());

const makers: Record<string, (params: Tensor[]) => optim.Optimizer> = {
  "SGD with momentum": (params) => new optim.SGD(params, { lr: 0.1, momentum: 0.9 }),
  Adam: (params) => new optim.Adam(params, { lr: 0.1 }),
  AdamW: (params) => new optim.AdamW(params, { lr: 0.1 }),
  RMSprop: (params) => new optim.RMSprop(params, { lr: 0.1 }),
};

const bits = (t: Tensor) => Array.from(t.data());

/** State tensors, numbers of steps, parameters. */
function stateOf(optimizer: optim.Optimizer) {
  const state = optimizer.stateDict().state.map(({ step, tensors }) => [step, ...[...tensors.values()].map(bits)]);
  return [state, optimizer.parameters().map(bits)];
}

it.each(Object.keys(makers))("%s: steps on trial with fewer gradients leave no trace in a recorded run", (name) => {
  const run = (isTried: boolean) => {
    manualSeed(1);
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Linear(4, 2));
    const optimizer = makers[name]!(model.parameters());
    const x = uniform([5, 3]);
    const step = compile(() => {
      const loss = model.call(x).square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    const storages: number[] = [];
    for (let i = 0; i < 6; i++) {
      if (isTried && i > 1) tryStep(model, optimizer, x);
      tidy(() => step().item());
      storages.push(memory().storages);
    }
    return { state: stateOf(optimizer), recordings: step.recordings, grown: storages[5]! - storages[2]! };
  };
  const alone = run(false);
  expect(run(true)).toEqual(alone);
  expect([alone.recordings, alone.grown]).toEqual([1, 0]);
});

/** Two steps of the last layer alone, whose parameters so get counts of their own, and everything back. */
function tryStep(model: nn.Sequential, optimizer: optim.Optimizer, x: Tensor): void {
  const before = stateOf(optimizer);
  const takeBack = optimizer.preserve();
  const values = model.parameters().map((p) => [p, bits(p)] as const);
  for (let k = 0; k < 2; k++) {
    tidy(() => model.at(1).call(model.at(0).call(x).detach()).sum().backward());
    optimizer.step();
  }
  expect(stateOf(optimizer)).not.toEqual(before);
  optimizer.zeroGrad();
  takeBack();
  for (const [p, own] of values) p.backend.write(p.storage, own);
  expect(stateOf(optimizer)).toEqual(before);
}
