export {
  type AlongGradient,
  type AlongGradientOptions,
  type AlongGradientPoint,
  alongGradient,
} from "./along-gradient.js";
export {
  type Curvature,
  type CurvatureOptions,
  hessianVectorProduct,
  largestCurvature,
  type WhichEigenvalue,
} from "./curvature.js";
export {
  type EffectiveLearningRate,
  effectiveLearningRate,
  type ScaleInvariantWeight,
  scaleInvariantWeights,
} from "./effective-learning-rate.js";
export {
  type GradientDistribution,
  type GradientNorm,
  type GradientNormOptions,
  gradientDistribution,
  gradientNorms,
} from "./gradient-norms.js";
export { GradientProbe, type GradientProbeOptions, type GradientRecord, type GradientSummary } from "./gradient-probe.js";
export { type LayerShift, type LayerShiftOptions, layerShift, type ShiftUpdate } from "./layer-shift.js";
export { isMeasuring } from "./measure.js";
export type { Moments } from "./moments.js";
export { type LayerGap, type TrainEvalGap, trainEvalGap } from "./train-eval-gap.js";
export { type ParameterUpdate, UpdateRatio } from "./update-ratio.js";
