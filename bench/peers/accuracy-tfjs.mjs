// TensorFlow.js' part of the accuracy table, on the backend `how`. It trains through tf.moments and tf.batchNorm.
import * as tf from "@tensorflow/tfjs";
import { accuracyWith } from "./accuracy-files.mjs";

// Batch normalization with gradients works over the last axis only: NHWC.
const toLast = (t) => (t.rank === 4 ? t.transpose([0, 2, 3, 1]) : t.clone());
const toFirst = (t) => (t.rank === 4 ? t.transpose([0, 3, 1, 2]) : t);

function compute(inputs, { shape, eps }) {
  const [x, dy] = [inputs.x, inputs.dy].map((values) => toLast(tf.tensor(values, shape)));
  const [scale, shift, givenMean, givenVariance] = [inputs.weight, inputs.bias, inputs.mean, inputs.variance].map((v) =>
    tf.tensor1d(v),
  );
  const axes = [...x.shape.slice(0, -1).keys()];
  const train = (a, gamma, beta) => {
    const { mean, variance } = tf.moments(a, axes);
    return tf.batchNorm(a, mean, variance, beta, gamma, eps);
  };
  const evaluate = (a, gamma, beta) => tf.batchNorm(a, givenMean, givenVariance, beta, gamma, eps);
  const pass = (f) => {
    const [dx, dgamma] = tf.grads(f)([x, scale, shift], dy);
    return [f(x, scale, shift), dx].map((t) => toFirst(t).dataSync()).concat([dgamma.dataSync()]);
  };
  const [y, dx, dweight] = pass(train);
  const [evalY, evalDx, evalDweight] = pass(evaluate);
  const moments = tf.moments(x, axes);
  const m = inputs.x.length / shape[1];
  // Its layers keep the biased variance; the correction is done in float64, so that it costs them one rounding.
  const variance = moments.variance.dataSync().map((v) => (v * m) / (m - 1));
  return { y, mean: moments.mean.dataSync(), variance, dx, dweight, evalY, evalDx, evalDweight };
}

export const accuracy = accuracyWith(async (inputs, work) => {
  const before = tf.getBackend();
  if (!(await tf.setBackend(work.how))) throw new Error(`the backend ${work.how} did not start`);
  try {
    return tf.tidy(() => compute(inputs, work));
  } finally {
    await tf.setBackend(before);
  }
});
