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

  get size(): number {
    return this.entries.size;
  }

  add(hook: Hook): RemoveHook {
    const key = Symbol("hook");
    this.entries.set(key, hook);
    return () => void this.entries.delete(key);
  }

  /** A copy, so that a hook may remove itself while it runs. */
  list(): Hook[] {
    return [...this.entries.values()];
  }
}
