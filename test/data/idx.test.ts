import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { encodeIdx, gunzip, imagesFromIdx, parseIdx } from "../../src/data/index.js";

/** The header of a real file, written out by hand: MNIST's test labels. */
const realHeader = [0x00, 0x00, 0x08, 0x01, 0x00, 0x00, 0x27, 0x10];

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

const images = encodeIdx(
  Uint8Array.from({ length: 24 }, (_, i) => i),
  [4, 2, 3],
);
const labels = encodeIdx(Uint8Array.of(0, 1, 2, 1), [4]);
const given = { name: "tiny", images, labels, classes: ["a", "b", "c"], source: "a test" };

describe("parseIdx", () => {
  test("reads MNIST's own header: magic 0x0801, 10,000 labels", () => {
    const file = new Uint8Array(10_008);
    file.set(realHeader);
    file[8] = 7;
    const { shape, data } = parseIdx(file, "labels", 1);
    expect(shape).toEqual([10_000]);
    expect(data.length).toBe(10_000);
    expect(data[0]).toBe(7);
  });

  test("gives back any array that encodeIdx wrote, also from the middle of a buffer", () => {
    const arrays = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }).chain((shape) => {
      const size = shape.reduce((product, n) => product * n, 1);
      return fc.tuple(fc.constant(shape), fc.uint8Array({ minLength: size, maxLength: size }));
    });
    fc.assert(
      fc.property(arrays, ([shape, data]) => {
        const file = encodeIdx(data, shape);
        const shifted = new Uint8Array(file.length + 5);
        shifted.set(file, 3);
        const read = parseIdx(shifted.subarray(3, 3 + file.length), "round trip");
        expect(read.shape).toEqual(shape);
        expect(Array.from(read.data)).toEqual(Array.from(data));
      }),
    );
  });

  test("refuses every prefix of a file with a DataError that names the file", () => {
    for (let length = 0; length < images.length; length++) {
      expect(refusal(() => parseIdx(images.subarray(0, length), "cut.idx"))).toMatch(/^cut\.idx: /);
    }
  });

  test("refuses random bytes with a DataError and nothing else, unless they are a whole IDX file", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          const { shape, data } = parseIdx(bytes, "noise");
          expect(Array.from(encodeIdx(data, shape))).toEqual(Array.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });

  test("says at which byte a truncated file ends and how many bytes it should have", () => {
    expect(refusal(() => parseIdx(images.subarray(0, 30), "images"))).toBe(
      "images: the header says 4 × 2 × 3 = 24 bytes of data from byte 16 on, but the file ends at byte 30, after 14. It " +
        "is cut off or its header is wrong.",
    );
    expect(refusal(() => parseIdx(images.subarray(0, 3), "images"))).toBe(
      "images: expected an IDX header of at least 8 bytes, got a file of 3 bytes. The file is cut off.",
    );
    expect(refusal(() => parseIdx(images.subarray(0, 12), "images"))).toBe(
      "images: expected a header of 16 bytes, got a file of 12 bytes. The file is cut off.",
    );
  });

  test("refuses a wrong magic, type and rank, each by its byte", () => {
    const text = new TextEncoder().encode("<!DOCTYPE html>");
    expect(refusal(() => parseIdx(text, "page"))).toBe(
      "page: expected an IDX file, which begins with bytes 00 00, got 3c 21 at byte 0.",
    );
    expect(refusal(() => parseIdx(Uint8Array.of(0, 0, 0x0d, 1, 0, 0, 0, 0), "floats"))).toBe(
      "floats: expected element type 08 (unsigned bytes) at byte 2, got 0d (32-bit floats).",
    );
    expect(refusal(() => parseIdx(labels, "labels", 3))).toBe("labels: expected 3 dimensions at byte 3, got 1.");
    expect(refusal(() => parseIdx(Uint8Array.of(0, 0, 8, 0, 0, 0), "scalar"))).toBe(
      "scalar: expected 1 to 4 dimensions at byte 3, got 0.",
    );
  });

  test("refuses an oversized header of 2^32 − 1 images without reserving memory for it", () => {
    const bomb = images.slice();
    bomb.set([0xff, 0xff, 0xff, 0xff], 4);
    expect(refusal(() => parseIdx(bomb, "bomb"))).toMatch(/the header says 4294967295 × 2 × 3 = 25769803770 bytes of data/);
    expect(refusal(() => parseIdx(Uint8Array.of(0, 0, 8, 4, ...new Array(16).fill(0xff)), "huge"))).toMatch(
      /the file ends at byte 20/,
    );
  });

  test("refuses trailing bytes by their position", () => {
    const long = new Uint8Array(images.length + 2);
    long.set(images);
    expect(refusal(() => parseIdx(long, "images"))).toBe(
      "images: the header says 4 × 2 × 3 = 24 bytes of data, but 2 bytes follow them at byte 40. The header is wrong or " +
        "files were joined.",
    );
  });

  test("encodeIdx refuses data that does not fit its shape", () => {
    expect(refusal(() => encodeIdx(new Uint8Array(5), [2, 3]))).toBe("encodeIdx: expected 6 bytes for shape [2, 3], got 5.");
  });
});

describe("imagesFromIdx", () => {
  test("pairs images with labels, gzipped or not", async () => {
    for (const pack of [(bytes: Uint8Array) => bytes, (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes))]) {
      const set = await imagesFromIdx({ ...given, images: pack(images), labels: pack(labels) });
      expect(set.shape).toEqual([1, 2, 3]);
      expect(set.count).toBe(4);
      expect(Array.from(set.labels)).toEqual([0, 1, 2, 1]);
      expect(Array.from(set.images.subarray(6, 9))).toEqual([6, 7, 8]);
      expect(set.sample).toBe(false);
    }
  });

  test("refuses counts that differ", async () => {
    const three = encodeIdx(Uint8Array.of(0, 1, 2), [3]);
    await expect(imagesFromIdx({ ...given, labels: three })).rejects.toThrow(
      "tiny images has 4 images and tiny labels has 3 labels; expected as many of each. Do the files belong together?",
    );
  });

  test("refuses a label that names no class, by its byte", async () => {
    const wrong = encodeIdx(Uint8Array.of(0, 1, 3, 1), [4]);
    await expect(imagesFromIdx({ ...given, labels: wrong })).rejects.toThrow(
      "tiny labels: expected labels from 0 to 2, got 3 at byte 10 (example 2).",
    );
  });

  test("refuses files in the wrong places and sets without images", async () => {
    await expect(imagesFromIdx({ ...given, images: labels })).rejects.toThrow(
      "tiny images: expected 3 dimensions at byte 3, got 1.",
    );
    const none = { images: encodeIdx(new Uint8Array(0), [0, 2, 3]), labels: encodeIdx(new Uint8Array(0), [0]) };
    await expect(imagesFromIdx({ ...given, ...none })).rejects.toThrow(
      "expected at least one image of at least one pixel, got 0 × 2 × 3.",
    );
  });
});

describe("gunzip", () => {
  test("refuses gzip data that is cut off or damaged, naming the file", async () => {
    const packed = new Uint8Array(gzipSync(images));
    await expect(gunzip(packed.subarray(0, packed.length - 6), "a.gz")).rejects.toThrow(
      /^a\.gz: the gzip data is damaged or cut off/,
    );
    const damaged = packed.slice();
    damaged[packed.length - 6]! ^= 0xff;
    await expect(gunzip(damaged, "b.gz")).rejects.toThrow(DataError);
  });

  test("stops at the limit instead of unpacking a bomb", async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(5_000_000)));
    await expect(gunzip(bomb, "bomb.gz", 1000)).rejects.toThrow(
      "bomb.gz: expected at most 1000 bytes after unpacking, got more.",
    );
  });

  test("returns data that is not gzip as it is", async () => {
    expect(await gunzip(images, "plain")).toBe(images);
  });
});
