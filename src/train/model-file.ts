import { DataError } from "../core/errors.js";
import { loadStored } from "../io/adapt-state.js";
import { writeSafetensors } from "../io/safetensors.js";
import type { StoredState } from "../io/stored.js";
import type { Module } from "../nn/module.js";
import { Sequential } from "../nn/sequential.js";
import { buildNetworkFile, type NetworkFile, parseNetworkFile } from "./network-file.js";
import { specOf } from "./spec-of.js";

/** Under which the metadata of a safetensors file hold a net.json. */
export const NETWORK_KEY = "evenkeel.network";

/** The net.json of a model: its layers, and what else is known of it. */
export function networkFileOf(model: Module, about: Omit<NetworkFile, "network">): NetworkFile {
  return { ...about, network: specOf(model) };
}

/**
 * A safetensors file of a model's state with its net.json inside, so that the file is enough to build it again. The same
 * model gives the same bytes; PyTorch loads the weights of it.
 *
 * @throws OptionError naming the layer that net.json cannot describe
 */
export function writeModel(model: Module, about: Omit<NetworkFile, "network">): Uint8Array {
  const metadata = { format: "pt", [NETWORK_KEY]: JSON.stringify(networkFileOf(model, about)) };
  // What is no list becomes the one layer "graph" of a list.
  const prefix = model.constructor === Sequential ? "" : "graph.";
  const state = new Map([...model.stateDict()].map(([key, t]) => [prefix + key, t]));
  try {
    return writeSafetensors(state, metadata);
  } finally {
    for (const t of state.values()) t.dispose();
  }
}

export interface ReadModel {
  model: Sequential;
  net: NetworkFile;
  /** What was assumed of the weights, a sentence each. */
  notes: string[];
}

/**
 * Builds the network that a file of weights belongs to, and loads them.
 *
 * @param options.net the architecture (default: what the file says of itself)
 * @param options.file for error messages (default "weights")
 * @throws DataError if neither says what the network is; OptionError or StateDictError if the two do not belong together
 */
export function readModel(stored: StoredState, options: { net?: NetworkFile | undefined; file?: string } = {}): ReadModel {
  const { file = "weights" } = options;
  const inside = stored.metadata[NETWORK_KEY];
  if (options.net === undefined && inside === undefined)
    throw new DataError(
      `${file}: expected a file that says how its network is built, got weights alone. Give its net.json, too.`,
    );
  const net = options.net ?? parseNetworkFile(inside!, `${file} (${NETWORK_KEY})`);
  const { module: model } = buildNetworkFile(net, options.net === undefined ? file : "net.json");
  try {
    const { notes } = loadStored(model, stored);
    return { model, net, notes };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
