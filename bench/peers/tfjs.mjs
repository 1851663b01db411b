// TensorFlow.js on its wasm backend as a participant. Its kernels run when they are called, so nothing is left to wait for.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { getThreadsCount, setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { accuracy } from "./accuracy-tfjs.mjs";
import { batchNormState, labels, parameterValues, sample, values } from "./data.mjs";
import { serve } from "./serve.mjs";

async function hello(threads) {
  const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  // Node's fetch reads no files.
  globalThis.fetch = async (path) => new Response(readFileSync(path), { headers: { "content-type": "application/wasm" } });
  setWasmPaths(`${dirname(main)}/`);
  setThreadsCount(threads);
  if (!(await tf.setBackend("wasm"))) throw new Error("the wasm backend did not start");
  tf.tensor1d([1]).square().dataSync();
  const threaded = await tf.env().getAsync("WASM_HAS_MULTITHREAD_SUPPORT");
  return { "TensorFlow.js": tf.version_core, "its threads": threaded ? getThreadsCount() : 1 };
}

// Batch normalization with gradients works over the last axis only: NHWC.
const toLast = (t) => (t.rank === 4 ? t.transpose([0, 2, 3, 1]) : t.clone());
const toFirst = (t) => (t.rank === 4 ? t.transpose([0, 3, 1, 2]) : t);
const input = (shape, seed) => tf.tidy(() => toLast(tf.tensor(values(shape, seed), shape)));

function normalize(x, scale, shift) {
  const axes = [...x.shape.slice(0, -1).keys()];
  const { mean, variance } = tf.moments(x, axes);
  return tf.batchNorm(x, mean, variance, shift, scale, 1e-5);
}

function work(kept, compute, check) {
  return { repeat: () => tf.dispose(tf.tidy(compute)), check: () => tf.tidy(check), drop: () => tf.dispose(kept) };
}

function batchNormTrain({ shape }) {
  const { weight, bias } = batchNormState(shape[1]);
  const kept = [input(shape, 1), tf.tensor1d(weight), tf.tensor1d(bias), input(shape, 2)];
  const [x, scale, shift, dy] = kept;
  const gradients = tf.grads(normalize);
  return work(
    kept,
    () => gradients([x, scale, shift], dy),
    () => {
      const [dx, dscale] = gradients([x, scale, shift], dy);
      const y = toFirst(normalize(x, scale, shift));
      return { y: sample(y.dataSync()), dx: sample(toFirst(dx).dataSync()), dweight: sample(dscale.dataSync()) };
    },
  );
}

function batchNormEval({ shape }) {
  const state = batchNormState(shape[1]);
  const kept = [input(shape, 1), ...[state.mean, state.variance, state.weight, state.bias].map((v) => tf.tensor1d(v))];
  const [x, mean, variance, scale, shift] = kept;
  const forward = () => tf.batchNorm(x, mean, variance, shift, scale, 1e-5);
  return work(kept, forward, () => ({ y: sample(toFirst(forward()).dataSync()) }));
}

function matmul({ size }) {
  const kept = [1, 2].map((seed) => tf.tensor(values([size, size], seed), [size, size]));
  const product = () => tf.matMul(...kept);
  return work(kept, product, () => ({ y: sample(product().dataSync()) }));
}

/** Dense networks: their layers as functions, and parameters in PyTorch's order and layout. */
const layers = {
  linear: (x, weight, bias) => tf.add(tf.matMul(x, weight, false, true), bias),
  batchNorm1d: normalize,
  relu: (x) => tf.relu(x),
  sigmoid: (x) => tf.sigmoid(x),
};
const shapes = { linear: (inputs, outputs) => [[outputs, inputs], [outputs]], batchNorm1d: (c) => [[c], [c]] };

const NO_CONVOLUTION = "the wasm backend has no gradient of a convolution";

function trainStep({ network, shape, lr, momentum }) {
  if (network.some(([kind]) => kind === "conv")) return NO_CONVOLUTION;
  let index = 0;
  const parameters = network.map(([kind, ...sizes]) =>
    (shapes[kind]?.(...sizes) ?? []).map((s, i) =>
      tf.variable(tf.tensor(parameterValues(i === 0 ? "weight" : "bias", s, index++), s)),
    ),
  );
  const x = tf.tensor(values(shape, 1), shape);
  const target = tf.tidy(() => tf.oneHot(tf.tensor1d(labels(shape[0], 10, 2), "int32"), 10).toFloat());
  const optimizer = tf.train.momentum(lr, momentum);
  const loss = () => {
    const logits = network.reduce((h, [kind], i) => layers[kind](h, ...parameters[i]), x);
    return tf.losses.softmaxCrossEntropy(target, logits);
  };
  const step = () => optimizer.minimize(loss, true, parameters.flat());
  return work(
    [x, target, ...parameters.flat()],
    () => step(),
    () => ({ losses: [1, 2, 3].map(() => step().dataSync()[0]) }),
  );
}

serve(hello, { batchNormTrain, batchNormEval, matmul, trainStep, learn: () => NO_CONVOLUTION, accuracy });
