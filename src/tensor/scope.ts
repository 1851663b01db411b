import { EvenkeelError } from "../core/errors.js";

/** What a scope disposes of. */
export interface Disposable {
  dispose(): void;
  /** Called when the scope that would have disposed of it lets it go. */
  leaveScope(): void;
  /** What it needs to live on, and so what stays with it. */
  behind?(): Iterable<Disposable>;
}

const stack: Set<Disposable>[] = [];

/** Puts a new tensor into the innermost scope; false if there is none. */
export function enterScope(item: Disposable): boolean {
  const scope = stack[stack.length - 1];
  if (scope === undefined) return false;
  scope.add(item);
  return true;
}

/** `roots` and what they need, as far as `within` holds. What is in no scope needs nothing that is in one. */
function closure(roots: Iterable<Disposable>, within: (item: Disposable) => boolean): Set<Disposable> {
  const found = new Set(roots);
  for (const item of found) {
    for (const next of item.behind?.() ?? []) if (within(next)) found.add(next);
  }
  return found;
}

/** Puts `item` and what it needs into the scope in which `beside` is, or into none. */
export function moveScope(item: Disposable, beside: Disposable | null): void {
  const home = beside && stack.find((scope) => scope.has(beside));
  for (const each of closure([item], (next) => stack.some((scope) => scope.has(next)))) {
    leaveScopes(each);
    home?.add(each);
  }
}

/** Takes `item` and what it needs out of every scope: it lives until it is disposed of. */
export function escapeScopes(item: Disposable): void {
  moveScope(item, null);
}

/** Takes `item` alone out of every scope. */
export function leaveScopes(item: Disposable): void {
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
 * objects), gradients of tensors that live on, what `keep` was called on, and what a backward pass from any of these needs.
 *
 * @throws EvenkeelError if `fn` returns a promise
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Set<Disposable>();
  stack.push(scope);
  let survivors = new Set<Disposable>();
  try {
    const result = fn();
    if (result instanceof Promise)
      throw new EvenkeelError("tidy: expected a synchronous function, got one that returns a promise.");
    const returned = new Set<Disposable>();
    collect(result, returned);
    survivors = closure(returned, (item) => scope.has(item));
    return result;
  } finally {
    stack.pop();
    for (const item of scope) {
      if (!survivors.has(item)) item.dispose();
      else if (!enterScope(item)) item.leaveScope();
    }
  }
}
