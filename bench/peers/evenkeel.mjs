// evenkeel, from dist/, as a participant. A repetition ends with a flush, which runs every pending kernel call.
import { readFileSync } from "node:fs";
import * as evenkeel from "../../dist/index.js";
import { accuracy } from "./accuracy-evenkeel.mjs";
import { batchNormState, labels, parameterValues, sample, sizeOf, values } from "./data.mjs";
import { serve } from "./serve.mjs";

const { init, nn, noGrad, ops, optim, tensor, tidy } = evenkeel;

async function hello(threads) {
  await init({ threads });
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return { evenkeel: version, Node: process.version.slice(1) };
}

/** A work whose tensors live until it is dropped. */
function work(kept, repeat, check) {
  const { backend } = kept[0];
  return {
    repeat: () => {
      tidy(repeat);
      backend.flush();
    },
    check,
    drop: () => {
      for (const t of kept) {
        t.grad = null;
        t.dispose();
      }
    },
  };
}

function stateOf(channels) {
  const { weight, bias, mean, variance } = batchNormState(channels);
  const learned = { weight: tensor(weight, [channels]), bias: tensor(bias, [channels]) };
  learned.weight.requiresGrad = learned.bias.requiresGrad = true;
  return { ...learned, runningMean: tensor(mean, [channels]), runningVar: tensor(variance, [channels]) };
}

function batchNormTrain({ shape }) {
  const x = tensor(values(shape, 1), shape, { requiresGrad: true });
  const dy = tensor(values(shape, 2), shape);
  const state = stateOf(shape[1]);
  const leaves = [x, state.weight, state.bias];
  let y;
  const repeat = () => {
    for (const leaf of leaves) leaf.grad = null;
    y = ops.batchNorm(x, { ...state, training: true });
    y.backward(dy);
  };
  return work([x, dy, ...Object.values(state)], repeat, () =>
    tidy(() => {
      repeat();
      return { y: sample(y.data()), dx: sample(x.grad.data()), dweight: sample(state.weight.grad.data()) };
    }),
  );
}

function batchNormEval({ shape }) {
  const x = tensor(values(shape, 1), shape);
  const state = stateOf(shape[1]);
  const forward = () => noGrad(() => ops.batchNorm(x, state));
  return work(
    [x, ...Object.values(state)],
    () => void forward(),
    () => tidy(() => ({ y: sample(forward().data()) })),
  );
}

/**
 * Passes over memory and nothing else, cycling through four buffers like those of batch normalization. A call reads one
 * buffer and writes another (`op` 0 is neg); the limit's `rounds` says how many times the work's bytes a repetition moves.
 * "copy" takes the kernel built on memory.copy in place of the load/store loop.
 */
function passes({ shape, passes: count, how }) {
  const buffers = [0, 1, 2, 3].map(() => tensor(values(shape, 1), shape));
  const n = sizeOf(shape);
  const loop = (x, y) => x.backend.call("unary", { x: x.storage, y: y.storage, n, op: 0, alpha: 0 });
  const copy = (x, y) => x.backend.call("copy", { x: x.storage, y: y.storage, n });
  const move = how === "copy" ? copy : loop;
  const repeat = () => {
    for (let i = 0; i < count; i++) move(buffers[(2 * i) % 4], buffers[(2 * i + 1) % 4]);
  };
  return work(buffers, repeat, () => ({}));
}

function matmul({ size }) {
  const shape = [size, size];
  const [a, b] = [tensor(values(shape, 1), shape), tensor(values(shape, 2), shape)];
  return work(
    [a, b],
    () => void ops.matmul(a, b),
    () => tidy(() => ({ y: sample(ops.matmul(a, b).data()) })),
  );
}

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

function trainStep({ network, shape, lr, momentum }) {
  if (!nn || !optim) return "nn and optim are not in this build";
  const model = new nn.Sequential(...network.map(([kind, ...options]) => layers[kind](...options)));
  [...model.namedParameters()].forEach(([name, p], i) => {
    p.backend.write(p.storage, parameterValues(name, p.shape, i));
  });
  const x = tensor(values(shape, 1), shape);
  const target = tensor(labels(shape[0], 10, 2), [shape[0]]);
  const optimizer = new optim.SGD(model.parameters(), { lr, momentum });
  const eager = () => {
    optimizer.zeroGrad();
    const loss = nn.crossEntropy(model.call(x), target);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const { compile } = evenkeel;
  const step = compile ? compile(eager) : eager;
  return {
    ...work(
      [x, target],
      () => void step(),
      () => ({ losses: [1, 2, 3].map(() => tidy(() => step().item())) }),
    ),
    drop: () => {
      step.dispose?.();
      for (const t of [x, target, ...model.parameters()]) t.dispose();
    },
  };
}

serve(hello, { batchNormTrain, batchNormEval, passes, matmul, trainStep, accuracy });
