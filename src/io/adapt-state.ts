import { OptionError } from "../core/errors.js";
import { sameShape, sizeOf } from "../core/shape.js";
import type { LoadResult } from "../nn/index.js";
import type { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { adaptChannelsLast } from "./adapt-channels-last.js";
import { isInteger, type StoredState, type StoredTensor, tensorOf } from "./stored.js";

/** Whose names, layouts and defaults a file follows. */
export type Convention = "torch" | "keras" | "flax";

export interface AdaptOptions {
  /** Whose names, layouts and defaults the file follows (default "torch"). */
  convention?: Convention;
}

export interface Adapted {
  /** Under the model's keys, on the current backend; for `loadStateDict`. */
  readonly state: Map<string, Tensor>;
  /** What was changed or assumed, a sentence each. */
  readonly notes: string[];
}

/** What wrappers put before every key: DistributedDataParallel, torch.compile, Lightning. */
const PREFIXES = ["module.", "_orig_mod.", "model."];
const COUNTER = /(^|\.)num_batches_tracked$/;

const plural = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** Keys without the prefixes that all of them have, unless the model has these keys. */
function withoutPrefixes(
  tensors: StoredState["tensors"],
  wanted: ReadonlySet<string>,
  notes: string[],
): Map<string, StoredTensor> {
  let current = new Map(tensors);
  for (;;) {
    const keys = [...current.keys()];
    if (keys.length === 0 || keys.some((key) => wanted.has(key))) return current;
    const prefix = PREFIXES.find((start) => keys.every((key) => key.startsWith(start)));
    if (prefix === undefined) return current;
    current = new Map([...current].map(([key, t]) => [key.slice(prefix.length), t]));
    notes.push(`The prefix "${prefix}" was taken off all ${keys.length} keys.`);
  }
}

/** A shape that differs from the wanted one by axes of size 1 only, where that is how one vector is written, is taken for it. */
function reshaped(t: StoredTensor, wanted: readonly number[]): StoredTensor | null {
  if (sameShape(t.shape, wanted)) return null;
  const core = t.shape.filter((n) => n !== 1);
  const isVector = wanted.length <= 1 && sizeOf(t.shape) === sizeOf(wanted) && core.length <= 1;
  return isVector ? { ...t, shape: wanted } : null;
}

function adaptTorch(model: Module, { tensors, metadata }: StoredState, notes: string[]): Map<string, StoredTensor> {
  const wanted = model.stateDict();
  const named = withoutPrefixes(tensors, new Set(wanted.keys()), notes);
  if (metadata["pytorch.key"] !== undefined)
    notes.unshift(`The state was taken from the key "${metadata["pytorch.key"]}" of the file.`);
  const result = new Map<string, StoredTensor>();
  const [dropped, flattened]: [string[], string[]] = [[], []];
  for (const [key, t] of named) {
    const target = wanted.get(key);
    if (target === undefined && COUNTER.test(key)) {
      dropped.push(key);
      continue;
    }
    const vector = target === undefined ? null : reshaped(t, target.shape);
    if (vector !== null) flattened.push(key);
    result.set(key, vector ?? t);
  }
  const missing = [...wanted.keys()].filter((key) => COUNTER.test(key) && !result.has(key));
  if (missing.length > 0) {
    notes.push(
      `${plural(missing.length, "counter")} num_batches_tracked missing, as in files from before PyTorch 0.4.1: left as they are.`,
    );
  }
  if (dropped.length > 0)
    notes.push(`${plural(dropped.length, "counter")} num_batches_tracked of layers that count nothing left out.`);
  if (flattened.length > 0)
    notes.push(`${plural(flattened.length, "tensor")} with axes of size 1 taken as vectors: ${flattened.join(", ")}.`);
  return result;
}

/** Widths that were changed, in words. */
function noteWidths(tensors: ReadonlyMap<string, StoredTensor>, notes: string[]): void {
  const counts = new Map<string, number>();
  for (const { dtype } of tensors.values()) {
    if (dtype !== "F32" && !isInteger(dtype)) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  }
  for (const [dtype, count] of counts) {
    const how = dtype === "F64" ? "rounded to" : "widened exactly to";
    notes.push(`${plural(count, "tensor")} of ${dtype} ${how} float32.`);
  }
}

/**
 * Turns what a file holds into a state dictionary for `model`, tolerantly where users of the frameworks trip, and says what it
 * assumed. Nothing is loaded yet; keys that do not fit are left for `loadStateDict` to name.
 *
 * "torch": prefixes of wrappers (`module.`, `_orig_mod.`, `model.`) are taken off where all keys have them; counters
 * `num_batches_tracked` may be missing or too many; vectors may have axes of size 1; all float types become float32.
 *
 * "keras", "flax": names, layouts (kernels [in, out] and [height, width, in, out]) and the order of features behind a flatten
 * are translated; layers are matched kind by kind in the order of their numbers, since their names are no paths. What the file
 * does not say (eps, momentum) is noted.
 *
 * @throws DataError if an integer does not fit, or layers cannot be matched beyond doubt; OptionError for another convention
 */
export function adaptState(model: Module, stored: StoredState, { convention = "torch" }: AdaptOptions = {}): Adapted {
  const notes: string[] = [];
  if (!["torch", "keras", "flax"].includes(convention)) {
    throw new OptionError(`adaptState: expected convention "torch", "keras" or "flax", got ${JSON.stringify(convention)}.`);
  }
  const named = convention === "torch" ? adaptTorch(model, stored, notes) : adaptChannelsLast(model, stored, convention, notes);
  noteWidths(named, notes);
  return { state: new Map([...named].map(([key, t]) => [key, tensorOf(t, key)])), notes };
}

/**
 * Reads a file's tensors into `model` (see `adaptState`), all or nothing.
 *
 * @returns what was assumed, and keys that were on one side only (with `strict: false`)
 * @throws StateDictError naming every key that is missing, unexpected, of another shape or of impossible value
 */
export function loadStored(
  model: Module,
  stored: StoredState,
  { strict = true, ...options }: AdaptOptions & { strict?: boolean } = {},
): LoadResult & { notes: string[] } {
  const { state, notes } = adaptState(model, stored, options);
  try {
    return { ...model.loadStateDict(state, { strict }), notes };
  } finally {
    for (const t of state.values()) t.dispose();
  }
}
