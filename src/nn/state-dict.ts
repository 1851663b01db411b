import { StateDictError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** What a module says of a parameter or buffer under one key. */
export interface StateEntry {
  readonly tensor: Tensor;
  /** A state dictionary without the key leaves the value as it is, instead of being refused. */
  readonly mayBeMissing?: boolean;
  /** What is wrong with values that are to be loaded, or null. */
  readonly check?: (values: ArrayLike<number>) => string | null;
}

export interface LoadOptions {
  /** Whether every key must be on both sides (default true). Shapes, dtypes and values are checked in any case. */
  strict?: boolean;
}

/** Keys that were on one side only. */
export interface LoadResult {
  missingKeys: string[];
  unexpectedKeys: string[];
}

function quoted(keys: readonly string[]): string {
  return keys.map((key) => `"${key}"`).join(", ");
}

/** What keeps `value` from being loaded under `key`, or null. */
function problemOf(key: string, { tensor, check }: StateEntry, value: Tensor): string | null {
  if (!sameShape(tensor.shape, value.shape)) {
    return `size mismatch for ${key}: expected ${formatShape(tensor.shape)}, got ${formatShape(value.shape)}.`;
  }
  if (tensor.dtype !== value.dtype) return `dtype mismatch for ${key}: expected ${tensor.dtype}, got ${value.dtype}.`;
  const found = check?.(value.data()) ?? null;
  return found === null ? null : `${key}: ${found}`;
}

function copyInto(target: Tensor, value: Tensor): void {
  const { backend } = target;
  if (value.backend === backend) backend.call("copy", { x: value.storage, y: target.storage, n: target.size });
  else backend.write(target.storage, value.data());
}

/**
 * Copies `state` into the memory of `entries`, so that whoever holds the tensors (an optimizer, say) sees the new values.
 * All checks come first: after an error nothing has changed.
 *
 * @param who what the error begins with
 * @throws StateDictError naming every key that is missing, unexpected, of another shape or dtype, or of impossible value
 */
export function loadState(
  who: string,
  entries: ReadonlyMap<string, StateEntry>,
  state: ReadonlyMap<string, Tensor>,
  { strict = true }: LoadOptions = {},
): LoadResult {
  const missingKeys = [...entries].filter(([key, entry]) => !state.has(key) && !entry.mayBeMissing).map(([key]) => key);
  const unexpectedKeys = [...state.keys()].filter((key) => !entries.has(key));
  const problems: string[] = [];
  if (strict && missingKeys.length > 0) problems.push(`Missing key(s) in state_dict: ${quoted(missingKeys)}.`);
  if (strict && unexpectedKeys.length > 0) problems.push(`Unexpected key(s) in state_dict: ${quoted(unexpectedKeys)}.`);
  const pairs: [Tensor, Tensor][] = [];
  for (const [key, entry] of entries) {
    const value = state.get(key);
    if (value === undefined) continue;
    const problem = problemOf(key, entry, value);
    if (problem !== null) problems.push(problem);
    pairs.push([entry.tensor, value]);
  }
  if (problems.length > 0) throw new StateDictError(`${who}: ${problems.join(" ")} Nothing was loaded.`);
  for (const [target, value] of pairs) copyInto(target, value);
  return { missingKeys, unexpectedKeys };
}
