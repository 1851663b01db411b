// jax-js on its wasm backend as a participant, with functions compiled by jit. It runs when a result is waited for.
import { resolveObjectURL } from "node:buffer";
import { readFileSync } from "node:fs";
import { Worker as NodeWorker } from "node:worker_threads";
import { accuracy } from "./accuracy-jax.mjs";
import { batchNormState, labels, sample, values } from "./data.mjs";
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

let blockUntilReady, jit, layers, nn, np, tree, valueAndGrad, vjp;

async function hello(threads) {
  if (threads > 1) globalThis.Worker = WebWorker;
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: threads }, configurable: true });
  const jax = await import("@jax-js/jax");
  ({ blockUntilReady, jit, nn, numpy: np, tree, valueAndGrad, vjp } = jax);
  layers = await import("./layers-jax.mjs");
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const path = new URL("../node_modules/@jax-js/jax/package.json", import.meta.url);
  return { "jax-js": JSON.parse(readFileSync(path, "utf8")).version };
}

const input = (shape, seed) => np.array(values(shape, seed)).reshape(shape);

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
    const [y, pullBack] = vjp((...inputs) => layers.normalize(...inputs), [x, scale, shift]);
    const [dx, dscale, dshift] = pullBack(dy);
    return [y, dx, dscale, dshift];
  });
  return work(kept, () => step(...kept.map((a) => a.ref)), ["y", "dx", "dweight"]);
}

function batchNormEval({ shape }) {
  const { weight, bias, mean, variance } = batchNormState(shape[1]);
  const kept = [input(shape, 1), ...[weight, bias, mean, variance].map((v) => np.array(v))];
  const forward = jit((...inputs) => [layers.normalize(...inputs)]);
  return work(kept, () => forward(...kept.map((a) => a.ref)), ["y"]);
}

function matmul({ size }) {
  const kept = [input([size, size], 1), input([size, size], 2)];
  const product = jit((a, b) => [np.matmul(a, b)]);
  return work(kept, () => product(...kept.map((a) => a.ref)), ["y"]);
}

function trainStep({ network, shape, lr, momentum }) {
  const start = layers.startValues(network);
  let state = { parameters: start, velocity: tree.map((p) => np.zeros(p.shape), start) };
  const kept = [input(shape, 1), nn.oneHot(np.array(labels(shape[0], 10, 2), { dtype: np.int32 }), 10)];
  const loss = (parameters, x, target) => layers.crossEntropy(layers.outputsOf(network, parameters, x), target);
  const step = jit((parameters, velocity, x, target) => {
    const [value, gradient] = valueAndGrad(loss)(tree.ref(parameters), x, target);
    return { value, ...layers.descend(tree, { parameters, velocity, gradient, lr, momentum }) };
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

const learn = async (wanted) => (await import("./learn-jax.mjs")).learn(wanted);

serve(hello, { batchNormTrain, batchNormEval, matmul, trainStep, learn, accuracy });
