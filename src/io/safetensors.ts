import { DataError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { BYTES_PER_VALUE, countOf, isStoredDType, type StoredState, type StoredTensor, storedState } from "./stored.js";
import { parseStrictJson } from "./strict-json.js";

/** Most bytes of a header: the limit of the reference implementation. */
const MAX_HEADER = 100_000_000;
const LENGTH_BYTES = 8;

/** Where a tensor lies in the data behind the header. */
interface Entry extends Omit<StoredTensor, "bytes"> {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Reads files of one name: errors begin with it. */
class Reader {
  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
  ) {}

  private fail(place: string, what: string): never {
    throw new DataError(`${this.file}: ${place}: ${what}`);
  }

  read(): StoredState {
    const header = this.header();
    const { __metadata__, ...named } = header.values;
    const metadata = this.metadata(__metadata__);
    const data = this.bytes.subarray(header.end);
    const entries = Object.entries(named).map(([name, value]) => this.entry(name, value, data.length));
    this.checkLayout(entries, data.length);
    const tensors = new Map<string, StoredTensor>();
    for (const { name, dtype, shape, begin, end } of entries) {
      tensors.set(name, { dtype, shape, bytes: data.subarray(begin, end) });
    }
    return { tensors, metadata };
  }

  private header(): { values: Record<string, unknown>; end: number } {
    const { bytes } = this;
    if (bytes.length < LENGTH_BYTES) this.fail("header", `expected 8 bytes with its length, the file has ${bytes.length}.`);
    const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    if (length > MAX_HEADER) this.fail("header", `expected at most ${MAX_HEADER} bytes, got a length of ${length}.`);
    const end = LENGTH_BYTES + Number(length);
    if (end > bytes.length) this.fail("header", `expected ${length} bytes, the file ends after ${bytes.length - LENGTH_BYTES}.`);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, end));
    } catch {
      this.fail("header", "expected text in UTF-8. Is this a safetensors file?");
    }
    if (!text.startsWith("{")) this.fail("header", 'expected "{" at its beginning. Is this a safetensors file?');
    const values = parseStrictJson(text, (what) => this.fail("header", what));
    if (!isObject(values)) this.fail("header", "expected a JSON object.");
    return { values, end };
  }

  private metadata(value: unknown): Record<string, string> {
    if (value === undefined) return {};
    if (!isObject(value)) this.fail("__metadata__", "expected an object of strings.");
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== "string") this.fail("__metadata__", `expected a string under "${key}", got ${typeof text}.`);
    }
    return value as Record<string, string>;
  }

  private entry(name: string, value: unknown, available: number): Entry {
    const place = `tensor "${name}"`;
    if (!isObject(value)) this.fail(place, "expected an object with dtype, shape and data_offsets.");
    const { dtype, shape, data_offsets: offsets } = value;
    if (!isStoredDType(dtype)) {
      this.fail(place, `expected a dtype of ${Object.keys(BYTES_PER_VALUE).join(", ")}, got ${JSON.stringify(dtype)}.`);
    }
    if (!Array.isArray(shape) || !shape.every(isCount)) {
      this.fail(place, `expected a shape of integers of at least 0, got ${JSON.stringify(shape)}.`);
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      this.fail(place, `expected data_offsets [begin, end], got ${JSON.stringify(offsets)}.`);
    }
    const [begin, end] = offsets as [number, number];
    if (begin > end || end > available) {
      this.fail(place, `expected data_offsets within the ${available} bytes of data, got [${begin}, ${end}].`);
    }
    const count = countOf(shape);
    const needed = count === null ? null : count * BYTES_PER_VALUE[dtype];
    if (needed !== end - begin) {
      this.fail(place, `expected ${needed ?? "countless"} bytes for ${dtype} ${formatShape(shape)}, got ${end - begin}.`);
    }
    return { name, dtype, shape, begin, end };
  }

  /** Tensors lie one behind the other: no hole, no overlap, nothing behind the last. */
  private checkLayout(entries: readonly Entry[], available: number): void {
    const inOrder = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
    let at = 0;
    for (const { name, begin, end } of inOrder) {
      if (begin !== at) {
        const what = begin < at ? "overlaps the one before it" : "leaves a hole before it";
        this.fail(`tensor "${name}"`, `expected data from byte ${at} on, got ${begin}: it ${what}.`);
      }
      at = end;
    }
    if (at !== available) this.fail("data", `expected ${at} bytes, which the tensors need, got ${available}.`);
  }
}

/**
 * Reads a safetensors file. Everything is checked before anything is made of it; the tensors are views into `bytes`.
 *
 * @param file name for errors (default "safetensors")
 * @throws DataError with file, place and reason: a length, type, shape or offset that does not fit, a name that appears twice,
 *   tensors that overlap, leave holes or end early
 * @see https://github.com/huggingface/safetensors, section "Format"
 */
export function readSafetensors(bytes: Uint8Array, file = "safetensors"): StoredState {
  return new Reader(bytes, file).read();
}

/**
 * A safetensors file: float32 tensors as F32, int32 as I32, `num_batches_tracked` as I64 (as PyTorch has it). Wider values come
 * first and names are in order within a width, so that every tensor is aligned, as the reference implementation does; the same
 * state gives the same bytes.
 *
 * @param metadata texts to keep with the tensors (default none)
 * @throws DataError if a tensor is called "__metadata__", or its bytes do not match its shape
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor | Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const state = [...storedState(tensors)].sort(
    ([a, x], [b, y]) => BYTES_PER_VALUE[y.dtype] - BYTES_PER_VALUE[x.dtype] || (a < b ? -1 : 1),
  );
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let size = 0;
  for (const [name, { dtype, shape, bytes }] of state) {
    if (name === "__metadata__") throw new DataError('writeSafetensors: expected names other than "__metadata__".');
    if (countOf(shape) !== bytes.length / BYTES_PER_VALUE[dtype]) {
      throw new DataError(
        `writeSafetensors: tensor "${name}": expected bytes for ${dtype} ${formatShape(shape)}, got ${bytes.length}.`,
      );
    }
    header.push([name, { dtype, shape, data_offsets: [size, size + bytes.length] }]);
    size += bytes.length;
  }
  const text = new TextEncoder().encode(`{${header.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(LENGTH_BYTES + padded + size);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true);
  file.fill(32, LENGTH_BYTES, LENGTH_BYTES + padded);
  file.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + padded;
  for (const [, { bytes }] of state) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}
