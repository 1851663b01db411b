import type { Backend, DType, Storage } from "../backend.js";
import type { NumericArray } from "./arrays.js";

const GARBAGE_INT = 0x5eadbeef;
const GARBAGE_BYTE = 0xa5;

/** An array that looks like memory nobody has written: NaN, or a number that no correct program makes. */
function unwritten(dtype: DType, length: number): NumericArray {
  if (dtype === "int32") return new Int32Array(length).fill(GARBAGE_INT);
  if (dtype === "uint8") return new Uint8Array(length).fill(GARBAGE_BYTE);
  return new Float64Array(length).fill(NaN);
}

/** A piece of the reference backend's memory: one array of its own. */
export class ReferenceStorage implements Storage {
  readonly array: NumericArray;
  released = false;
  /** Whether the backend counts it: memory of a recorded step is counted only if it outlives the step. */
  counted = false;

  constructor(
    readonly backend: Backend,
    readonly dtype: DType,
    length: number,
  ) {
    this.array = unwritten(dtype, length);
  }

  get length(): number {
    return this.array.length;
  }
}
