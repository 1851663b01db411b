import { InspectionError } from "../core/errors.js";
import { activeRecorder, refuseInStep, watch } from "../engine/recorder.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Module } from "./module.js";

/** Called after `forward`; a tensor that it returns takes the place of the output. */
// biome-ignore lint/suspicious/noConfusingVoidType: most hooks only look, and return nothing
export type ForwardHook = (module: Module, inputs: readonly Tensor[], output: Tensor) => Tensor | void;

/** Called before `forward`; what it returns takes the place of the inputs. */
// biome-ignore lint/suspicious/noConfusingVoidType: see above
export type ForwardPreHook = (module: Module, inputs: readonly Tensor[]) => Tensor | readonly Tensor[] | void;

/** Takes a hook away again. Harmless when repeated. */
export type RemoveHook = () => void;

/** Hooks in the order in which they were registered. */
export class HookList<Hook> {
  private readonly entries = new Map<symbol, Hook>();
  private count = 0;

  get size(): number {
    watch(this);
    return this.count;
  }

  add(hook: Hook): RemoveHook {
    refuseInStep("hook", "a hook cannot be attached in a recorded step, which would not run it: attach it outside.");
    const key = Symbol("hook");
    this.entries.set(key, hook);
    this.count = this.entries.size;
    return () => {
      this.entries.delete(key);
      this.count = this.entries.size;
    };
  }

  /** A copy, so that a hook may remove itself while it runs. */
  list(): Hook[] {
    return [...this.entries.values()];
  }
}

/** Hooks see values, which a step has only when it runs as it is. */
export function leaveToHooks(who: string): void {
  if (activeRecorder() !== null) throw new InspectionError(`${who}: has hooks, which a recorded step would not run.`);
}
