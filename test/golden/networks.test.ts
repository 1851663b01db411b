import { afterAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { withBackend } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import * as optim from "../../src/optim/index.js";
import { tidy } from "../../src/tensor/scope.js";
import { largest, outside, startTargets } from "../fixtures/compare.js";
import { decode, decodeMap, decodeTensor, goldenCases, type NetworkCase } from "../fixtures/golden.js";

const targets = await startTargets();
afterAll(() => {
  for (const { backend } of targets) backend.dispose();
});

function article(bn: boolean): nn.Module[] {
  const hidden = (inputs: number, outputs: number) => [
    new nn.Linear(inputs, outputs),
    ...(bn ? [new nn.BatchNorm1d(outputs)] : []),
    new nn.ReLU(),
  ];
  return [...hidden(784, 64), ...hidden(64, 128), new nn.Linear(128, 10)];
}

function lenet(bn: boolean): nn.Module[] {
  const block = (inputs: number, outputs: number) => [
    new nn.Conv2d(inputs, outputs, 5),
    ...(bn ? [new nn.BatchNorm2d(outputs)] : []),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
  ];
  return [...block(1, 6), ...block(6, 16), new nn.Flatten(), new nn.Linear(256, 10)];
}

const nets = { article, lenet };

/** Trains as make.py does and lists what differs from PyTorch by more than `t`. */
function differences(example: NetworkCase, t: number): string[] {
  const model = new nn.Sequential(...nets[example.net](example.bn));
  model.loadStateDict(decodeMap(example.init));
  const { lr, momentum } = example;
  const optimizer = new optim.SGD(model.parameters(), { lr, momentum });
  const losses = example.xs.map((x, i) =>
    tidy(() => {
      optimizer.zeroGrad();
      const loss = nn.crossEntropy(model.call(decodeTensor(x)), decode(example.ys[i]!) as Int32Array);
      loss.backward();
      optimizer.step();
      return loss.item();
    }),
  );
  const found = [outside("loss of step", losses, example.losses, (i) => t * Math.abs(example.losses[i]!))];
  const logits = noGrad(() => model.eval().call(decodeTensor(example.probe)));
  const want = decode(example.probe_logits);
  found.push(outside("evaluation logits", logits.data(), want, t * largest(want)));
  const state = model.stateDict();
  for (const [key, encoded] of Object.entries(example.final)) {
    const expected = decode(encoded);
    // The golden values were rounded to float32.
    const allowed = Math.max(t, 2 ** -24) * largest(expected);
    found.push(outside(key, state.get(key)!.data(), expected, encoded.dtype === "i64" ? 0 : allowed));
  }
  return found.filter((line) => line !== null);
}

const cases = goldenCases("networks");
const tolerances = { wasm: 2e-5, reference: 1e-9 } as const;

describe.each(targets)("training with SGD and momentum against PyTorch 2.13 in float64, on $name", ({ name, backend }) => {
  const t = tolerances[name];
  it.each(cases)(`$name: losses, evaluation logits and final state within ${t} of the largest entry`, (example) => {
    expect(withBackend(backend, () => differences(example, t))).toEqual([]);
  });
});

it("all 4 cases are there", () => {
  expect(cases.map(({ name }) => name)).toEqual(["article bn=False", "article bn=True", "lenet bn=False", "lenet bn=True"]);
});
