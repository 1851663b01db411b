import { OptionError } from "../core/errors.js";
import { BatchNorm } from "../nn/batch-norm-base.js";
import { BatchRenorm } from "../nn/batch-renorm.js";
import { Conv1d } from "../nn/conv1d.js";
import { Conv2d } from "../nn/conv2d.js";
import { Conv3d } from "../nn/conv3d.js";
import { Linear } from "../nn/linear.js";
import type { Module } from "../nn/module.js";
import { Sequential } from "../nn/sequential.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";
import { refuseInRecording } from "./measure.js";
import { normOf } from "./vectors.js";

/** A weight whose length does not change what the network computes in training. */
export interface ScaleInvariantWeight {
  /** Its key in the model: "0.weight". */
  name: string;
  /** [out, …]; each row makes one channel of the normalization. */
  weight: Tensor;
  /** Path of the batch normalization behind it: "1". */
  normalization: string;
}

export interface EffectiveLearningRate {
  /** |W|. */
  norm: number;
  /** lr / |W|² of the whole weight. */
  whole: number;
  /** lr / |wᵢ|² of each output unit (row of W); Infinity for a row of zeros. */
  rows: number[];
}

/**
 * The learning rate that a scale-invariant weight sees: lr / |W|². Batch normalization behind it makes the loss the same for a·W
 * as for W, so its gradient is perpendicular to W and shrinks as 1 / |W|, and a step turns W by an angle that depends on lr / |W|²
 * alone. As |W| grows in training, the network is trained more and more slowly; weight decay keeps it from that.
 *
 * Holds as far as ε is small beside the variance; rows have rates of their own, since each is normalized by itself. With momentum
 * m the rate is that of lr / (1 − m).
 *
 * @param layer a layer with a weight [out, …] (Linear, Conv1d, Conv2d, Conv3d), or the weight
 * @throws OptionError if the layer has no such weight; RecordingError in a recorded step
 * @see van Laarhoven 2017, "L2 regularization versus batch and weight normalization", arXiv:1706.05350, section 2;
 * Arora, Li & Lyu 2019, "Theoretical analysis of auto rate-tuning by batch normalization", arXiv:1812.03981, lemma 2.1
 */
export function effectiveLearningRate(layer: Module | Tensor, lr: number): EffectiveLearningRate {
  refuseInRecording("effectiveLearningRate");
  if (!(layer instanceof Tensor) && !isWeighted(layer)) {
    throw new OptionError(
      `effectiveLearningRate: expected Linear, Conv1d, Conv2d, Conv3d or a weight [out, …], got ${layer.typeName}. ` +
        "scaleInvariantWeights finds the weights of a model.",
    );
  }
  const weight = layer instanceof Tensor ? layer : layer.weight;
  const rowCount = weight.shape[0] ?? 1;
  return tidy(() => {
    const norm = normOf([weight]);
    const rows = weight
      .detach()
      .reshape([rowCount, weight.size / rowCount])
      .square()
      .sum(1)
      .data();
    return { norm, whole: lr / norm ** 2, rows: Array.from(rows, (squares) => lr / squares) };
  });
}

type Weighted = Linear | Conv1d | Conv2d | Conv3d;

/** Whether it is a layer with a weight [out, …]. */
const isWeighted = (module: Module): module is Weighted =>
  [Linear, Conv1d, Conv2d, Conv3d].some((Layer) => module instanceof Layer);

/** Whether it divides by the standard deviation of the batch. Renormalization goes by running values, which know the length of W. */
const isNormalizing = (module: Module | undefined): module is BatchNorm =>
  module instanceof BatchNorm && !(module instanceof BatchRenorm) && !module.frozen.stats;

const isPlainSequence = (module: Module): module is Sequential => module.forward === Sequential.prototype.forward;

/** The modules of a sequence in the order in which they run, those of inner sequences included. */
const flattened = (module: Module): Module[] => (isPlainSequence(module) ? module.children().flatMap(flattened) : [module]);

/** Each place where a layer with a weight runs below `module`, and what runs behind it (undefined where nobody knows). */
function* placesIn(module: Module): Iterable<[layer: Weighted, next: Module | undefined]> {
  const sequence = flattened(module);
  for (const [i, each] of sequence.entries()) {
    if (isWeighted(each)) yield [each, sequence[i + 1]];
    else for (const child of each.children()) yield* placesIn(child);
  }
}

/**
 * The weights of a model that are scale-invariant in training: those of Linear, Conv1d, Conv2d and Conv3d with a batch
 * normalization directly behind them in a Sequential, also inside Residual and other modules. A weight that is used elsewhere
 * without one is left out, and so is one before BatchRenorm or frozen statistics. What a module of your own does between its
 * children cannot be seen.
 */
export function scaleInvariantWeights(model: Module): ScaleInvariantWeight[] {
  const followers = new Map<Tensor, (Module | undefined)[]>();
  for (const [{ weight }, next] of placesIn(model)) followers.set(weight, [...(followers.get(weight) ?? []), next]);
  const paths = new Map([...model.namedModules()].map(([path, module]) => [module, path]));
  return [...model.namedParameters()].flatMap(([name, weight]) => {
    const behind = followers.get(weight) ?? [];
    const [first] = behind;
    return first !== undefined && behind.every(isNormalizing) ? [{ name, weight, normalization: paths.get(first)! }] : [];
  });
}
