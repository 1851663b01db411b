import { BackendError, GradientError } from "../core/errors.js";
import { activeRecorder } from "../engine/recorder.js";
import type { Tensor } from "../tensor/tensor.js";
import { attach } from "./backward.js";
import { isRecording, withRecording } from "./mode.js";
import { type GradientRule, TapeNode } from "./node.js";

/** A differentiable operation: check and shape, forward, gradient rule. */
export interface OpDefinition<Options> {
  /** Checks, allocates the output and calls kernels. `save` keeps further tensors for the gradient rule. */
  forward(inputs: readonly Tensor[], options: Options, save: (...extras: Tensor[]) => void): Tensor;
  /** The rule; written with ops, so that it can be differentiated itself. Absent where no gradient exists. */
  gradient?: (options: Options) => GradientRule;
  /** Inputs that the rule needs (default none). */
  keepInputs?: readonly number[] | "all";
  /** Whether the rule needs the output (default false). */
  keepOutput?: boolean;
}

export type Op<Options> = (inputs: readonly Tensor[], options: Options) => Tensor;

/** Names of all ops, for tests that enumerate them. */
export const opNames: string[] = [];

/** Makes an op from its definition. Called once for each name. */
export function defineOp<Options = void>(name: string, definition: OpDefinition<Options>): Op<Options> {
  opNames.push(name);
  return (inputs, options) => {
    checkBackends(name, inputs);
    const extras: Tensor[] = [];
    // What forward computes with other ops on its way is its own business: the rule speaks for the whole.
    const output = withRecording(false, () => definition.forward(inputs, options, (...tensors) => void extras.push(...tensors)));
    watchLeaves(inputs);
    const needs = inputs.map((t) => t.requiresGrad);
    if (!isRecording() || !needs.includes(true)) {
      for (const t of extras) t.dispose();
      return output;
    }
    const rule = definition.gradient?.(options) ?? missingRule(name);
    const { keepInputs } = definition;
    const kept = inputs.map((t, i) => (keepInputs === "all" || keepInputs?.includes(i) ? t : null));
    const node = new TapeNode(
      name,
      rule,
      inputs.map((t) => t.gradState),
      inputs.map((t) => t.shape),
      needs,
      kept,
      extras,
    );
    attach(output, node);
    if (definition.keepOutput) node.keepOutput(output);
    for (const t of extras) t.dispose();
    return output;
  };
}

/** A step that is being recorded depends on which of the leaves from outside require gradients. */
function watchLeaves(inputs: readonly Tensor[]): void {
  const recorder = activeRecorder();
  if (recorder === null) return;
  for (const t of inputs) {
    if (t.gradState.node === null && !recorder.owns(t.storage)) recorder.watch(t.gradState, ["requiresGrad"]);
  }
}

/** For rules that call kernels themselves, which the tape would not see. */
export function refuseRecording(name: string): void {
  if (isRecording()) missingRule(name)();
}

function missingRule(name: string): () => never {
  return () => {
    throw new GradientError(`${name}: has no derivative of its own, which createGraph would need.`);
  };
}

function checkBackends(name: string, inputs: readonly Tensor[]): void {
  const backend = inputs[0]?.backend;
  for (const t of inputs) {
    if (t.backend !== backend) throw new BackendError(`${name}: the inputs lie on different backends.`);
  }
}
