// The networks of the benchmarks in evenkeel's layers.
import { nn } from "../../dist/index.js";
import { parameterValues } from "./data.mjs";

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

/** A network with the start values that every participant has. */
export function build(network, seed = 0) {
  const model = new nn.Sequential(...network.map(([kind, ...options]) => layers[kind](...options)));
  [...model.namedParameters()].forEach(([name, p], i) => {
    p.backend.write(p.storage, parameterValues(name, p.shape, i, seed));
  });
  return model;
}
