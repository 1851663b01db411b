// evenkeel, from dist/, as a participant. A repetition ends with a flush, which runs every pending kernel call.
import { readFileSync } from "node:fs";
import * as evenkeel from "../../dist/index.js";
import { accuracy } from "./accuracy-evenkeel.mjs";
import { batchNormState, sample, sizeOf, values } from "./data.mjs";
import { makeStep } from "./evenkeel-step.mjs";
import { serve } from "./serve.mjs";

const { compile, init, noGrad, ops, tensor, tidy } = evenkeel;

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

function trainStep(own) {
  const { step: eager, tensors } = makeStep(own);
  const step = compile(eager);
  return {
    ...work(
      tensors,
      () => void step(),
      () => ({ losses: [1, 2, 3].map(() => tidy(() => step().item())) }),
    ),
    drop: () => {
      step.dispose();
      for (const t of tensors) t.dispose();
    },
  };
}

serve(hello, { batchNormTrain, batchNormEval, passes, matmul, trainStep, accuracy });
