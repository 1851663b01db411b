import { GradientError } from "../core/errors.js";
import { randomStateOf, withRandomState } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { grad } from "./backward.js";
import { isRecording, withRecording } from "./mode.js";
import { defineOp } from "./op.js";

interface CheckpointOptions {
  fn: (...inputs: Tensor[]) => Tensor;
  /** How many of the inputs are passed to `fn`; the rest are parameters that it uses. */
  count: number;
  random: Tensor;
}

const checkpointOp = defineOp<CheckpointOptions>("checkpoint", {
  keepInputs: "all",
  forward: (inputs, { fn, count, random }, save) => {
    save(random);
    return tidy(() => fn(...inputs.slice(0, count))).detach();
  },
  gradient:
    ({ fn, count }) =>
    (saved, dy) => {
      if (isRecording()) throw new GradientError("checkpoint: has no derivative of its own, which createGraph would need.");
      const inputs = saved.needs.slice(0, count).map((needed, i) => {
        const leaf = saved.input(i).detach();
        if (needed) leaf.requiresGrad = true;
        return leaf;
      });
      const parameters = saved.needs.slice(count).map((_, i) => saved.input(count + i));
      const y = withRandomState(saved.extra(0), () => withRecording(true, () => fn(...inputs)));
      return grad(y, [...inputs, ...parameters], { dy });
    },
});

/**
 * fn(...inputs), of which only the inputs are kept for the backward pass, where `fn` runs once more (Chen et al. 2016,
 * "Training deep nets with sublinear memory cost"). It sees the same random numbers then; whatever else it changes, it changes
 * twice.
 *
 * @param parameters tensors that `fn` uses beside its inputs and that may need gradients
 */
export function checkpoint(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  parameters: readonly Tensor[] = [],
): Tensor {
  if (!isRecording() || ![...inputs, ...parameters].some((t) => t.requiresGrad)) return fn(...inputs);
  const { backend } = [...inputs, ...parameters][0]!;
  return checkpointOp([...inputs, ...parameters], { fn, count: inputs.length, random: randomStateOf(backend) });
}
