import { OptionError } from "../core/errors.js";
import { DataLoader } from "../data/loader.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";

/** Inputs of a network: a loader, or tensors [N, …], which may be of different sizes. */
export type Batches = DataLoader | Iterable<Tensor>;

/** Calls `fn` on every batch; what it makes is freed after each. @throws OptionError if there is none */
export function forEachBatch(who: string, batches: Batches, fn: (x: Tensor, index: number) => void): void {
  let index = 0;
  if (batches instanceof DataLoader) {
    for (const indices of batches.epoch(0)) tidy(() => fn(batches.tensors(indices).inputs, index++));
  } else {
    for (const x of batches) {
      if (!(x instanceof Tensor)) throw new OptionError(`${who}: expected tensors as batches, got ${typeof x}.`);
      tidy(() => fn(x, index++));
    }
  }
  if (index === 0) throw new OptionError(`${who}: expected at least one batch, got none.`);
}
