// evenkeel's part of the accuracy table.
import { ones, ops, tensor, tidy, zeros } from "../../dist/index.js";
import { accuracyWith } from "./accuracy-files.mjs";

function compute(inputs, { shape, eps }) {
  const c = [shape[1]];
  const dy = tensor(inputs.dy, shape);
  const pass = (options) => {
    const leaf = (values, size) => tensor(values, size, { requiresGrad: true });
    const [x, weight, bias] = [leaf(inputs.x, shape), leaf(inputs.weight, c), leaf(inputs.bias, c)];
    const y = ops.batchNorm(x, { weight, bias, eps, ...options });
    y.backward(dy);
    return [y, x.grad, weight.grad].map((t) => Float32Array.from(t.data()));
  };
  const [runningMean, runningVar] = [zeros(c), ones(c)];
  const [y, dx, dweight] = pass({ runningMean, runningVar, training: true, momentum: 1 });
  const given = { runningMean: tensor(inputs.mean, c), runningVar: tensor(inputs.variance, c) };
  const [evalY, evalDx, evalDweight] = pass(given);
  const [mean, variance] = [runningMean, runningVar].map((t) => Float32Array.from(t.data()));
  return { y, mean, variance, dx, dweight, evalY, evalDx, evalDweight };
}

export const accuracy = accuracyWith((inputs, work) => tidy(() => compute(inputs, work)));
