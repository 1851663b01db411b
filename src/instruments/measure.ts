import { grad } from "../autograd/backward.js";
import { withRecording } from "../autograd/mode.js";
import { GradientError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { refuseInStep } from "../engine/recorder.js";
import type { Module } from "../nn/module.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { withRandomState } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";
import { backendOfModel } from "./layers.js";
import { Snapshot } from "./snapshot.js";
import { Packing } from "./vectors.js";

let running = 0;

/** Whether an instrument is running passes of its own, which attached probes are not to count. */
export function isMeasuring(): boolean {
  return running > 0;
}

/** Runs `fn`, during which attached probes look away. */
export function whileMeasuring<T>(fn: () => T): T {
  running++;
  try {
    return fn();
  } finally {
    running--;
  }
}

/** Refuses to run in a recorded step. */
export function refuseInRecording(who: string): void {
  refuseInStep(who, "an instrument cannot run in a recorded step, whose values it reads: call it between steps.");
}

/**
 * Runs `fn` on a model, and leaves the model, its gradients, the random numbers and the memory as they were, bit for bit, also
 * if `fn` throws. Inside, gradients are not recorded unless asked for.
 *
 * @param beside further tensors to be kept
 * @throws RecordingError in a recorded step
 */
export function preserving<T>(who: string, model: Module, fn: (state: Snapshot) => T, beside?: Iterable<Tensor>): T {
  refuseInRecording(who);
  return withBackend(backendOfModel(who, model), () =>
    tidy(() => {
      const state = Snapshot.take(model, beside);
      try {
        return whileMeasuring(() => withRecording(false, () => fn(state)));
      } finally {
        state.restore();
      }
    }),
  );
}

/** A loss as a function of a model's parameters and of nothing else: the same batch, random numbers and running values. */
export class LossSurface {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly packing: Packing;

  constructor(
    readonly who: string,
    model: Module,
    private readonly loss: () => Tensor,
    private readonly state: Snapshot,
  ) {
    this.parameters = new Map([...model.namedParameters()].filter(([, p]) => p.requiresGrad));
    if (this.parameters.size === 0) {
      throw new OptionError(`${who}: expected a model with parameters that require grad, got ${model.typeName} without any.`);
    }
    this.packing = new Packing([...this.parameters.values()]);
  }

  /** The loss at the parameters as they are, recorded. */
  evaluate(): Tensor {
    const y = withRandomState(this.state.random, () => withoutStatsUpdate(() => withRecording(true, this.loss)));
    if (!(y instanceof Tensor))
      throw new OptionError(`${this.who}: expected a loss function that returns a tensor, got ${typeof y}.`);
    if (y.size !== 1) {
      throw new ShapeError(`${this.who}: expected a loss of one value, got shape ${formatShape(y.shape)}: take its mean or sum.`);
    }
    if (!y.requiresGrad) throw new GradientError(`${this.who}: expected a loss that depends on parameters that require grad.`);
    return y;
  }

  /** The gradient towards each of `parameters`; null where the loss does not depend on one. */
  gradients(): (Tensor | null)[] {
    return tidy(() => grad(this.evaluate(), [...this.parameters.values()]));
  }

  /** The loss, and its gradient as one vector in the order of `parameters`. */
  gradient(): { loss: number; gradient: Tensor } {
    return tidy(() => {
      const y = this.evaluate();
      const loss = y.item();
      return { loss, gradient: this.packing.pack(grad(y, [...this.parameters.values()])) };
    });
  }
}
