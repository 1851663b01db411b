// All experiments, in the order in which they are shown.
import type { Experiment } from "../protocol.js";
import { learningRate } from "./e02-learning-rate.js";
import { weightDecay } from "./e04-weight-decay.js";
import { stopGradient } from "./e05-stop-gradient.js";
import { neighbours } from "./e08-neighbours.js";
import { robustness } from "./e13-robustness.js";
import { dropoutVariance } from "./e14-dropout.js";
import { affineOnly } from "./e15-affine-only.js";
import { beforeAfter } from "./e16-before-after.js";
import { whitenedInputs } from "./e18-whitened-inputs.js";
import { batchStatistics } from "./e20-batch-statistics.js";
import { regularization } from "./e22-regularization.js";

export const suite: readonly Experiment[] = [
  learningRate,
  weightDecay,
  stopGradient,
  neighbours,
  robustness,
  dropoutVariance,
  affineOnly,
  beforeAfter,
  whitenedInputs,
  batchStatistics,
  regularization,
];

/** The experiment of that id, whatever its case; undefined if there is none. */
export function findExperiment(id: string): Experiment | undefined {
  return suite.find((experiment) => experiment.id.toLowerCase() === id.toLowerCase());
}
