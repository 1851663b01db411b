import { OptionError } from "../core/errors.js";
import type { DataLoader } from "../data/loader.js";
import { withBackend } from "../engine/current.js";
import { backendOfModel } from "../instruments/layers.js";
import type { BatchNorm, Module } from "../nn/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Evaluation, evaluate, type Loss } from "../train/evaluate.js";
import type { Batches } from "./batches.js";
import { type Pool, poolInputs } from "./pool.js";
import { type LayerPattern, selectBatchNorms } from "./select.js";

export interface RecalibrateOptions {
  /** Which layers (default: all that keep running statistics and are not frozen). */
  layers?: LayerPattern;
  /**
   * What the layers before a layer normalize by while its statistics are taken. "batch": the statistics of the batch, as in
   * training and as PyTorch's `update_bn`, in one pass for all layers. "population": the new running values, layer after layer, in
   * as many passes as there are layers: what the layer will see in evaluation, also with small batches (default "batch").
   */
  upstream?: "batch" | "population";
  /** Examples with labels on which loss and accuracy are measured before and after; other ones than `batches` (default none). */
  heldOut?: DataLoader;
  /** Loss on `heldOut` (default cross-entropy). */
  loss?: Loss;
  /** Takes everything back if the loss on `heldOut` has not fallen; needs `heldOut` (default false). */
  keepBetter?: boolean;
}

/** What became of one layer. */
export interface RecalibratedLayer {
  path: string;
  /** Values per channel that were pooled. */
  count: number;
  /** Root mean square over channels of (new mean − old mean) / √(old variance + ε). */
  meanShift: number;
  /** Largest |ln((new variance + ε) / (old variance + ε))| of a channel. */
  varianceShift: number;
}

export interface Recalibration {
  /** In the order of the model. */
  layers: RecalibratedLayer[];
  /** Paths of layers that were left alone, since they are frozen or keep no running statistics. */
  left: string[];
  /** On `heldOut`; null without. */
  before: Evaluation | null;
  after: Evaluation | null;
  /** Whether the new statistics are in the model: false if `keepBetter` took them back. */
  kept: boolean;
}

type Values = Float32Array | Float64Array | Int32Array;

const write = (t: Tensor, values: ArrayLike<number>) => t.backend.write(t.storage, values);

/** The running values of layers, to be put back. */
class Backup {
  private readonly saved: [Tensor, Values][];

  constructor(layers: Iterable<BatchNorm>) {
    const own = (m: BatchNorm) => [m.runningMean!, m.runningVar!, m.numBatchesTracked!, m.rejected!];
    this.saved = [...layers].flatMap((layer) => own(layer).map((t): [Tensor, Values] => [t, t.data()]));
  }

  restore(): void {
    for (const [t, values] of this.saved) write(t, values);
  }
}

/** Writes what was pooled into a layer's running values, and says how far they moved. */
function take(path: string, layer: BatchNorm, { moments, visits }: Pool): RecalibratedLayer {
  const { eps } = layer;
  const [oldMean, oldVar] = [layer.runningMean!.data(), layer.runningVar!.data()];
  const { mean } = moments;
  const variance = moments.variance(layer.unbiasedRunningVar);
  const shifts = mean.map((value, c) => (value - oldMean[c]!) ** 2 / (oldVar[c]! + eps));
  const ratios = variance.map((value, c) => Math.abs(Math.log((value + eps) / (oldVar[c]! + eps))));
  write(layer.runningMean!, mean);
  write(layer.runningVar!, variance);
  write(layer.numBatchesTracked!, [visits]);
  write(layer.rejected!, new Int32Array(mean.length));
  const meanShift = Math.sqrt(shifts.reduce((sum, value) => sum + value, 0) / shifts.length);
  return { path, count: moments.count, meanShift, varianceShift: Math.max(...ratios) };
}

/** Takes the statistics of all layers, and writes them when nothing can fail any more. */
function takeAll(model: Module, batches: Batches, chosen: ReadonlyMap<string, BatchNorm>): RecalibratedLayer[] {
  const pools = poolInputs("recalibrate", model, batches, chosen, chosen.values());
  return [...chosen].map(([path, layer]) => take(path, layer, pools.get(path)!));
}

/** Layer after layer in the order of the model, each behind layers that have their new values. */
function takeInOrder(model: Module, batches: Batches, chosen: ReadonlyMap<string, BatchNorm>): RecalibratedLayer[] {
  return [...chosen].map(([path, layer]) => {
    const pools = poolInputs("recalibrate", model, batches, new Map([[path, layer]]), []);
    return take(path, layer, pools.get(path)!);
  });
}

/**
 * Takes the running statistics of batch normalization anew, with all weights as they are: pooled mean and variance over all
 * batches, joined by Chan's rule in float64, so that batches of unequal size count by their values. For networks whose statistics
 * are stale, of other data, poisoned, or averaged with weights (SWA).
 *
 * The variance is the unbiased one over the whole pool, unless the layer says `unbiasedRunningVar: false`. Modes, momentum, random
 * numbers and hooks are afterwards what they were; dropout is off meanwhile. If anything throws, nothing has changed. Layers that
 * are frozen, or keep no running statistics, are left alone. A layer with several sets of statistics gets those in use.
 *
 * @param batches inputs, a loader or tensors [N, …]; a thousand examples as a rule suffice. With `upstream: "population"` they are
 *   gone through once for every layer, so not a generator
 * @returns how far each layer moved, and loss and accuracy before and after if `heldOut` is given
 * @throws TrainingError if an input of a layer is not finite, or a layer does not run; OptionError if there is no layer or batch
 * @example
 * recalibrate(model, trainLoader, { heldOut: validationLoader, keepBetter: true });
 * @see Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3 (precise statistics); Izmailov et al. 2018, section 3.2
 */
export function recalibrate(model: Module, batches: Batches, options: RecalibrateOptions = {}): Recalibration {
  const { upstream = "batch", heldOut, loss, keepBetter = false } = options;
  if (keepBetter && heldOut === undefined) throw new OptionError("recalibrate: keepBetter needs heldOut, got none.");
  if (upstream !== "batch" && upstream !== "population") {
    throw new OptionError(`recalibrate: expected upstream "batch" or "population", got ${JSON.stringify(upstream)}.`);
  }
  const all = selectBatchNorms("recalibrate", model, options.layers);
  const chosen = new Map([...all].filter(([, layer]) => layer.runningMean !== null && !layer.frozen.stats));
  const left = [...all.keys()].filter((path) => !chosen.has(path));
  if (chosen.size === 0) {
    const why = left.length > 0 ? `${left.join(", ")} are frozen or keep none` : "the model has no batch normalization";
    throw new OptionError(`recalibrate: expected layers with running statistics: ${why}.`);
  }
  return withBackend(backendOfModel("recalibrate", model), () => {
    const measure = () => (heldOut === undefined ? null : evaluate(model, heldOut, loss));
    const before = measure();
    const backup = new Backup(chosen.values());
    try {
      const layers = (upstream === "batch" ? takeAll : takeInOrder)(model, batches, chosen);
      const after = measure();
      const kept = !keepBetter || after!.loss < before!.loss || !Number.isFinite(before!.loss);
      if (!kept) backup.restore();
      return { layers, left, before, after, kept };
    } catch (error) {
      backup.restore();
      throw error;
    }
  });
}
