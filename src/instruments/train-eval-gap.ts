import { OptionError } from "../core/errors.js";
import { sizeOf } from "../core/shape.js";
import { BatchNorm } from "../nn/batch-norm-base.js";
import type { Module } from "../nn/module.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { argmax, channelMoments } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { preserving } from "./measure.js";
import { normOf } from "./vectors.js";

/** How a batch-norm layer's own batch differs from its running values. Standard deviations are the running ones, √(σ² + ε). */
export interface LayerGap {
  /** Path of the layer in the model. */
  name: string;
  /** Root mean square, over the batch and all channels, of x̂ by the batch minus x̂ by the running values, in σ; before γ and β. */
  gap: number;
  /** Root mean square over channels of `channels.mean`. */
  meanGap: number;
  /** Mean over channels of `channels.logVariance`: above 0 where the batch varies more than the running values say. */
  logVarianceRatio: number;
  /** Values per channel in the batch, m = N · H · W. */
  count: number;
  /** What chance alone would make of each, for m independent normal values whose running statistics are exact. */
  expected: {
    /** √(1/m + 1/(2(m − 1))) */
    gap: number;
    /** 1/√m */
    meanGap: number;
    /** √(2/(m − 1)): of the log-ratio of one channel. */
    logVariance: number;
  };
  channels: {
    /** (μ of the batch − running μ) / σ. */
    mean: number[];
    /** ln of (σ² of the batch + ε) / (running σ² + ε). */
    logVariance: number[];
  };
}

export interface TrainEvalGap {
  /** In the order in which they ran; a layer that runs twice is there twice. */
  layers: LayerGap[];
  /** What the outputs of the whole network differ by, with batch statistics in every layer against running values in every layer. */
  output: {
    /** Root mean square of the difference. */
    rms: number;
    /** rms, divided by the root mean square of the output in evaluation mode. */
    relative: number;
    /** Part of the rows [N, classes] whose largest value is in another place; null for outputs of another rank. */
    disagreement: number | null;
  };
}

/**
 * How much a network's batch normalization does in training what it does not do in evaluation, on one batch: for each layer its
 * input is normalized by the batch's own statistics and by the running values, and the two are compared.
 *
 * Layers are compared on the same inputs, those of a run in evaluation mode, so that each shows its own gap and not those before
 * it; `output` shows what they come to together. Dropout is off throughout. The running values are those in use (`use`); layers
 * that keep none, and layers whose statistics are frozen, do the same in both modes and are left out. BatchRenorm and
 * GhostBatchNorm are compared as plain batch normalization.
 *
 * A gap far above `expected` at a large batch says that the running values are wrong (too few batches, other data, dropout
 * before the layer); a gap near `expected` at a small one is the noise of small batches. Neighbouring pixels are not
 * independent, so images have more noise than `expected` says. Everything is afterwards what it was, bit for bit.
 *
 * Cost: two forward passes, and one reading of each layer's input.
 *
 * @param x a batch, as the model takes it
 * @throws OptionError if no layer can be compared; RecordingError in a recorded step
 * @example
 * trainEvalGap(model, x).layers.map(({ name, gap, expected }) => [name, gap / expected.gap]);
 * @see Ioffe & Szegedy 2015, algorithm 2; Li, Chen, Hu & Yang 2018, arXiv:1801.05134
 */
export function trainEvalGap(model: Module, x: Tensor): TrainEvalGap {
  return preserving("trainEvalGap", model, () => {
    const compared = comparable(model);
    if (compared.size === 0) {
      throw new OptionError(
        "trainEvalGap: expected batch-norm layers that use running values in evaluation and not in training, got none.",
      );
    }
    model.eval();
    const layers: LayerGap[] = [];
    const hooks = [...compared].map(([layer, name]) =>
      layer.registerForwardPreHook((_, [input]) => void layers.push(gapOf(name, layer, input!))),
    );
    let inEvaluation: Tensor;
    try {
      inEvaluation = model.call(x);
    } finally {
      for (const remove of hooks) remove();
    }
    for (const layer of compared.keys()) layer.training = true;
    const inTraining = withoutStatsUpdate(() => model.call(x));
    return { layers, output: differenceOf(inTraining, inEvaluation) };
  });
}

/** Layers that normalize differently in training and in evaluation, with their paths. */
function comparable(model: Module): Map<BatchNorm, string> {
  const found = [...model.namedModules()].flatMap(([name, module]): [BatchNorm, string][] =>
    module instanceof BatchNorm && module.runningMean !== null && !module.frozen.stats ? [[module, name]] : [],
  );
  return new Map(found);
}

const rootMeanSquare = (values: readonly number[]) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);

/**
 * With x̂ by the batch having mean 0 and variance v/(v + ε), the difference of both normalizations has in each channel the mean
 * (running μ − μ)/σ and the standard deviation √v · |1/√(v + ε) − 1/σ|: no second pass over the values is needed.
 */
function gapOf(name: string, layer: BatchNorm, input: Tensor): LayerGap {
  const { eps, numFeatures: c } = layer;
  const moments = channelMoments([input]).data();
  const [runningMean, runningVar] = [layer.runningMean!.data(), layer.runningVar!.data()];
  const channels: LayerGap["channels"] = { mean: [], logVariance: [] };
  const squares: number[] = [];
  for (let k = 0; k < c; k++) {
    const variance = moments[2 * c + k]!;
    const [batchStd, std] = [Math.sqrt(variance + eps), Math.sqrt(runningVar[k]! + eps)];
    const mean = (moments[k]! - runningMean[k]! + moments[c + k]!) / std;
    channels.mean.push(mean);
    channels.logVariance.push(2 * Math.log(batchStd / std));
    squares.push(variance * (1 / batchStd - 1 / std) ** 2 + mean * mean);
  }
  const count = input.shape[0]! * sizeOf(input.shape.slice(2));
  const average = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / c;
  return {
    name,
    gap: Math.sqrt(average(squares)),
    meanGap: rootMeanSquare(channels.mean),
    logVarianceRatio: average(channels.logVariance),
    count,
    expected: {
      gap: Math.sqrt(1 / count + 1 / (2 * (count - 1))),
      meanGap: 1 / Math.sqrt(count),
      logVariance: Math.sqrt(2 / (count - 1)),
    },
    channels,
  };
}

function differenceOf(inTraining: Tensor, inEvaluation: Tensor): TrainEvalGap["output"] {
  const size = Math.sqrt(inEvaluation.size);
  const rms = normOf([inTraining.sub(inEvaluation)]) / size;
  const relative = rms / (normOf([inEvaluation]) / size);
  if (inEvaluation.rank !== 2) return { rms, relative, disagreement: null };
  const [a, b] = [argmax(inTraining).data(), argmax(inEvaluation).data()];
  return { rms, relative, disagreement: a.filter((place, i) => place !== b[i]).length / a.length };
}
