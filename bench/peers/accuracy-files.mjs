// How a case of the accuracy table reaches a participant and comes back: files of float32, one per array.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const INPUTS = ["x", "dy", "weight", "bias", "mean", "variance"];

export function readFloats(folder, name) {
  const { buffer, byteOffset, byteLength } = readFileSync(join(folder, name));
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** @param arrays by name */
export function writeFloats(folder, arrays) {
  for (const [name, { buffer, byteOffset, byteLength }] of Object.entries(arrays)) {
    writeFileSync(join(folder, name), new Uint8Array(buffer, byteOffset, byteLength));
  }
}

/**
 * A kind of work for `serve`: {folder, into, shape, eps, how}. `compute(inputs, work)` returns the arrays that
 * accuracy/reference.mjs names, or a promise of them.
 */
export const accuracyWith = (compute) => (work) => ({
  repeat: () => {},
  check: async () => {
    const inputs = Object.fromEntries(INPUTS.map((name) => [name, readFloats(work.folder, name)]));
    writeFloats(work.into, await compute(inputs, work));
    return {};
  },
});
