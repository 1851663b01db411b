import { open, readFile, rename, rm } from "node:fs/promises";
import { basename } from "node:path";
import { DataError } from "../core/errors.js";
import { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { isPt, readPt } from "./pytorch.js";
import { readSafetensors, writeSafetensors } from "./safetensors.js";
import type { StoredState, StoredTensor } from "./stored.js";

const reasonOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? (error as Error).message;

/** The bytes of a file. @throws DataError if it cannot be read */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new DataError(`${basename(path)}: could not read the file ${path} (${reasonOf(error)}).`, { cause: error });
  }
}

/**
 * Writes a file so that, whatever happens meanwhile, either the old one is there or the whole new one: beside it, down to the
 * disk, and then under its name.
 *
 * @throws DataError if it cannot be written; the old file is still there then
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.${process.pid}.partial`;
  try {
    const file = await open(beside, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw new DataError(`${basename(path)}: could not write the file ${path} (${reasonOf(error)}).`, { cause: error });
  }
}

/**
 * Reads a file of weights: safetensors, or what `torch.save` wrote of a state dictionary. Which it is shows in its first bytes,
 * not in its name.
 *
 * @throws DataError with file, place and reason
 */
export async function readStateFile(path: string): Promise<StoredState> {
  const bytes = await readBytes(path);
  return isPt(bytes) ? readPt(bytes, basename(path)) : readSafetensors(bytes, basename(path));
}

/**
 * Saves a model's state, or a map of tensors, as a safetensors file that PyTorch, too, can load (`load_state_dict(…,
 * strict=True)`). The file is replaced as a whole or not at all.
 *
 * @param metadata texts to keep in the file (default `{ format: "pt" }`)
 * @throws DataError if it cannot be written
 * @example
 * await saveSafetensors("model.safetensors", model);
 */
export async function saveSafetensors(
  path: string,
  source: Module | ReadonlyMap<string, Tensor | StoredTensor>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  await writeAtomically(path, writeSafetensors(source instanceof Module ? source.stateDict() : source, metadata));
}
