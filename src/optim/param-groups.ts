import type { Module } from "../nn/module.js";
import { isNormalization } from "../nn/normalization.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkRange } from "./param-group.js";

/** A group of parameters as optimizers take it, with the names of the parameters beside. */
export type NamedParamGroup<Options> = Options & {
  readonly params: readonly Tensor[];
  /** Keys of the parameters in the model, in their order. For printing: no option, so not enumerable. */
  readonly names: readonly string[];
};

/**
 * The parameters of a model in groups for an optimizer: first all that weight decay shrinks, then all that it leaves alone:
 * γ and β of the normalization layers, and every parameter that is named "bias". Decay of weights before a normalization only
 * changes the effective learning rate; decay of γ pulls towards a layer that is switched off, and a bias needs none.
 *
 * Each parameter is in one group once, under its first key if modules share it, in the order of `model.namedParameters()`,
 * whether it requires a gradient or not. A group without parameters is left out.
 *
 * @param options.weightDecay of the first group; the second has 0
 * @param options others go into both groups as they are, such as lr
 * @throws OptionError if weightDecay is negative or not finite
 * @example
 * const optimizer = new optim.SGD(optim.paramGroups(model, { weightDecay: 5e-4 }), { lr: 0.1, momentum: 0.9 });
 * @see He et al. 2019, "Bag of tricks for image classification with convolutional neural networks", section 3.1
 */
export function paramGroups<Options extends { weightDecay: number }>(
  model: Module,
  options: Options,
): NamedParamGroup<Options>[] {
  checkRange("paramGroups", "weightDecay", options.weightDecay);
  const modules = model.namedModules();
  const decayed = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  for (const [key, parameter] of model.namedParameters()) {
    const dot = key.lastIndexOf(".");
    const owner = modules.get(key.slice(0, Math.max(0, dot)))!;
    const kept = key.slice(dot + 1) === "bias" || isNormalization(owner);
    (kept ? others : decayed).set(key, parameter);
  }
  const groups = [makeGroup(decayed, options), makeGroup(others, { ...options, weightDecay: 0 })];
  return groups.filter(({ params }) => params.length > 0);
}

function makeGroup<Options extends object>(named: ReadonlyMap<string, Tensor>, options: Options): NamedParamGroup<Options> {
  const group = { ...options, params: [...named.values()] };
  return Object.defineProperty(group, "names", { value: [...named.keys()] }) as NamedParamGroup<Options>;
}
