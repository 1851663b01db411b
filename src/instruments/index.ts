export { ActivationProbe, type ActivationProbeOptions, type ActivationRecord } from "./activation-probe.js";
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
export { type DescribeOptions, type Description, describe, type Summary } from "./describe.js";
export {
  type EffectiveLearningRate,
  effectiveLearningRate,
  type ScaleInvariantWeight,
  scaleInvariantWeights,
} from "./effective-learning-rate.js";
export { type EffectiveRank, type EffectiveRankOptions, effectiveRank } from "./effective-rank.js";
export {
  type GradientDistribution,
  type GradientNorm,
  type GradientNormOptions,
  gradientDistribution,
  gradientNorms,
} from "./gradient-norms.js";
export { GradientProbe, type GradientProbeOptions, type GradientRecord, type GradientSummary } from "./gradient-probe.js";
export { type Histogram, type HistogramOptions, type Histograms, histogram } from "./histogram.js";
export { type KlDivergenceOptions, klDivergence } from "./kl-divergence.js";
export { type LayerShift, type LayerShiftOptions, layerShift, type ShiftUpdate } from "./layer-shift.js";
export { isMeasuring } from "./measure.js";
export type { Moments } from "./moments.js";
export { type SaturatedShare, type Saturation, type SaturationOptions, saturation } from "./saturation.js";
export { type Shift, shift, type UnitShift } from "./shift.js";
export { type LayerGap, type TrainEvalGap, trainEvalGap } from "./train-eval-gap.js";
export type { Units } from "./units.js";
export { type ParameterUpdate, UpdateRatio } from "./update-ratio.js";
export { type Sample, wasserstein1 } from "./wasserstein.js";
