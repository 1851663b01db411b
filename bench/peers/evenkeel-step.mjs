// A training step of evenkeel as `work/train-step.mjs` describes it.
import { nn, optim, tensor } from "../../dist/index.js";
import { labels, values } from "./data.mjs";
import { build } from "./layers-evenkeel.mjs";

/** The step as a function, and what it holds. */
export function makeStep({ network, shape, lr, momentum }) {
  const model = build(network);
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
