import { readFile } from "node:fs/promises";
import { basename, extname, resolve } from "node:path";
import { DataError, OptionError } from "../core/errors.js";
import { readStateFile, writeAtomically } from "../io/files-node.js";
import type { Module } from "../nn/module.js";
import { parseJson } from "../train/checked.js";
import { parseTrainConfig, type TrainConfig } from "../train/config.js";
import { readModel, writeModel } from "../train/model-file.js";
import { type NetworkFile, parseNetworkFile } from "../train/network-file.js";

/** A model from a file, for a command that works on one. */
export interface LoadedModel {
  model: Module;
  /** Shape of one example, if it is known. */
  input: readonly number[] | null;
  /** What else net.json says; null where there is none. */
  net: NetworkFile | null;
  /** What was assumed on the way, a sentence each. */
  notes: string[];
}

/** Shapes of examples of the data that a configuration can name. */
const inputs: Partial<Record<TrainConfig["data"]["type"], number[]>> = {
  mnist: [1, 28, 28],
  fashion: [1, 28, 28],
  cifar10: [3, 32, 32],
  moons: [2],
  spirals: [2],
  blobs: [2],
};

/** Reads --arch: a net.json, or a configuration of `evenkeel train`. @throws OptionError or DataError that names file and place */
export async function readArch(path: string): Promise<NetworkFile> {
  const file = basename(path);
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new DataError(`--arch: could not read ${path} (${cause.code}).`, { cause });
  });
  const value = parseJson(text, file);
  if (typeof value !== "object" || value === null || !("optimizer" in value)) return parseNetworkFile(text, file);
  const { data, network } = parseTrainConfig(text, file);
  const input = inputs[data.type];
  if (input !== undefined) return { input, network };
  throw new OptionError(
    `${file}: expected to learn the shape of an example, which data of type "${data.type}" do not say. Give net.json.`,
  );
}

/**
 * Loads a model: safetensors or PyTorch's .pt. Its architecture comes from `arch`, else from the file itself, if evenkeel
 * wrote it.
 *
 * @throws DataError, OptionError or StateDictError in one line, naming the file
 */
export async function loadModelFile(path: string, options: { arch?: string; cwd?: string } = {}): Promise<LoadedModel> {
  const { arch, cwd = process.cwd() } = options;
  const net = arch === undefined ? undefined : await readArch(resolve(cwd, arch));
  const stored = await readStateFile(resolve(cwd, path));
  if (net === undefined && stored.metadata["evenkeel.network"] === undefined)
    throw new DataError(`${basename(path)}: has weights only, and nothing about the network. Pass --arch net.json.`);
  const read = readModel(stored, { net, file: basename(path) });
  return { ...read, input: read.net.input };
}

/**
 * Saves a model so that `loadModelFile` needs nothing else, whole or not at all.
 *
 * @param about shape of one example, and what else belongs into net.json
 * @throws OptionError naming a layer that net.json cannot describe; DataError if the name does not end in .safetensors
 */
export async function saveModelFile(path: string, model: Module, about: Omit<NetworkFile, "network">): Promise<void> {
  if (extname(path) !== ".safetensors") throw new DataError(`${path}: expected a name that ends in .safetensors.`);
  await writeAtomically(path, writeModel(model, about));
}
