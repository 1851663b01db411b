/** Training: the subpath `evenkeel/train`. */
export { parseTrainConfig, type TrainConfig } from "./config.js";
export type { EarlyStopping } from "./early-stopping.js";
export { type Evaluation, evaluate, type Loss, type Metrics } from "./evaluate.js";
export { type EpochSummary, type FitEvent, type FitOptions, fit, type History, type Outcome, type Stepper } from "./fit.js";
export { buildNetwork, type LayerSpec } from "./network.js";
export { type Prepared, prepare, type TrainSets } from "./prepare.js";
