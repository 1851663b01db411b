import { noGrad } from "../autograd/mode.js";
import { OptionError, SurgeryError } from "../core/errors.js";
import { withBackend } from "../engine/current.js";
import { backendOfModel } from "../instruments/layers.js";
import { preserving } from "../instruments/measure.js";
import {
  type BatchNorm,
  type BatchNormLayerOptions,
  BatchRenorm,
  GhostBatchNorm,
  GroupNorm,
  type Module,
  type RenormLimit,
} from "../nn/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Replacements } from "./replace.js";
import { type LayerPattern, selectBatchNorms } from "./select.js";

/** What batch normalization becomes. */
export type ConvertTo =
  | {
      to: "groupNorm" /** Most groups; a layer takes the largest divisor of its channels (default 32). */;
      groups?: number;
      eps?: number;
    }
  | { to: "ghostBatchNorm"; ghostSize: number }
  | { to: "batchRenorm"; rMax?: RenormLimit; dMax?: RenormLimit }
  | { to: "frozen" };

export interface ConvertOptions {
  /** Which layers (default: all). */
  layers?: LayerPattern;
  /** Inputs [N, …] on which the change of the outputs in evaluation is measured (default: not measured). */
  probe?: Tensor;
}

export interface Conversion {
  /** Paths of the layers, and what stands there now. */
  layers: { path: string; was: string; is: string }[];
  /** Largest change of an output in evaluation, over the largest output on the probe; null without a probe. */
  change: number | null;
}

/** Options of a batch-norm layer, for one of another class. */
function optionsOf(layer: BatchNorm): BatchNormLayerOptions {
  const { eps, momentum, trackRunningStats, unbiasedRunningVar, detachStats, compat } = layer;
  const affine = { weight: layer.weight !== null, bias: layer.bias !== null };
  return { eps, momentum, trackRunningStats, unbiasedRunningVar, detachStats, compat, ...affine };
}

/** The largest number up to `most` that divides `channels`. */
function groupsFor(channels: number, most: number): number {
  let groups = Math.min(most, channels);
  while (channels % groups !== 0) groups--;
  return groups;
}

function groupNormOf(layer: BatchNorm, { groups = 32, eps = layer.eps }: Extract<ConvertTo, { to: "groupNorm" }>): GroupNorm {
  if ((layer.weight === null) !== (layer.bias === null)) {
    throw new SurgeryError("convert: expected layers with both γ and β or none for GroupNorm, got one of them.");
  }
  const affine = layer.weight !== null;
  const next = new GroupNorm(groupsFor(layer.numFeatures, groups), layer.numFeatures, { eps, affine });
  if (affine)
    next.loadStateDict(
      new Map([
        ["weight", layer.weight!],
        ["bias", layer.bias!],
      ]),
    );
  return next;
}

/** The layer with all its state in another class of batch normalization. */
function batchNormOf(layer: BatchNorm, kind: Extract<ConvertTo, { to: "ghostBatchNorm" | "batchRenorm" }>): BatchNorm {
  const options = optionsOf(layer);
  const given =
    kind.to === "batchRenorm"
      ? { ...(kind.rMax !== undefined && { rMax: kind.rMax }), ...(kind.dMax !== undefined && { dMax: kind.dMax }) }
      : {};
  const next =
    kind.to === "ghostBatchNorm"
      ? new GhostBatchNorm(layer.numFeatures, kind.ghostSize, options)
      : new BatchRenorm(layer.numFeatures, { ...options, ...given });
  next.loadStateDict(layer.stateDict());
  if (options.trackRunningStats) next.use(layer.statsName);
  return next;
}

function converted(layer: BatchNorm, kind: ConvertTo): Module {
  const next =
    kind.to === "groupNorm" ? groupNormOf(layer, kind) : batchNormOf(layer, kind as Extract<ConvertTo, { to: "batchRenorm" }>);
  const flags = [layer.weight, layer.bias].map((t) => t?.requiresGrad ?? true);
  for (const [name, p] of next.namedParameters()) p.requiresGrad = flags[name === "weight" ? 0 : 1]!;
  return next;
}

const outputsOf = (who: string, model: Module, probe: Tensor) =>
  preserving(who, model, () => noGrad(() => model.eval().call(probe).data()));

function changeOf(before: ArrayLike<number>, after: ArrayLike<number>): number {
  let [change, largest] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    change = Math.max(change, Math.abs(before[i]! - after[i]!));
    largest = Math.max(largest, Math.abs(before[i]!));
  }
  return change === 0 ? 0 : change / largest;
}

/**
 * Puts another normalization in the place of batch-norm layers: the structure of the model, the keys of the state, γ and β, modes
 * and what is to be trained stay.
 *
 * "ghostBatchNorm" and "batchRenorm" keep all statistics and compute the same in evaluation, which is checked if there is a probe.
 * "frozen" freezes them (see `BatchNorm.freeze`). "groupNorm" is another function and keeps no statistics: γ and β are carried
 * over as a start for further training, and `change` says how far the outputs moved.
 *
 * The model is changed in place; after an error nothing has changed. Optimizers hold the parameters of the old layers: make a new
 * one.
 *
 * @throws OptionError if no layer is named, or an option cannot be used; SurgeryError if outputs changed that must not
 * @example
 * convert(model, { to: "groupNorm", groups: 8 });
 * @see Wu & He 2018, "Group normalization"; Hoffer et al. 2017 (ghost batch normalization); Ioffe 2017 (batch renormalization)
 */
export function convert(model: Module, kind: ConvertTo, { layers: pattern, probe }: ConvertOptions = {}): Conversion {
  const chosen = selectBatchNorms("convert", model, pattern);
  if (chosen.size === 0) throw new OptionError("convert: expected a model with batch normalization, got none.");
  return withBackend(backendOfModel("convert", model), () => {
    const before = probe && outputsOf("convert", model, probe);
    const replacements = new Replacements("convert", model);
    const frozen: [BatchNorm, BatchNorm["frozen"]][] = [];
    try {
      const layers = [...chosen].map(([path, layer]) => {
        const was = layer.typeName;
        if (kind.to === "frozen") {
          frozen.push([layer, layer.frozen]);
          layer.freeze();
          return { path, was, is: `${was}, frozen` };
        }
        const next = converted(layer, kind);
        replacements.replace(layer, next);
        return { path, was, is: next.typeName };
      });
      const change = before && probe ? changeOf(before, outputsOf("convert", model, probe)) : null;
      if (kind.to !== "groupNorm" && change !== null && change !== 0) {
        throw new SurgeryError(`convert: expected the same outputs in evaluation, got a change of ${change.toPrecision(3)}.`);
      }
      return { layers, change };
    } catch (error) {
      replacements.undo();
      for (const [layer, was] of frozen) layer.freeze(was);
      throw error;
    }
  });
}
