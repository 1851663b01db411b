import { EvenkeelError } from "../core/errors.js";

/** What a scope disposes of. */
export interface Disposable {
  dispose(): void;
  /** Called when the scope that would have disposed of it lets it go. */
  leaveScope(): void;
}

const stack: Set<Disposable>[] = [];

/** Puts a new tensor into the innermost scope; false if there is none. */
export function enterScope(item: Disposable): boolean {
  const scope = stack[stack.length - 1];
  if (scope === undefined) return false;
  scope.add(item);
  return true;
}

/** Takes `item` out of every scope: it lives until it is disposed of. */
export function escapeScopes(item: Disposable): void {
  for (const scope of stack) scope.delete(item);
  item.leaveScope();
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === "object" && value !== null && "leaveScope" in value;
}

/** Tensors in a result: itself, or inside arrays, maps and plain objects. */
function collect(value: unknown, into: Set<Disposable>): void {
  if (isDisposable(value)) into.add(value);
  else if (value instanceof Map) for (const item of value.values()) collect(item, into);
  else if (Array.isArray(value)) for (const item of value) collect(item, into);
  else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) collect(item, into);
  }
}

/**
 * Runs `fn` and disposes of every tensor that was made meanwhile, except those it returns (also inside arrays, maps and plain
 * objects), parameters, gradients of tensors that live on, and what `keep` was called on.
 *
 * @throws EvenkeelError if `fn` returns a promise
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Set<Disposable>();
  stack.push(scope);
  const survivors = new Set<Disposable>();
  try {
    const result = fn();
    if (result instanceof Promise)
      throw new EvenkeelError("tidy: expected a synchronous function, got one that returns a promise.");
    collect(result, survivors);
    return result;
  } finally {
    stack.pop();
    for (const item of scope) {
      if (!survivors.has(item)) item.dispose();
      else if (!enterScope(item)) item.leaveScope();
    }
  }
}
