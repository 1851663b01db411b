import { withBackend } from "../../src/engine/current.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Target } from "../fixtures/compare.js";
import { NotApplicable } from "./onnx-call.js";
import { listCases, type OnnxCase, readCase } from "./onnx-files.js";
import { isRelevant, runCase } from "./onnx-run.js";

/** What became of a case: it ran, with what was wrong; or evenkeel does not have what it asks for. */
export type Outcome = { readonly problems: readonly string[] } | { readonly reason: string };

export interface Outcomes {
  /** Of all cases with an operator that evenkeel has, by name. */
  readonly byName: ReadonlyMap<string, Outcome>;
  /** How many cases have none. */
  readonly others: number;
}

function outcomeOf(example: OnnxCase, target: Target, tolerance: number): Outcome {
  try {
    const problems = withBackend(target.backend, () => tidy(() => runCase(example, tolerance)));
    return { problems: problems.map((problem) => `${target.name}: ${problem}`) };
  } catch (error) {
    if (error instanceof NotApplicable) return { reason: error.message };
    return { problems: [`${target.name}: ${error}`] };
  }
}

const isDouble = ({ sets }: OnnxCase) => sets.some(({ inputs }) => inputs.some(({ type }) => type === "double"));

/** The same on all targets, or a failure. float64 data are for the reference backend, which computes in float64. */
function outcomeOnAll(example: OnnxCase, targets: readonly Target[], tolerance: number): Outcome {
  const able = isDouble(example) ? targets.filter(({ name }) => name === "reference") : targets;
  const outcomes = able.map((target) => outcomeOf(example, target, tolerance));
  const reasons = new Set(outcomes.map((outcome) => ("reason" in outcome ? outcome.reason : undefined)));
  const [reason] = reasons;
  if (reasons.size === 1 && reason !== undefined) return { reason };
  return { problems: outcomes.flatMap((outcome) => ("reason" in outcome ? [outcome.reason] : outcome.problems)) };
}

/**
 * Runs all cases below a folder.
 * @param defects why cases are not to be run, by name
 */
export function runAll(
  root: string,
  targets: readonly Target[],
  tolerance: number,
  defects: Readonly<Record<string, string>>,
): Outcomes {
  const byName = new Map<string, Outcome>();
  const names = listCases(root);
  for (const name of names) {
    const example = readCase(root, name);
    const reason = defects[name];
    if (reason !== undefined) byName.set(name, { reason });
    else if (isRelevant(example)) byName.set(name, outcomeOnAll(example, targets, tolerance));
  }
  return { byName, others: names.length - byName.size };
}
