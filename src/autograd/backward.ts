import { DTypeError, GradientError, ShapeError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { binaryOps } from "../engine/kernels.js";
import { full } from "../tensor/create.js";
import { noteGrad } from "../tensor/grad-journal.js";
import type { BackwardOptions } from "../tensor/methods.js";
import { moveScope, tidy } from "../tensor/scope.js";
import { type GradState, installMethods, Tensor } from "../tensor/tensor.js";
import { announceGradient } from "./gradient-listeners.js";
import { withRecording } from "./mode.js";
import type { TapeNode } from "./node.js";

/** Nodes that `state` was computed from, latest first. */
function nodesBehind(state: GradState): TapeNode[] {
  const found = new Set<TapeNode>();
  const open = [state];
  for (let s = open.pop(); s !== undefined; s = open.pop()) {
    const node = s.node as TapeNode | null;
    if (node === null || found.has(node)) continue;
    found.add(node);
    for (const edge of node.edges) if (edge.requiresGrad) open.push(edge);
  }
  return [...found].sort((a, b) => b.id - a.id);
}

/** Gradients on their way, by the value they belong to. */
class Flow {
  private readonly pending = new Map<GradState, Tensor>();

  add(state: GradState, dy: Tensor): void {
    const old = this.pending.get(state);
    if (old === undefined) {
      this.pending.set(state, dy);
      return;
    }
    this.pending.set(state, old.add(dy));
    old.dispose();
    dy.dispose();
  }

  take(state: GradState): Tensor | undefined {
    const dy = this.pending.get(state);
    this.pending.delete(state);
    return dy;
  }

  entries(): IterableIterator<[GradState, Tensor]> {
    return this.pending.entries();
  }
}

/** A handle that the flow may dispose of, on a gradient that a rule returned or the caller gave. */
function own(t: Tensor, createGraph: boolean): Tensor {
  return createGraph ? t.alias() : t.detach();
}

function checkStart(y: Tensor, dy: Tensor | undefined): void {
  if (!y.requiresGrad) {
    throw new GradientError(
      "backward: the tensor does not require grad and does not have a grad_fn: no input of it asked for gradients.",
    );
  }
  if (dy === undefined && y.size !== 1) {
    throw new GradientError(
      `backward: grad can be implicitly created only for scalar outputs, got shape ${formatShape(y.shape)}. Pass dy.`,
    );
  }
  if (dy !== undefined && dy.dtype !== "float32") throw new DTypeError(`backward: expected dy to be float32, got ${dy.dtype}.`);
  if (dy !== undefined && !sameShape(dy.shape, y.shape)) {
    throw new ShapeError(`backward: expected dy of shape ${formatShape(y.shape)}, got ${formatShape(dy.shape)}.`);
  }
}

/** Sends the gradient of `y` back to the leaves; returns it for each leaf and each of `targets`, where it stops. */
function propagate(
  y: Tensor,
  dy: Tensor | undefined,
  targets: ReadonlySet<GradState>,
  createGraph: boolean,
  retain: boolean,
): Flow {
  const flow = new Flow();
  const nodes = nodesBehind(y.gradState);
  for (const node of nodes) node.checkAlive();
  flow.add(y.gradState, dy === undefined ? full(y.shape, 1) : own(dy, createGraph));
  for (const node of nodes) {
    const state = outputs.get(node);
    if (state === undefined || targets.has(state)) continue;
    const gradient = flow.take(state);
    if (gradient === undefined) {
      // No gradient came this way. Behind a target the graph stays, for a backward pass from there.
      if (!retain && targets.size === 0) node.release();
      continue;
    }
    announceGradient(state, gradient);
    const results = tidy(() => node.rule(node, gradient).map((t) => t && own(t, createGraph)));
    for (let i = 0; i < results.length; i++) {
      const result = results[i];
      if (result && node.needs[i]) flow.add(node.edges[i]!, result);
      else result?.dispose();
    }
    gradient.dispose();
    if (!retain) node.release();
  }
  for (const [state, gradient] of flow.entries()) announceGradient(state, gradient);
  return flow;
}

/** The value that each node computed. */
const outputs = new WeakMap<TapeNode, GradState>();

/** Puts `node` behind `output`. */
export function attach(output: Tensor, node: TapeNode): void {
  output.gradState.requiresGrad = true;
  output.gradState.node = node;
  outputs.set(node, output.gradState);
}

/** The same values in memory of their own. A recorded gradient stays in its graph. */
function copyOf(t: Tensor, createGraph: boolean): Tensor {
  if (createGraph) return t.mul(1);
  const copy = Tensor.empty(t.backend, t.shape);
  copy.backend.call("copy", { x: t.storage, y: copy.storage, n: copy.size });
  return copy;
}

/** sum += x, element by element. */
function addTo(sum: Tensor, x: Tensor): void {
  if (sum.size === 0) return;
  const strides = [0, 0, 0, 0, 0, 1];
  const shape = [1, 1, 1, 1, 1, sum.size];
  const operands = { a: sum.storage, b: x.storage, y: sum.storage, aStrides: strides, bStrides: strides };
  sum.backend.call("binary", { ...operands, op: binaryOps.indexOf("add"), shape });
}

function accumulate(state: GradState, dy: Tensor, createGraph: boolean): void {
  noteGrad(state, true);
  const old = state.grad;
  if (old !== null && !createGraph && !old.requiresGrad && !old.sharesMemory) {
    addTo(old, dy);
    dy.dispose();
    return;
  }
  let next = old === null ? dy : old.add(dy);
  if (next.sharesMemory) {
    // Gradients are changed in place (by clipping, say), so each leaf needs memory of its own.
    const copy = copyOf(next, createGraph);
    next.dispose();
    next = copy;
  }
  if (old !== null) {
    old.dispose();
    dy.dispose();
  }
  moveScope(next, state.leaf);
  state.grad = next;
}

/** Tensor.backward: reverse-mode differentiation. */
export function backward(y: Tensor, dy?: Tensor, options: BackwardOptions = {}): void {
  checkStart(y, dy);
  const createGraph = options.createGraph ?? false;
  withBackend(y.backend, () =>
    withRecording(createGraph, () => {
      const flow = propagate(y, dy, new Set(), createGraph, options.retainGraph ?? createGraph);
      for (const [state, gradient] of flow.entries()) accumulate(state, gradient, createGraph);
    }),
  );
}

/**
 * Gradients of `y` towards each of `xs`, without touching `grad` of any tensor.
 *
 * @returns one tensor for each x, null where y does not depend on it
 */
export function grad(y: Tensor, xs: readonly Tensor[], options: BackwardOptions & { dy?: Tensor } = {}): (Tensor | null)[] {
  checkStart(y, options.dy);
  const createGraph = options.createGraph ?? false;
  return withBackend(y.backend, () =>
    withRecording(createGraph, () => {
      const targets = new Set(xs.map((x) => x.gradState));
      const flow = propagate(y, options.dy, targets, createGraph, options.retainGraph ?? createGraph);
      const found = new Map(flow.entries());
      for (const [state, gradient] of found) if (!targets.has(state)) gradient.dispose();
      return xs.map((x) => found.get(x.gradState) ?? null);
    }),
  );
}

installMethods({
  backward(dy, options) {
    backward(this, dy, options);
  },
});
