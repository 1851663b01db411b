import type { Backend, Storage } from "../engine/backend.js";
import { currentBackend } from "../engine/current.js";
import { type DataSet, isImageSet } from "./dataset.js";

/** A data set in the engine's memory: images as bytes, tables as float32, and the labels. */
export interface Resident {
  readonly examples: Storage;
  readonly labels: Storage;
}

const residents = new WeakMap<Backend, WeakMap<DataSet, Resident>>();

/** Copies the set into the memory of the current backend, once; all loaders over the set share it. */
export function residentOf(set: DataSet): Resident {
  const backend = currentBackend();
  let sets = residents.get(backend);
  if (sets === undefined) {
    sets = new WeakMap();
    residents.set(backend, sets);
  }
  let resident = sets.get(set);
  if (resident === undefined) {
    resident = upload(backend, set);
    sets.set(set, resident);
  }
  return resident;
}

function upload(backend: Backend, set: DataSet): Resident {
  const [dtype, values] = isImageSet(set) ? (["uint8", set.images] as const) : (["float32", set.features] as const);
  const examples = backend.alloc(dtype, values.length);
  backend.write(examples, values);
  const labels = backend.alloc(set.labels instanceof Int32Array ? "int32" : "float32", set.labels.length);
  backend.write(labels, set.labels);
  return { examples, labels };
}

/** Gives back the memory that the set takes on the current backend. */
export function releaseSet(set: DataSet): void {
  const backend = currentBackend();
  const resident = residents.get(backend)?.get(set);
  if (resident === undefined) return;
  residents.get(backend)!.delete(set);
  backend.release(resident.examples);
  backend.release(resident.labels);
}
