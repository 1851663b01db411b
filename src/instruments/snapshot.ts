import type { Module } from "../nn/module.js";
import { randomStateOf, randomStorageOf } from "../tensor/random.js";
import type { GradState, Tensor } from "../tensor/tensor.js";
import { backendOfModel } from "./layers.js";
import { copyOf, copyValues } from "./vectors.js";

/** A gradient that is set aside, and whether it is asked for. */
interface HeldGradient {
  readonly state: GradState;
  readonly grad: Tensor | null;
  readonly requiresGrad: boolean;
}

/**
 * What a model is at one moment: values of parameters and buffers, gradients, modes, and the state of random numbers. Copies
 * stay on the model's backend. Tensors remain the same tensors in the same memory, so that recorded steps stay valid.
 */
export class Snapshot {
  private isOpen = true;

  private constructor(
    private readonly values: readonly (readonly [target: Tensor, copy: Tensor])[],
    private readonly gradients: readonly HeldGradient[],
    private readonly modes: readonly (readonly [module: Module, training: boolean])[],
    /** The state of random numbers. */
    readonly random: Tensor,
  ) {}

  /**
   * Takes copies, and sets all gradients aside: until `restore` the parameters have none.
   *
   * @param beside further tensors to be kept, such as parameters that an optimizer has of other models
   */
  static take(model: Module, beside: Iterable<Tensor> = []): Snapshot {
    const parameters = [...new Set([...model.parameters(), ...beside])];
    const targets = [...new Set([...parameters, ...model.buffers()])];
    const values = targets.map((target) => [target, copyOf(target).keep()] as const);
    const modes = model.modules().map((module) => [module, module.training] as const);
    const random = randomStateOf(backendOfModel("Snapshot", model)).keep();
    const gradients = parameters.map(({ gradState }) => {
      const { grad, requiresGrad } = gradState;
      gradState.grad = null;
      return { state: gradState, grad, requiresGrad };
    });
    return new Snapshot(values, gradients, modes, random);
  }

  /** Puts everything back, bit for bit, and gives the copies up. Harmless when repeated. */
  restore(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const [target, copy] of this.values) {
      copyValues(copy, target);
      copy.dispose();
    }
    for (const { state, grad, requiresGrad } of this.gradients) {
      if (state.grad !== grad) state.grad?.dispose();
      state.grad = grad;
      state.requiresGrad = requiresGrad;
    }
    for (const [module, training] of this.modes) module.training = training;
    this.random.backend.call("copy", { x: this.random.storage, y: randomStorageOf(this.random.backend), n: 4 });
    this.random.dispose();
  }
}
