/** Optimizers and schedules: what `optim` is in the public surface. */
export { Adam } from "./adam.js";
export type { AdamOptions } from "./adam-rule.js";
export { AdamW } from "./adamw.js";
export { clipGradNorm, clipGradValue, GradNorm } from "./clip.js";
export { Optimizer, type ParamGroupOptions, type Params } from "./optimizer.js";
export type { OptimizerState, ParamState } from "./optimizer-state.js";
export { ParamGroup } from "./param-group.js";
export { type NamedParamGroup, paramGroups } from "./param-groups.js";
export { RMSprop, type RMSpropOptions } from "./rmsprop.js";
export { cosineSchedule, multiStepSchedule, type Schedule, Scheduler, stepSchedule, warmUp } from "./schedule.js";
export { SGD, type SGDOptions } from "./sgd.js";
