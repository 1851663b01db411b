import { checkpoint } from "../autograd/checkpoint.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import type { BatchStatistics } from "./batch-statistics.js";
import type { Module } from "./module.js";
import { withoutStatsUpdate } from "./stats-update.js";

const mixes = (module: Module): boolean => module.modules().some((m) => m.mixesExamples);
const isSeen = (module: Module): boolean => module.modules().some((m) => m.hasHooks);

/** The batch normalization that waits, if any, and the modules behind it, on one part. */
function runPart(x: Tensor, waiting: BatchStatistics | null, modules: readonly Module[]): Tensor {
  const behind = (y: Tensor) => modules.reduce((z, module) => module.call(z), y);
  if (waiting === null && modules.length === 0) return x;
  // Who looks at a module is to see one run of it, not two.
  if (modules.some(isSeen)) return behind(waiting === null ? x : waiting.normalize(x, waiting.inputs));
  const parameters = modules.flatMap((module) => module.parameters());
  return checkpoint(
    (y, ...rest) => withoutStatsUpdate(() => behind(waiting === null ? y : waiting.normalize(y, rest))),
    [x, ...(waiting?.inputs ?? [])],
    parameters,
  );
}

/**
 * Modules one after the other on all parts of a batch. A batch normalization takes its statistics of all parts, and is applied
 * together with the modules behind it, part by part: for the backward pass only its inputs are kept.
 */
export function runTogether(modules: readonly Module[], parts: readonly Tensor[]): Tensor[] {
  let xs = [...parts];
  let waiting: BatchStatistics | null = null;
  let plain: Module[] = [];
  const advance = (): void => {
    xs = xs.map((x) => runPart(x, waiting, plain));
    waiting = null;
    plain = [];
  };
  for (const module of modules) {
    if (!mixes(module)) {
      plain.push(module);
      continue;
    }
    advance();
    if (module instanceof BatchNorm && module.numFeatures > 0 && !module.hasHooks) {
      waiting = module.together(xs);
    } else xs = module.callTogether(xs);
  }
  advance();
  return xs;
}
