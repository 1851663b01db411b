// jax-js' part of the time to an accuracy.
import { blockUntilReady, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { crossEntropy, descend, outputsOf, startValues } from "./layers-jax.mjs";
import { learnWith, TEST_BATCH } from "./mnist.mjs";

const MOMENTUM = 0.1;

/** How many values of each channel the batch norms see, one after the other: a batch of n images through the network. */
function countsOf(network, n) {
  let [size, counts] = [28, []];
  for (const [kind, ...options] of network) {
    if (kind === "conv") size += 2 * options[3] - options[2] + 1;
    if (kind === "maxPool") size /= options[0];
    if (kind === "batchNorm2d") counts = [...counts, n * size * size];
  }
  return counts;
}

function learnerOf({ network, batch, lr, momentum }, seed) {
  const parameters = startValues(network, seed);
  const norms = network.filter(([kind]) => kind === "batchNorm2d");
  const counts = countsOf(network, batch);
  let state = {
    parameters,
    velocity: tree.map((p) => np.zeros(p.shape), parameters),
    running: norms.map(([, c]) => [np.zeros([c]), np.ones([c])]),
  };
  const loss = (p, x, target) => {
    const seen = [];
    const value = crossEntropy(outputsOf(network, p, x, { seen }), target);
    return [value, seen];
  };
  const step = jit((p, velocity, running, x, labels) => {
    const target = nn.oneHot(labels, 10);
    const [[value, seen], gradient] = valueAndGrad(loss, { hasAux: true })(tree.ref(p), x, target);
    const towards = (old, now, factor = 1) => old.mul(1 - MOMENTUM).add(now.mul(MOMENTUM * factor));
    const next = running.map(([mean, variance], i) => [
      towards(mean, seen[i][0]),
      towards(variance, seen[i][1], counts[i] / (counts[i] - 1)),
    ]);
    return { value, next: { ...descend(tree, { parameters: p, velocity, gradient, lr, momentum }), running: next } };
  });
  const evaluate = jit((p, running, x) => outputsOf(network, p, x, { moments: [...running] }));
  return {
    step: async (images, labels) => {
      const x = np.array(images).reshape([batch, 1, 28, 28]);
      const { value, next } = step(state.parameters, state.velocity, state.running, x, np.array(labels, { dtype: np.int32 }));
      value.dispose();
      state = next;
      await blockUntilReady(state);
    },
    outputs: (images) =>
      evaluate(tree.ref(state.parameters), tree.ref(state.running), np.array(images).reshape([TEST_BATCH, 1, 28, 28])).data(),
    drop: () => tree.dispose(state),
  };
}

export const learn = learnWith(learnerOf);
