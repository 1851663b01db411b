/** Training: the subpath `evenkeel/train`. */
export { type ConnectOptions, connectTrainer, type Trainer, type TrainerRun, type TrainOptions } from "./client.js";
export { parseTrainConfig, type TrainConfig, type TrainerConfig } from "./config.js";
export type { EarlyStopping } from "./early-stopping.js";
export type { Endpoint } from "./endpoint.js";
export { type Evaluation, evaluate, type Loss, type Metrics } from "./evaluate.js";
export { type EpochSummary, type FitEvent, type FitOptions, fit, type History, type Outcome, type Stepper } from "./fit.js";
export { buildNetwork, type LayerSpec, type NodeSpec } from "./network.js";
export { buildNetworkFile, type NetworkFile, parseNetworkFile } from "./network-file.js";
export { type PlannedTraining, type Prepared, prepare, type TrainSets } from "./prepare.js";
export type { EngineOptions, LoadedData, TrainerEvent, TrainResult } from "./protocol.js";
export { specOf } from "./spec-of.js";
export type { IdxAddresses, SetInfo, SetSource } from "./worker-data.js";
export { serveTraining } from "./worker-host.js";
export type { StateArray } from "./worker-model.js";
export type { CustomTraining, Recipe, RecipeCall, RecipeContext, TrainPlan } from "./worker-recipes.js";
