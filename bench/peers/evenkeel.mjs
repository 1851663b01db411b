// evenkeel, from dist/, as a participant. A repetition ends with a flush, which runs every pending kernel call.
import { readFileSync } from "node:fs";
import * as evenkeel from "../../dist/index.js";
import { accuracy } from "./accuracy-evenkeel.mjs";
import { batchNormState, sample, sizeOf, values } from "./data.mjs";
import { makeStep } from "./evenkeel-step.mjs";
import { fmaOn } from "./fma.mjs";
import { learn } from "./learn-evenkeel.mjs";
import { serve } from "./serve.mjs";

const { compile, init, noGrad, ops, tensor, tidy } = evenkeel;

let threads = 1;

async function hello(count) {
  threads = count;
  await init({ threads });
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return { evenkeel: version, Node: process.version.slice(1) };
}

/** A recorded step where evenkeel can record one. */
const compiled = (step) => (compile ? compile(step) : step);

/** A work whose tensors live until it is dropped. What is repeated is recorded; what is checked runs as it stands. */
function work(kept, repeat, check) {
  const { backend } = kept[0];
  return {
    check,
    repeat: () => {
      tidy(() => void repeat());
      backend.flush();
    },
    drop: () => {
      repeat.dispose?.();
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
    return y;
  };
  return work([x, dy, ...Object.values(state)], compiled(repeat), () =>
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
  return work([x, ...Object.values(state)], compiled(forward), () => tidy(() => ({ y: sample(forward().data()) })));
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

async function matmul({ size, plain = false }) {
  if (plain) await init({ threads, deterministic: true });
  const shape = [size, size];
  const [a, b] = [tensor(values(shape, 1), shape), tensor(values(shape, 2), shape)];
  const product = work(
    [a, b],
    compiled(() => ops.matmul(a, b)),
    () => tidy(() => ({ y: sample(ops.matmul(a, b).data()) })),
  );
  const drop = async () => {
    product.drop();
    await init({ threads });
  };
  return plain ? { ...product, drop } : product;
}

function trainStep(own) {
  const { step: eager, tensors } = makeStep(own);
  const step = compiled(eager);
  return {
    ...work(tensors, step, () => ({ losses: [1, 2, 3].map(() => tidy(() => step().item())) })),
    drop: () => {
      step.dispose();
      for (const t of tensors) t.dispose();
    },
  };
}

const fma = (wanted) => fmaOn(threads)(wanted);

serve(hello, { batchNormTrain, batchNormEval, passes, fma, matmul, trainStep, learn, accuracy });
