import { compile } from "../autograd/compile.js";
import { noGrad } from "../autograd/mode.js";
import { OptionError, SurgeryError } from "../core/errors.js";
import { withBackend } from "../engine/current.js";
import { backendOfModel } from "../instruments/layers.js";
import { preserving } from "../instruments/measure.js";
import {
  type BatchNorm,
  ConvTranspose2d,
  Identity,
  Linear,
  type Module,
  type WiredModule,
  type Wiring,
  wiringsOf,
} from "../nn/index.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { channelMapOf, type Host, isHost, mapBefore, mapBehind } from "./fold-weights.js";
import { Replacements } from "./replace.js";
import { batchNormsOf } from "./select.js";

export interface FoldOptions {
  /** Largest allowed change of an output, over the largest output on the probe (default 1e-3): beyond it all is taken back. */
  tolerance?: number;
  /** Whether the time of a pass before and after is measured, which takes about a second (default false). */
  timed?: boolean;
}

/** What became of one batch normalization. */
export interface FoldedLayer {
  path: string;
  /** Path of the layer that it went into; null if it stayed. */
  into: string | null;
  /** Why it stayed, in words; null if it did not. */
  reason: string | null;
}

export interface FoldReport {
  layers: FoldedLayer[];
  /** On the probe, over all outputs. */
  error: {
    /** Largest change of an output. */
    absolute: number;
    /** The same over the largest output. */
    relative: number;
  };
  /** Milliseconds of one pass over the probe in evaluation, medians of recorded passes; null unless `timed`. */
  time: { before: number; after: number } | null;
}

/** Where a batch normalization can go: the host, and whether it stands before or behind it. */
interface Place {
  readonly host: WiredModule & { module: Host };
  readonly side: "behind" | "before";
}

/** Ranks of what goes into modules on the probe, which decide which axis a dense layer's features are. */
function ranksOn(model: Module, probe: Tensor): Map<Module, number> {
  const ranks = new Map<Module, number>();
  const hooks = model.modules().map((module) => module.registerForwardPreHook((m, [x]) => void ranks.set(m, x?.rank ?? 0)));
  try {
    noGrad(() => tidy(() => void model.call(probe)));
  } finally {
    for (const remove of hooks) remove();
  }
  return ranks;
}

/** Looks for places in the networks of a model. */
class Finder {
  private readonly uses = new Map<Module, number>();

  constructor(
    private readonly wirings: readonly Wiring[],
    private readonly ranks: ReadonlyMap<Module, number>,
  ) {
    for (const { nodes } of wirings) for (const { module } of nodes) this.uses.set(module, (this.uses.get(module) ?? 0) + 1);
  }

  /** The place of a layer, or why there is none. */
  find(layer: BatchNorm): Place | string {
    const wiring = this.wirings.find(({ nodes }) => nodes.some(({ module }) => module === layer));
    const node = wiring?.nodes.find(({ module }) => module === layer);
    if (wiring === undefined || node === undefined)
      return "it is run by a class of its own making, where nobody can see what it reads";
    if (this.uses.get(layer)! > 1) return "it is used in several places";
    if (layer.runningMean === null) return "it keeps no running statistics, so it normalizes by the batch in evaluation, too";
    if (layer.hasHooks) return "somebody looks at it through a hook";
    const { scale, shift } = channelMapOf(layer);
    if ([...scale, ...shift].some((value) => !Number.isFinite(value))) return "its statistics or γ and β are not finite";
    const before = this.behind(wiring, node, layer);
    if (typeof before !== "string") return before;
    const after = this.before(wiring, node, layer);
    return typeof after === "string" ? `${before}; ${after}` : after;
  }

  private hostProblem(host: WiredModule & { module: Host }, layer: BatchNorm): string | null {
    if (this.uses.get(host.module)! > 1) return `the layer ${host.path} is used in several places`;
    if (host.module.hasHooks) return `somebody looks at the layer ${host.path} through a hook`;
    const isDense = host.module instanceof Linear;
    if (isDense && this.ranks.get(layer) !== 2) return "its channels are not the features of the dense layer";
    return null;
  }

  private behind(wiring: Wiring, node: WiredModule, layer: BatchNorm): Place | string {
    const host = wiring.producer(node.inputs[0]!);
    if (host === null || host.op !== "call" || !isHost(host.module))
      return "no convolution or dense layer stands right before it";
    if (wiring.onlyConsumer(host) !== node) return `the output of ${host.path} is used elsewhere, too`;
    const place = host as Place["host"];
    return this.hostProblem(place, layer) ?? { host: place, side: "behind" };
  }

  private before(wiring: Wiring, node: WiredModule, layer: BatchNorm): Place | string {
    const host = wiring.onlyConsumer(node);
    if (host === null || host.op !== "call" || !isHost(host.module)) return "none right behind it has its output for itself";
    const { module } = host;
    if (!(module instanceof Linear)) {
      const padding = [module.padding].flat();
      if (module instanceof ConvTranspose2d || padding.some((n) => n !== 0)) {
        return `the layer ${host.path} behind it pads, and zeros beyond the edge are not shifted`;
      }
    }
    const place = host as Place["host"];
    return this.hostProblem(place, layer) ?? { host: place, side: "before" };
  }
}

function checkModes(model: Module): void {
  const training = [...model.namedModules()].filter(([, module]) => module.training);
  if (training.length === 0) return;
  throw new SurgeryError(
    `fold: expected a model in evaluation mode, since folding takes the running statistics for good; call model.eval() first ` +
      `(in training mode: ${training
        .slice(0, 3)
        .map(([path, { typeName }]) => (path === "" ? typeName : path))
        .join(", ")}).`,
  );
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Milliseconds of a recorded pass: the median of as many as fit into a third of a second, at least 7. */
function timeOf(model: Module, probe: Tensor): number {
  const pass = compile((x: Tensor) => noGrad(() => model.call(x)));
  try {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) pass(probe).data();
    const end = performance.now() + 330;
    while (times.length < 7 || (performance.now() < end && times.length < 1000)) {
      const start = performance.now();
      pass(probe).data();
      times.push(performance.now() - start);
    }
    return median(times);
  } finally {
    pass.dispose();
  }
}

const outputsOf = (model: Module, probe: Tensor) => noGrad(() => tidy(() => model.call(probe).data()));

function errorOf(before: ArrayLike<number>, after: ArrayLike<number>): FoldReport["error"] {
  let [absolute, largest] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    const difference = Math.abs(before[i]! - after[i]!);
    // NaN in both is no change, NaN in one is.
    if (!(difference <= absolute) && !Object.is(before[i], after[i])) absolute = Number.isNaN(difference) ? Infinity : difference;
    largest = Math.max(largest, Math.abs(before[i]!) || 0);
  }
  return { absolute, relative: absolute === 0 ? 0 : absolute / largest };
}

/**
 * Folds batch normalization into the dense layer or convolution before it, or into the one behind it where that is exact (nothing
 * padded): in evaluation it is a scale and a shift of each channel. The network computes the same with fewer passes over memory.
 *
 * The arithmetic is float64, rounded to float32 once, so that outputs change by rounding alone; by how much is measured on `probe`.
 * The layer folded into is a new one with a bias; in the place of the batch normalization stands an `Identity`, so all other
 * modules keep their places and state keys. Layers that cannot be folded stay, with the reason in the report: where the
 * convolution's output is used elsewhere, a layer is used twice or looked at by a hook, or statistics are missing or not finite.
 *
 * The model is changed in place; after an error nothing has changed.
 *
 * @param probe inputs [N, …] on which the change of the outputs is measured
 * @throws SurgeryError if a module is in training mode, or outputs change by more than the tolerance; OptionError if the model has
 *   no batch normalization
 * @example
 * const { layers, error } = fold(model.eval(), uniform([8, 3, 32, 32]));
 * @see Jacob et al. 2017, "Quantization and training of neural networks", equation 14
 */
export function fold(model: Module, probe: Tensor, { tolerance = 1e-3, timed = false }: FoldOptions = {}): FoldReport {
  const norms = batchNormsOf(model);
  if (norms.size === 0) throw new OptionError("fold: expected a model with batch normalization, got none.");
  checkModes(model);
  return withBackend(backendOfModel("fold", model), () => {
    const outputs = preserving("fold", model, () => outputsOf(model, probe));
    const finder = new Finder(wiringsOf(model), ranksOn(model, probe));
    const timeBefore = timed ? timeOf(model, probe) : 0;
    const replacements = new Replacements("fold", model);
    try {
      const layers = [...norms].map(([path, layer]) => foldOne(path, layer, model, finder, replacements));
      const error = errorOf(outputs, outputsOf(model, probe));
      if (!(error.relative <= tolerance)) {
        throw new SurgeryError(
          `fold: expected outputs within ${tolerance} of the largest on the probe, got ${error.relative.toPrecision(3)}. Nothing was changed.`,
        );
      }
      return { layers, error, time: timed ? { before: timeBefore, after: timeOf(model, probe) } : null };
    } catch (error) {
      replacements.undo();
      throw error;
    }
  });
}

function foldOne(path: string, layer: BatchNorm, model: Module, finder: Finder, replacements: Replacements): FoldedLayer {
  const place = finder.find(layer);
  if (typeof place === "string") return { path, into: null, reason: place };
  // An earlier layer may have gone into the same host, which is another module since.
  const now = model.namedModules().get(place.host.path) as Host;
  const map = channelMapOf(layer);
  replacements.replace(now, place.side === "behind" ? mapBehind(now, map) : mapBefore(now, map));
  replacements.replace(layer, new Identity());
  return { path, into: place.host.path, reason: null };
}
