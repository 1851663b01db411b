import { RecordingError } from "../core/errors.js";
import type { Shape } from "../core/shape.js";
import type { Storage } from "../engine/backend.js";
import type { Recorder } from "../engine/recorder.js";
import type { GradJournal } from "../tensor/grad-journal.js";
import type { SharedStorage } from "../tensor/memory.js";
import { moveScope } from "../tensor/scope.js";
import { type GradState, Tensor } from "../tensor/tensor.js";

/** Whose gradient: a leaf's, or that of an argument of the call. */
type Owner = GradState | number;

interface Expected {
  readonly owner: Owner;
  readonly storage: Storage | null;
}

interface Left {
  readonly owner: Owner;
  /** null where the step leaves no gradient. */
  readonly gradient: { readonly memory: SharedStorage; readonly shape: Shape } | null;
}

const storageOf = (grad: Tensor | null): Storage | null => (grad === null || grad.isDisposed ? null : grad.storage);

function stateOf(owner: Owner, args: readonly unknown[]): GradState {
  return typeof owner === "number" ? (args[owner] as Tensor).gradState : owner;
}

/** What a recorded step expects of gradients, and what it leaves. */
export class StepGradients {
  /** Memory of the gradients that the step made, pinned. */
  readonly memory: SharedStorage[] = [];
  private readonly expected: Expected[] = [];
  private readonly left: Left[] = [];

  /** Called at the end of the step, while its tensors are alive. `inputs`: see StepResult. */
  constructor(journal: GradJournal, inputs: readonly (Tensor | null)[], recorder: Recorder) {
    for (const [state, { before, wasRead }] of journal.entries) {
      const index = inputs.findIndex((input) => input?.gradState === state);
      // Leaves that the step made itself are gone with it.
      const isInner = state.leaf !== null && !state.leaf.isDisposed && recorder.owns(state.leaf.storage);
      if (index < 0 && isInner) continue;
      const owner = index < 0 ? state : index;
      if (wasRead) this.expected.push({ owner, storage: storageOf(before) });
      this.note(owner, state.grad, storageOf(before), recorder);
    }
  }

  private note(owner: Owner, after: Tensor | null, before: Storage | null, recorder: Recorder): void {
    if (after === null) this.left.push({ owner, gradient: null });
    else if (recorder.owns(after.storage)) {
      const memory = after.pin();
      this.memory.push(memory);
      this.left.push({ owner, gradient: { memory, shape: after.shape } });
    } else if (after.storage !== before) {
      throw new RecordingError("compile: a gradient was set to a tensor from outside the step: set it outside.");
    }
  }

  /** Whether the gradients are as the step found them when it was recorded, as far as it looked. */
  match(args: readonly unknown[]): boolean {
    return this.expected.every(({ owner, storage }) => storageOf(stateOf(owner, args).grad) === storage);
  }

  /** Gives each leaf the gradient that the step leaves. */
  apply(args: readonly unknown[]): void {
    for (const { owner, gradient } of this.left) {
      const state = stateOf(owner, args);
      const old = state.grad;
      if (gradient !== null && storageOf(old) === gradient.memory.storage) continue;
      state.grad = gradient === null ? null : new Tensor(gradient.memory.retain(), gradient.shape);
      if (state.grad !== null) moveScope(state.grad, state.leaf);
      old?.dispose();
    }
  }
}
