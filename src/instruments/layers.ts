import { OptionError } from "../core/errors.js";
import type { Backend } from "../engine/backend.js";
import type { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";

/** A module with parameters of its own. */
export interface Layer {
  /** Its path in the model; "" for the model itself. */
  readonly name: string;
  /** By their keys in the model. */
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/** The layers of a model in order of declaration, which is the order of running in a Sequential. */
export function layersOf(model: Module): Layer[] {
  const layers = new Map<string, Map<string, Tensor>>();
  for (const [key, tensor] of model.namedParameters()) {
    const name = key.slice(0, Math.max(0, key.lastIndexOf(".")));
    const own = layers.get(name) ?? new Map();
    layers.set(name, own.set(key, tensor));
  }
  return [...layers].map(([name, parameters]) => ({ name, parameters }));
}

/** Where the parameters and buffers of a model lie. @throws OptionError if it has none */
export function backendOfModel(who: string, model: Module): Backend {
  const [first] = [...model.parameters(), ...model.buffers()];
  if (first === undefined)
    throw new OptionError(`${who}: expected a model with parameters or buffers, got ${model.typeName} without any.`);
  return first.backend;
}
