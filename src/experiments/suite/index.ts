// All experiments, in the order in which they are shown.
import type { Experiment } from "../protocol.js";
import { article } from "./e00-article.js";
import { figureOne } from "./e01-figure-one.js";
import { learningRate } from "./e02-learning-rate.js";
import { weightSize } from "./e03-weight-size.js";
import { weightDecay } from "./e04-weight-decay.js";
import { stopGradient } from "./e05-stop-gradient.js";
import { shakenLayers } from "./e06-shaken-layers.js";
import { alongTheGradient } from "./e07-along-gradient.js";
import { neighbours } from "./e08-neighbours.js";
import { smallBatches } from "./e09-small-batches.js";
import { newCamera } from "./e10-new-camera.js";
import { depth } from "./e11-depth.js";
import { residualDepth } from "./e12-residual-depth.js";
import { robustness } from "./e13-robustness.js";
import { dropoutVariance } from "./e14-dropout.js";
import { affineOnly } from "./e15-affine-only.js";
import { beforeAfter } from "./e16-before-after.js";
import { nudge } from "./e17-nudge.js";
import { whitenedInputs } from "./e18-whitened-inputs.js";
import { whitening } from "./e19-whitening.js";
import { batchStatistics } from "./e20-batch-statistics.js";
import { scaleAndShift } from "./e21-scale-and-shift.js";
import { regularization } from "./e22-regularization.js";
import { cancellation } from "./e23-cancellation.js";

export const suite: readonly Experiment[] = [
  article,
  figureOne,
  learningRate,
  weightSize,
  weightDecay,
  stopGradient,
  shakenLayers,
  alongTheGradient,
  neighbours,
  smallBatches,
  newCamera,
  depth,
  residualDepth,
  robustness,
  dropoutVariance,
  affineOnly,
  beforeAfter,
  nudge,
  whitenedInputs,
  whitening,
  batchStatistics,
  scaleAndShift,
  regularization,
  cancellation,
];

/** The experiment of that id, whatever its case; undefined if there is none. */
export function findExperiment(id: string): Experiment | undefined {
  return suite.find((experiment) => experiment.id.toLowerCase() === id.toLowerCase());
}
