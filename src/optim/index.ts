/** Optimizers and schedules: what `optim` is in the public surface. */
export { Adam, type AdamOptions } from "./adam.js";
export { AdamW } from "./adamw.js";
export { clipGradNorm, gradNorm } from "./clip.js";
export { Optimizer, type OptimizerState, type ParameterGroup } from "./optimizer.js";
export { RMSprop, type RMSpropOptions } from "./rmsprop.js";
export { cosineSchedule, multiStepSchedule, type Schedule, Scheduler, stepSchedule, warmUp } from "./schedule.js";
export { SGD, type SGDOptions } from "./sgd.js";
