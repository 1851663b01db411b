// jax-js' part of the accuracy table: its nn.standardize, or the mean of squared deviations composed from its functions.
import { accuracyWith } from "./accuracy-files.mjs";

/** y = γ · x̂ + β over all axes but the second, with the moments given or the batch's own. */
function normalizer({ nn, numpy: np }, how, eps) {
  return (x, scale, shift, mean, variance) => {
    const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
    const wide = x.shape.map((length, i) => (i === 1 ? length : 1));
    const [gamma, beta] = [scale.reshape(wide), shift.reshape(wide)];
    if (how === "standardize") {
      const given = mean ? { mean: mean.reshape(wide), variance: variance.reshape(wide) } : {};
      return nn
        .standardize(x, axes, { ...given, epsilon: eps })
        .mul(gamma)
        .add(beta);
    }
    const centred = x.sub(mean ? mean.reshape(wide) : np.mean(x.ref, axes, { keepdims: true }));
    const spread = variance ? variance.reshape(wide) : np.mean(np.square(centred.ref), axes, { keepdims: true });
    return centred.mul(gamma.div(np.sqrt(spread.add(eps)))).add(beta);
  };
}

async function compute(inputs, { shape, eps, how }) {
  const jax = await import("@jax-js/jax");
  const { jit, numpy: np, tree, vjp } = jax;
  const normalize = normalizer(jax, how, eps);
  const arrays = [np.array(inputs.x).reshape(shape), np.array(inputs.weight), np.array(inputs.bias)];
  const [dy, ...given] = [np.array(inputs.dy).reshape(shape), np.array(inputs.mean), np.array(inputs.variance)];
  const pass = async (...fixed) => {
    const step = jit((x, scale, shift, upstream, ...rest) => {
      const [y, pullBack] = vjp((...leaves) => normalize(...leaves, ...rest), [x, scale, shift]);
      const [dx, dscale, dshift] = pullBack(upstream);
      dshift.dispose();
      return [y, dx, dscale];
    });
    return Promise.all(step(...[...arrays, dy, ...fixed].map((a) => a.ref)).map((a) => a.data()));
  };
  const [y, dx, dweight] = await pass();
  const [evalY, evalDx, evalDweight] = await pass(...given);
  const axes = shape.map((_, i) => i).filter((i) => i !== 1);
  const mean = await np.mean(arrays[0].ref, axes).data();
  const variance = await np.var_(arrays[0].ref, axes, { correction: 1 }).data();
  tree.dispose([arrays, dy, given]);
  return { y, mean, variance, dx, dweight, evalY, evalDx, evalDweight };
}

export const accuracy = accuracyWith(compute);
