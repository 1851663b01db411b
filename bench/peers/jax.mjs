// jax-js on its wasm backend as a participant, with functions compiled by jit. It runs when a result is waited for.
import { resolveObjectURL } from "node:buffer";
import { readFileSync } from "node:fs";
import { Worker as NodeWorker } from "node:worker_threads";
import { accuracy } from "./accuracy-jax.mjs";
import { batchNormState, labels, parameterValues, sample, values } from "./data.mjs";
import { serve } from "./serve.mjs";

/** jax-js uses threads where there are Web Workers when it is loaded; this gives it those of Node. */
class WebWorker {
  constructor(url) {
    this.started = resolveObjectURL(url)
      .text()
      .then((source) => {
        const port = 'const { parentPort } = require("node:worker_threads"); globalThis.self = globalThis;';
        const events =
          'globalThis.postMessage = (m) => parentPort.postMessage(m); parentPort.on("message", (data) => self.onmessage({ data }));';
        const worker = new NodeWorker(`${port}${events}${source}`, { eval: true });
        worker.on("message", (data) => this.onmessage({ data }));
        worker.on("error", (error) => this.onerror?.(error));
        worker.unref();
        this.worker = worker;
      });
  }

  postMessage(message) {
    if (this.worker) this.worker.postMessage(message);
    else this.started.then(() => this.worker.postMessage(message));
  }
}

let blockUntilReady, jit, lax, nn, np, tree, valueAndGrad, vjp;

async function hello(threads) {
  if (threads > 1) globalThis.Worker = WebWorker;
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: threads }, configurable: true });
  const jax = await import("@jax-js/jax");
  ({ blockUntilReady, jit, lax, nn, numpy: np, tree, valueAndGrad, vjp } = jax);
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const path = new URL("../node_modules/@jax-js/jax/package.json", import.meta.url);
  return { "jax-js": JSON.parse(readFileSync(path, "utf8")).version };
}

const input = (shape, seed) => np.array(values(shape, seed)).reshape(shape);

/** y = (x − μ) · γ / √(σ² + ε) + β over all axes but the second. */
function normalize(x, scale, shift, mean, variance) {
  const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
  const wide = x.shape.map((length, i) => (i === 1 ? length : 1));
  const mu = mean ? mean.reshape(wide) : np.mean(x.ref, axes, { keepdims: true });
  const centred = x.sub(mu);
  const spread = variance ? variance.reshape(wide) : np.mean(np.square(centred.ref), axes, { keepdims: true });
  return centred.mul(scale.reshape(wide).div(np.sqrt(spread.add(1e-5)))).add(shift.reshape(wide));
}

/** `compute` returns a tree of new arrays, `kept` are those it takes with `.ref`. */
function work(kept, compute, names) {
  return {
    repeat: async () => {
      const result = compute();
      await blockUntilReady(result);
      tree.dispose(result);
    },
    check: async () => {
      const result = compute();
      return Object.fromEntries(await Promise.all(names.map(async (name, i) => [name, sample(await result[i].data())])));
    },
    drop: () => tree.dispose(kept),
  };
}

function batchNormTrain({ shape }) {
  const { weight, bias } = batchNormState(shape[1]);
  const kept = [input(shape, 1), np.array(weight), np.array(bias), input(shape, 2)];
  const step = jit((x, scale, shift, dy) => {
    const [y, pullBack] = vjp((...inputs) => normalize(...inputs), [x, scale, shift]);
    const [dx, dscale, dshift] = pullBack(dy);
    return [y, dx, dscale, dshift];
  });
  return work(kept, () => step(...kept.map((a) => a.ref)), ["y", "dx", "dweight"]);
}

function batchNormEval({ shape }) {
  const { weight, bias, mean, variance } = batchNormState(shape[1]);
  const kept = [input(shape, 1), ...[weight, bias, mean, variance].map((v) => np.array(v))];
  const forward = jit((...inputs) => [normalize(...inputs)]);
  return work(kept, () => forward(...kept.map((a) => a.ref)), ["y"]);
}

function matmul({ size }) {
  const kept = [input([size, size], 1), input([size, size], 2)];
  const product = jit((a, b) => [np.matmul(a, b)]);
  return work(kept, () => product(...kept.map((a) => a.ref)), ["y"]);
}

const shapes = {
  linear: (inputs, outputs) => [[outputs, inputs], [outputs]],
  conv: (inputs, outputs, kernel) => [[outputs, inputs, kernel, kernel], [outputs]],
  batchNorm1d: (c) => [[c], [c]],
  batchNorm2d: (c) => [[c], [c]],
};

function halve(x) {
  const [n, c, h, w] = x.shape;
  return np.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
}

const layers = {
  linear: ([weight, bias], x) => np.matmul(x, np.transpose(weight)).add(bias),
  conv: ([weight, bias], x, [, outputs, , padding = 0]) =>
    lax
      .conv(
        x,
        weight,
        [1, 1],
        [
          [padding, padding],
          [padding, padding],
        ],
      )
      .add(bias.reshape([1, outputs, 1, 1])),
  batchNorm1d: ([scale, shift], x) => normalize(x, scale, shift),
  batchNorm2d: ([scale, shift], x) => normalize(x, scale, shift),
  relu: (_, x) => nn.relu(x),
  sigmoid: (_, x) => nn.sigmoid(x),
  maxPool: (_, x) => halve(x),
  flatten: (_, x) => x.reshape([x.shape[0], -1]),
};

function trainStep({ network, shape, lr, momentum }) {
  let index = 0;
  const start = network.map(([kind, ...sizes]) =>
    (shapes[kind]?.(...sizes) ?? []).map((s, i) => np.array(parameterValues(i === 0 ? "weight" : "bias", s, index++)).reshape(s)),
  );
  let state = { parameters: start, velocity: tree.map((p) => np.zeros(p.shape), start) };
  const kept = [input(shape, 1), nn.oneHot(np.array(labels(shape[0], 10, 2), { dtype: np.int32 }), 10)];
  const loss = (parameters, x, target) => {
    const logits = network.reduce((h, [kind, ...sizes], i) => layers[kind](parameters[i], h, sizes), x);
    return np.mean(np.sum(nn.logSoftmax(logits).mul(target), -1)).mul(-1);
  };
  const step = jit((parameters, velocity, x, target) => {
    const [value, gradient] = valueAndGrad(loss)(tree.ref(parameters), x, target);
    const next = tree.map((v, g) => v.mul(momentum).add(g), velocity, gradient);
    const moved = tree.map((p, v) => p.sub(v.mul(lr)), parameters, tree.ref(next));
    return { value, parameters: moved, velocity: next };
  });
  const advance = async () => {
    const { value, ...next } = step(state.parameters, state.velocity, ...kept.map((a) => a.ref));
    state = next;
    await blockUntilReady(next);
    return (await value.data())[0];
  };
  return {
    repeat: advance,
    check: async () => ({ losses: [await advance(), await advance(), await advance()] }),
    drop: () => tree.dispose([kept, state]),
  };
}

serve(hello, { batchNormTrain, batchNormEval, matmul, trainStep, accuracy });
