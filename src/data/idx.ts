import { DataError } from "../core/errors.js";
import type { ImageSet } from "./dataset.js";
import { gunzip } from "./gzip.js";

/** The contents of an IDX file of unsigned bytes. `data` is a view into the file, not a copy. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Element types of the format; this reader takes unsigned bytes, which is what image sets use. */
const typeNames: Record<number, string> = {
  8: "unsigned bytes",
  9: "signed bytes",
  11: "16-bit integers",
  12: "32-bit integers",
  13: "32-bit floats",
  14: "64-bit floats",
};

/**
 * Reads an unpacked IDX file: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
 * 32-bit integer, then the elements, row-major.
 *
 * @param file name for error messages
 * @param rank the number of dimensions that the caller needs (default: any from 1 to 4)
 * @throws DataError naming the file, the byte offset, what was expected and what was found
 */
export function parseIdx(bytes: Uint8Array, file: string, rank?: number): IdxArray {
  const dims = checkMagic(bytes, file, rank);
  const start = 4 + 4 * dims;
  if (bytes.length < start) {
    throw new DataError(
      `${file}: expected a header of ${start} bytes, got a file of ${bytes.length} bytes. The file is cut off.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape: number[] = [];
  let size = 1;
  for (let d = 0; d < dims; d++) {
    const n = view.getUint32(4 + 4 * d);
    shape.push(n);
    size *= n;
  }
  const found = bytes.length - start;
  const promise = `the header says ${shape.join(" × ")} = ${size} bytes of data`;
  if (found < size) {
    throw new DataError(
      `${file}: ${promise} from byte ${start} on, but the file ends at byte ${bytes.length}, after ${found}. It is cut ` +
        `off or its header is wrong.`,
    );
  }
  if (found > size) {
    throw new DataError(
      `${file}: ${promise}, but ${found - size} bytes follow them at byte ${start + size}. The header is wrong or files ` +
        `were joined.`,
    );
  }
  return { shape, data: bytes.subarray(start) };
}

/** Checks the first four bytes and returns the number of dimensions. */
function checkMagic(bytes: Uint8Array, file: string, rank: number | undefined): number {
  if (bytes.length < 4) {
    throw new DataError(
      `${file}: expected an IDX header of at least 8 bytes, got a file of ${bytes.length} bytes. The file is cut off.`,
    );
  }
  const [zero0, zero1, type, dims] = bytes as unknown as [number, number, number, number];
  if (zero0 !== 0 || zero1 !== 0) {
    throw new DataError(
      `${file}: expected an IDX file, which begins with bytes 00 00, got ${hex(zero0)} ${hex(zero1)} at byte 0.`,
    );
  }
  if (type !== 0x08) {
    const name = typeNames[type] ?? "unknown";
    throw new DataError(`${file}: expected element type 08 (unsigned bytes) at byte 2, got ${hex(type)} (${name}).`);
  }
  if (dims < 1 || dims > 4 || (rank !== undefined && dims !== rank)) {
    throw new DataError(`${file}: expected ${rank ?? "1 to 4"} dimension${rank === 1 ? "" : "s"} at byte 3, got ${dims}.`);
  }
  return dims;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Writes an IDX file of unsigned bytes. */
export function encodeIdx(data: Uint8Array, shape: readonly number[]): Uint8Array {
  const size = shape.reduce((product, n) => product * n, 1);
  if (size !== data.length)
    throw new DataError(`encodeIdx: expected ${size} bytes for shape [${shape.join(", ")}], got ${data.length}.`);
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 + shape.length);
  shape.forEach((n, d) => {
    view.setUint32(4 + 4 * d, n);
  });
  bytes.set(data, start);
  return bytes;
}

/** A pair of IDX files, gzipped or not, and what to say about them. */
export interface IdxImageFiles {
  readonly name: string;
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  readonly classes: readonly string[];
  /** Names of the two files for error messages (default: "images" and "labels" after the set's name). */
  readonly files?: { readonly images: string; readonly labels: string };
  readonly source: string;
  readonly sample?: boolean;
}

/**
 * An image set from a pair of IDX files as bytes, in any environment (a browser fetches them).
 * Shapes: images [count, height, width], labels [count] → images of shape [1, height, width].
 * @throws DataError if a file is damaged, counts differ, or a label names no class
 */
export async function imagesFromIdx(given: IdxImageFiles): Promise<ImageSet> {
  const files = given.files ?? { images: `${given.name} images`, labels: `${given.name} labels` };
  const images = await gunzip(given.images, files.images);
  const labels = await gunzip(given.labels, files.labels);
  return imagesFromPlainIdx({ ...given, images, labels, files });
}

/** `imagesFromIdx` for files that are unpacked already. */
export function imagesFromPlainIdx(given: IdxImageFiles & Required<Pick<IdxImageFiles, "files">>): ImageSet {
  const { name, files, classes, source, sample = false } = given;
  const images = parseIdx(given.images, files.images, 3);
  const labels = parseIdx(given.labels, files.labels, 1);
  const [count, height, width] = images.shape as [number, number, number];
  if (count !== labels.data.length) {
    throw new DataError(
      `${files.images} has ${count} images and ${files.labels} has ${labels.data.length} labels; expected as many of ` +
        `each. Do the files belong together?`,
    );
  }
  if (count === 0 || height === 0 || width === 0) {
    throw new DataError(`${files.images}: expected at least one image of at least one pixel, got ${images.shape.join(" × ")}.`);
  }
  const wrong = labels.data.findIndex((label) => label >= classes.length);
  if (wrong >= 0) {
    throw new DataError(
      `${files.labels}: expected labels from 0 to ${classes.length - 1}, got ${labels.data[wrong]} at byte ${8 + wrong} ` +
        `(example ${wrong}).`,
    );
  }
  return {
    name,
    images: images.data,
    labels: Int32Array.from(labels.data),
    count,
    shape: [1, height, width],
    classes,
    source,
    sample,
  };
}
