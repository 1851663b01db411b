import { StateDictError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { ParamGroup } from "./param-group.js";

/** State of one parameter. */
export interface ParamState {
  /** Updates it has had. */
  step: number;
  /** State tensors, by PyTorch's names: momentum_buffer, exp_avg, exp_avg_sq, square_avg. */
  tensors: Map<string, Tensor>;
}

/** What an optimizer saves. Parameters are numbered through all groups, in order. */
export interface OptimizerState {
  paramGroups: { lr: number; initialLr: number | null; options: Readonly<Record<string, unknown>>; params: number[] }[];
  state: ParamState[];
}

type Groups = readonly ParamGroup[];
type Buffers = ReadonlyMap<Tensor, Readonly<Record<string, Tensor>>>;

export function saveOptimizerState(groups: Groups, buffers: Buffers, stepOf: (p: Tensor) => number): OptimizerState {
  let next = 0;
  return {
    paramGroups: groups.map(({ lr, initialLr, options, params }) => ({
      lr,
      initialLr,
      options: { ...options },
      params: params.map(() => next++),
    })),
    state: groups
      .flatMap(({ params }) => params)
      .map((p) => ({
        step: stepOf(p),
        tensors: new Map(Object.entries(buffers.get(p)!).map(([name, t]) => [name, t.detach()])),
      })),
  };
}

/** Checks everything, then copies tensors and learning rates; returns the number of steps of each parameter. */
export function loadOptimizerState(who: string, state: OptimizerState, groups: Groups, buffers: Buffers): Map<Tensor, number> {
  const params = groups.flatMap((group) => group.params);
  const problem = groupProblem(state, groups, params.length) ?? firstProblem(params, state, buffers);
  if (problem !== null) throw new StateDictError(`${who}: ${problem} Nothing was loaded.`);
  params.forEach((p, i) => {
    for (const [name, target] of Object.entries(buffers.get(p)!)) copyInto(target, state.state[i]!.tensors.get(name)!);
  });
  groups.forEach((group, i) => {
    group.lr = state.paramGroups[i]!.lr;
    group.initialLr = state.paramGroups[i]!.initialLr;
  });
  return new Map(params.map((p, i) => [p, state.state[i]!.step]));
}

function groupProblem({ paramGroups, state }: OptimizerState, groups: Groups, count: number): string | null {
  if (paramGroups.length !== groups.length) {
    return `loaded state dict has a different number of parameter groups: expected ${groups.length}, got ${paramGroups.length}.`;
  }
  for (const [i, { params, lr }] of paramGroups.entries()) {
    const expected = groups[i]!.params.length;
    if (params.length !== expected) {
      return `loaded state dict contains a parameter group that doesn't match the size of optimizer's group: expected ${expected} parameters in group ${i}, got ${params.length}.`;
    }
    if (!(lr >= 0 && lr < Infinity)) return `expected a finite learning rate of at least 0 in group ${i}, got ${lr}.`;
  }
  return state.length === count ? null : `expected the state of ${count} parameters, got ${state.length}.`;
}

function firstProblem(params: readonly Tensor[], { state }: OptimizerState, buffers: Buffers): string | null {
  for (const [i, p] of params.entries()) {
    const { step, tensors } = state[i]!;
    if (!Number.isSafeInteger(step) || step < 0) return `expected a number of steps from 0 on for parameter ${i}, got ${step}.`;
    const names = Object.keys(buffers.get(p)!);
    if (names.join() !== [...tensors.keys()].join()) {
      return `expected the state tensors ${names.join(", ") || "(none)"} of parameter ${i}, got ${[...tensors.keys()].join(", ") || "(none)"}.`;
    }
    for (const [name, t] of tensors) {
      if (!sameShape(t.shape, p.shape) || t.dtype !== "float32") {
        return `expected ${name} of parameter ${i} to be float32 ${formatShape(p.shape)}, got ${t.dtype} ${formatShape(t.shape)}.`;
      }
    }
  }
  return null;
}

/** Copies the values of `value` into `target`, which has the same size. */
export function copyInto(target: Tensor, value: Tensor): void {
  const { backend } = target;
  if (target.size === 0 || target.storage === value.storage) return;
  if (value.backend === backend) backend.call("copy", { x: value.storage, y: target.storage, n: target.size });
  else backend.write(target.storage, value.data());
}
