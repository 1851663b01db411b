// A training step of evenkeel as `work/train-step.mjs` describes it.
import { nn, optim, tensor } from "../../dist/index.js";
import { labels, parameterValues, values } from "./data.mjs";

const layers = {
  linear: (inputs, outputs) => new nn.Linear(inputs, outputs),
  conv: (inputs, outputs, kernel, padding) => new nn.Conv2d(inputs, outputs, kernel, { padding }),
  batchNorm1d: (channels) => new nn.BatchNorm1d(channels),
  batchNorm2d: (channels) => new nn.BatchNorm2d(channels),
  relu: () => new nn.ReLU(),
  sigmoid: () => new nn.Sigmoid(),
  maxPool: (kernel) => new nn.MaxPool2d(kernel),
  flatten: () => new nn.Flatten(),
};

export const buildNetwork = (network) => new nn.Sequential(...network.map(([kind, ...options]) => layers[kind](...options)));

/** The step as a function, and what it holds. */
export function makeStep({ network, shape, lr, momentum }) {
  const model = buildNetwork(network);
  [...model.namedParameters()].forEach(([name, p], i) => {
    p.backend.write(p.storage, parameterValues(name, p.shape, i));
  });
  const x = tensor(values(shape, 1), shape);
  const target = tensor(labels(shape[0], 10, 2), [shape[0]]);
  const optimizer = new optim.SGD(model.parameters(), { lr, momentum });
  const step = () => {
    optimizer.zeroGrad();
    const loss = nn.crossEntropy(model.call(x), target);
    loss.backward();
    optimizer.step();
    return loss;
  };
  return { step, tensors: [x, target, ...model.parameters()] };
}
