/** What is done to a trained network: the subpath `evenkeel/surgery`. */
export { type AverageKind, WeightAverage } from "./average-weights.js";
export type { Batches } from "./batches.js";
export { type Conversion, type ConvertOptions, type ConvertTo, convert } from "./convert.js";
export { type FoldedLayer, type FoldOptions, type FoldReport, fold } from "./fold.js";
export { freeze, unfreeze } from "./freeze.js";
export { inspect, type LayerInfo, type Range } from "./inspect.js";
export { type RecalibratedLayer, type RecalibrateOptions, type Recalibration, recalibrate } from "./recalibrate.js";
export type { LayerPattern } from "./select.js";
