/** Charts of records: the subpath `evenkeel/charts`. */
export { accuracyChart } from "./accuracy.js";
export type { Chart } from "./chart.js";
export { distributionChart } from "./distribution.js";
export { experimentChart } from "./experiment-figure.js";
export { lossChart } from "./loss.js";
export { percentileChart } from "./percentiles.js";
export { renderChart } from "./svg.js";
export { CHART_SIZES, type ChartSize } from "./theme.js";
