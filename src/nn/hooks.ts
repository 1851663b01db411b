import { InspectionError } from "../core/errors.js";
import { activeRecorder, type RunObserver, refuseInStep } from "../engine/recorder.js";
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

/** When a hook looks that does not look at every run. In between, recorded steps are repeated as if it were not there. */
export interface HookSampling {
  /** Whether it is to see the next run. Must not change anything. */
  isDue(): boolean;
  /** Called when a recorded step that runs the module was repeated, and the hook did not see it. */
  skip(): void;
}

/** Hooks in the order in which they were registered. */
export class HookList<Hook> implements RunObserver {
  private readonly entries = new Map<symbol, Hook>();
  private readonly samplings = new Map<symbol, HookSampling>();

  /** How many there are; in a recorded step, how many look at its next run, which then runs as it is. */
  get size(): number {
    const recorder = activeRecorder();
    if (recorder === null) return this.entries.size;
    recorder.watch(this, ["due"]);
    recorder.observers.add(this);
    return this.due;
  }

  /** How many look at the next run. */
  get due(): number {
    let due = this.entries.size;
    for (const sampling of this.samplings.values()) if (!sampling.isDue()) due--;
    return due;
  }

  stepRan(): void {
    for (const sampling of this.samplings.values()) sampling.skip();
  }

  add(hook: Hook, sampling?: HookSampling): RemoveHook {
    refuseInStep("hook", "a hook cannot be attached in a recorded step, which would not run it: attach it outside.");
    const key = Symbol("hook");
    this.entries.set(key, hook);
    if (sampling !== undefined) this.samplings.set(key, sampling);
    return () => {
      this.entries.delete(key);
      this.samplings.delete(key);
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
