import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { cifar10Files } from "../../src/data/cifar.js";
import { imagesFromCifar10, readTar } from "../../src/data/index.js";
import { loadCifar10 } from "../../src/data/node.js";
import { temporaryFolder, write } from "./files.js";

const root = temporaryFolder();
let folders = 0;
function empty(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** Records with these labels; pixel p of record r is (p + r) mod 251. */
function records(...labels: number[]): Uint8Array {
  const bytes = new Uint8Array(3073 * labels.length);
  labels.forEach((label, r) => {
    bytes[3073 * r] = label;
    for (let p = 0; p < 3072; p++) bytes[3073 * r + 1 + p] = (p + r) % 251;
  });
  return bytes;
}

const trainFiles = Object.fromEntries(cifar10Files.train.map((name, i) => [name, records(i, i + 5)]));

/** A tar archive made by the system's tar, an implementation of its own. */
function archive(files: Record<string, Uint8Array>): Buffer {
  const folder = write(empty(), files);
  execFileSync("tar", ["-cf", "archive.tar", "--format=ustar", ...Object.keys(files)], { cwd: folder });
  return readFileSync(join(folder, "archive.tar"));
}

describe("imagesFromCifar10", () => {
  test("parts records into labels and planes, in the order of the files", () => {
    const set = imagesFromCifar10(
      [
        { file: "a", bytes: records(3, 9) },
        { file: "b", bytes: records(0) },
      ],
      "a test",
    );
    expect(set.shape).toEqual([3, 32, 32]);
    expect(Array.from(set.labels)).toEqual([3, 9, 0]);
    expect([set.images[0], set.images[3071], set.images[3072], set.images[6144]]).toEqual([0, 3071 % 251, 1, 0]);
    expect(set.classes[9]).toBe("truck");
  });

  test("refuses a cut-off record, an empty file and a label above 9, each by its byte", () => {
    const from = (bytes: Uint8Array) => () => imagesFromCifar10([{ file: "batch.bin", bytes }], "a test");
    expect(from(records(1, 2).subarray(0, 6000))).toThrow(
      "batch.bin: expected records of 3073 bytes, got 6000 bytes with 2927 left over at byte 3073. The file is empty, " +
        "cut off or not in CIFAR-10's binary format.",
    );
    expect(from(new Uint8Array(0))).toThrow("got 0 bytes");
    expect(from(records(1, 10))).toThrow("batch.bin: expected a label from 0 to 9 at byte 3073 (record 1), got 10.");
  });
});

describe("readTar", () => {
  test("reads what the system's tar wrote, long paths too", () => {
    const long = `${"d".repeat(80)}/${"e".repeat(60)}.bin`;
    const members = readTar(
      archive({ "a/b.bin": records(1), [long]: Uint8Array.of(1, 2, 3), empty: new Uint8Array(0) }),
      "a.tar",
    );
    expect([...members.keys()]).toEqual(["a/b.bin", long, "empty"]);
    expect(Array.from(members.get(long)!)).toEqual([1, 2, 3]);
    expect(members.get("a/b.bin")!.length).toBe(3073);
  });

  test("refuses an archive that is cut off, has a changed header or is none, by the byte", () => {
    const tar = new Uint8Array(archive({ "b.bin": records(1) }));
    expect(() => readTar(tar.subarray(0, 2000), "a.tar")).toThrow(
      "a.tar: b.bin at byte 512 should have 3073 bytes, but the archive ends at byte 2000. It is cut off.",
    );
    expect(() => readTar(tar.subarray(0, 4096), "a.tar")).toThrow(
      "expected the end-of-archive block of a tar archive, but the file ends at byte 4096",
    );
    const changed = tar.slice();
    changed[1] = 0x58;
    expect(() => readTar(changed, "a.tar")).toThrow(/a\.tar: expected a tar header with checksum \d+ at byte 0, got \d+/);
    expect(() => readTar(records(7), "batch.bin")).toThrow(/batch\.bin: expected an octal number at byte 148 of a tar header/);
    expect(() => readTar(new Uint8Array(0), "nothing.tar")).toThrow("the file ends at byte 0");
  });
});

describe("loadCifar10", () => {
  test("reads the archive by its path, the folder that has it, and extracted files", async () => {
    const members = Object.fromEntries(
      Object.entries(trainFiles).map(([name, bytes]) => [`cifar-10-batches-bin/${name}`, bytes]),
    );
    const packed = write(empty(), { "cifar-10-binary.tar.gz": gzipSync(archive(members)) });
    const places = [packed, join(packed, "cifar-10-binary.tar.gz"), write(empty(), members), write(empty(), trainFiles)];
    for (const dataDir of places) {
      const set = await loadCifar10({ split: "train", dataDir });
      expect(Array.from(set.labels)).toEqual([0, 5, 1, 6, 2, 7, 3, 8, 4, 9]);
      expect(set.source).toContain("CIFAR-10, 10 training images from ");
    }
    const cacheDir = write(empty(), { "cifar-10/test_batch.bin": records(4) });
    expect((await loadCifar10({ split: "test", cacheDir })).count).toBe(1);
  });

  test("refuses a missing folder, a missing batch and an archive without the split", async () => {
    const nowhere = join(empty(), "missing");
    await expect(loadCifar10({ split: "test", dataDir: nowhere })).rejects.toThrow(
      `CIFAR-10: expected cifar-10-binary.tar.gz or test_batch.bin in ${nowhere}; they are not there. Get the archive ` +
        `from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz`,
    );
    const partial = write(empty(), { "data_batch_1.bin": records(1) });
    await expect(loadCifar10({ split: "train", dataDir: partial })).rejects.toThrow(
      "data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin is missing",
    );
    const wrong = join(write(empty(), { "wrong.tar": archive({ "data_batch_1.bin": records(1) }) }), "wrong.tar");
    await expect(loadCifar10({ split: "test", dataDir: wrong })).rejects.toThrow(`${wrong}: expected the member test_batch.bin`);
    await expect(loadCifar10({ split: "all" as "test" })).rejects.toThrow('expected split to be "train" or "test", got "all"');
  });
});
