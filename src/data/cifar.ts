import { DataError } from "../core/errors.js";
import type { ImageSet } from "./dataset.js";
import { concatBytes } from "./gzip.js";

/** The classes of CIFAR-10 in label order (batches.meta.txt of the archive). */
export const cifar10Classes: readonly string[] = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/** Files of the binary version, by split. */
export const cifar10Files = {
  train: ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
  test: ["test_batch.bin"],
} as const;

const PIXELS = 3 * 32 * 32;
const RECORD = 1 + PIXELS;

/** One batch file of the binary version. */
export interface CifarFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/**
 * CIFAR-10 from the files of its binary version: records of 3,073 bytes, a label and 3 × 32 × 32 pixels (red, green and
 * blue planes, row-major).
 *
 * @throws DataError naming the file and the byte offset of a cut-off record or a label above 9
 * @see Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
 */
export function imagesFromCifar10(batches: readonly CifarFile[], source: string): ImageSet {
  let count = 0;
  for (const { file, bytes } of batches) {
    checkRecords(file, bytes);
    count += bytes.length / RECORD;
  }
  const images = new Uint8Array(count * PIXELS);
  const labels = new Int32Array(count);
  const all =
    batches.length === 1
      ? batches[0]!.bytes
      : concatBytes(
          batches.map((b) => b.bytes),
          count * RECORD,
        );
  for (let i = 0; i < count; i++) {
    labels[i] = all[i * RECORD]!;
    images.set(all.subarray(i * RECORD + 1, (i + 1) * RECORD), i * PIXELS);
  }
  return { name: "CIFAR-10", images, labels, count, shape: [3, 32, 32], classes: cifar10Classes, source, sample: false };
}

function checkRecords(file: string, bytes: Uint8Array): void {
  const rest = bytes.length % RECORD;
  if (bytes.length === 0 || rest !== 0) {
    throw new DataError(
      `${file}: expected records of ${RECORD} bytes, got ${bytes.length} bytes with ${rest} left over at byte ` +
        `${bytes.length - rest}. The file is empty, cut off or not in CIFAR-10's binary format.`,
    );
  }
  for (let at = 0; at < bytes.length; at += RECORD) {
    if (bytes[at]! > 9)
      throw new DataError(`${file}: expected a label from 0 to 9 at byte ${at} (record ${at / RECORD}), got ${bytes[at]}.`);
  }
}
