import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { encode } from "fast-png";
import { describe, expect, test, vi } from "vitest";
import { decodeNetpbm } from "../../src/data/netpbm.js";
import { loadImageFolder } from "../../src/data/node.js";
import { temporaryFolder, write } from "./files.js";

const root = temporaryFolder();
let folders = 0;
function empty(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

const ascii = (text: string) => new TextEncoder().encode(text);
const pgm = (...values: number[]) => Uint8Array.from([...ascii("P5 2 2 255\n"), ...values]);
const gray = encode({ width: 2, height: 2, data: Uint8Array.of(1, 2, 3, 4), channels: 1 });
const rgb = encode({ width: 2, height: 2, data: Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9), channels: 3 });

/** The CRC-32 of PNG chunks, bit by bit. */
function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}

function chunk(type: string, ...contents: number[]): Buffer {
  const typed = Buffer.from([...ascii(type), ...contents]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(contents.length, 0);
  ends.writeUInt32BE(crc(typed), 4);
  return Buffer.concat([ends.subarray(0, 4), typed, ends.subarray(4)]);
}

/** A PNG file put together by hand from its packed rows; `kind` is 0 for gray and 3 for a palette. */
function handmade(width: number, depth: number, kind: 0 | 3, rows: number[][], ...extra: Buffer[]): Buffer {
  const size = [0, 0, 0, width, 0, 0, 0, rows.length];
  return Buffer.concat([
    Buffer.from([0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a]),
    chunk("IHDR", ...size, depth, kind, 0, 0, 0),
    ...extra,
    chunk("IDAT", ...deflateSync(Buffer.from(rows.flatMap((row) => [0, ...row])))),
    chunk("IEND"),
  ]);
}

describe("loadImageFolder", () => {
  test("reads PNG and PGM files by class, sorted by character codes, and passes over the rest", async () => {
    const dir = write(empty(), {
      "zebra/b.pgm": pgm(5, 6, 7, 8),
      "zebra/a.PNG": gray,
      "Ant/x.pgm": pgm(9, 9, 9, 9),
      "zebra/notes.txt": "no image",
      ".hidden/x.txt": "",
      "readme.md": "",
    });
    const set = await loadImageFolder({ dir });
    expect(set.classes).toEqual(["Ant", "zebra"]);
    expect(Array.from(set.labels)).toEqual([0, 1, 1]);
    expect(set.shape).toEqual([1, 2, 2]);
    expect(Array.from(set.images)).toEqual([9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(set.source).toBe(`3 images in ${dir}`);
  });

  test("parts colour into planes, and turns colour gray and gray coloured where channels says so", async () => {
    const colour = write(empty(), { "a/x.png": rgb });
    expect(Array.from((await loadImageFolder({ dir: colour })).images)).toEqual([255, 0, 0, 9, 0, 255, 0, 9, 0, 0, 255, 9]);
    expect(Array.from((await loadImageFolder({ dir: colour, channels: 1 })).images)).toEqual([76, 150, 29, 9]);
    const set = await loadImageFolder({ dir: write(empty(), { "a/x.png": gray }), channels: 3 });
    expect(Array.from(set.images)).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
  });

  test("reads PNG of 16 bits, with transparency, with a palette, and of 1 and 2 bits in rows of whole bytes", async () => {
    const deep = encode({ width: 1, height: 1, data: Uint16Array.of(0x1234), channels: 1, depth: 16 });
    const alpha = encode({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3, 0), channels: 4 });
    const grayAlpha = encode({ width: 1, height: 1, data: Uint8Array.of(77, 10), channels: 2 });
    const read = async (bytes: Uint8Array) => (await loadImageFolder({ dir: write(empty(), { "a/x.png": bytes }) })).images;
    expect(Array.from(await read(deep))).toEqual([0x12]);
    expect(Array.from(await read(alpha))).toEqual([1, 2, 3]);
    expect(Array.from(await read(grayAlpha))).toEqual([77]);
    expect(Array.from(await read(handmade(2, 1, 0, [[0b01000000], [0b10000000]])))).toEqual([0, 255, 255, 0]);
    const five = [0, 85, 170, 255, 85];
    expect(Array.from(await read(handmade(5, 2, 0, [[0b00011011, 0b01000000]])))).toEqual(five);
    const palette = chunk("PLTE", 10, 20, 30, 40, 50, 60);
    expect(Array.from(await read(handmade(3, 8, 3, [[1, 0, 1]], palette)))).toEqual([40, 10, 40, 50, 20, 50, 60, 30, 60]);
    expect(Array.from(await read(handmade(3, 1, 3, [[0b10100000]], palette, chunk("tRNS", 0))))).toEqual([
      40, 10, 40, 50, 20, 50, 60, 30, 60,
    ]);
    const wrong = handmade(3, 8, 3, [[1, 2, 1]], palette);
    await expect(read(wrong)).rejects.toThrow(/x\.png: cannot be read as a PNG image/);
  });

  test("refuses images of another size and mixed channels, naming both files", async () => {
    const wide = encode({ width: 3, height: 2, data: new Uint8Array(6), channels: 1 });
    const sizes = write(empty(), { "a/1.png": gray, "b/2.png": wide });
    await expect(loadImageFolder({ dir: sizes })).rejects.toThrow(
      `${join(sizes, "b", "2.png")}: expected 2 × 2 pixels with 1 channel as in ${join(sizes, "a", "1.png")}, got 3 × 2 ` +
        `pixels with 1 channel. Bring all images to one size.`,
    );
    const mixed = write(empty(), { "a/1.png": gray, "a/2.png": rgb });
    await expect(loadImageFolder({ dir: mixed })).rejects.toThrow(
      "got 2 × 2 pixels with 3 channels. Give channels: 1 or 3 to convert them.",
    );
    expect((await loadImageFolder({ dir: mixed, channels: 1 })).count).toBe(2);
  });

  test("refuses damaged files by name", async () => {
    const damaged = gray.slice();
    damaged[20]! ^= 0xff;
    for (const bytes of [damaged, gray.subarray(0, 40), new Uint8Array(0)]) {
      const dir = write(empty(), { "a/x.png": bytes });
      await expect(loadImageFolder({ dir })).rejects.toThrow(`${join(dir, "a", "x.png")}: cannot be read as a PNG image (`);
    }
  });

  test("says which package to install where fast-png is missing; PGM files need none", async () => {
    vi.doMock("fast-png", () => {
      throw new Error("Cannot find package 'fast-png'");
    });
    try {
      await expect(loadImageFolder({ dir: write(empty(), { "a/x.png": gray }) })).rejects.toThrow(
        "loadImageFolder: reading PNG files needs the package fast-png. Install it: npm install fast-png",
      );
      expect((await loadImageFolder({ dir: write(empty(), { "a/x.pgm": pgm(1, 2, 3, 4) }) })).count).toBe(1);
    } finally {
      vi.doUnmock("fast-png");
    }
  });

  test("refuses a missing folder, one without classes, a class without images and an odd channel count", async () => {
    const dir = empty();
    await expect(loadImageFolder({ dir: join(dir, "none") })).rejects.toThrow(
      `${join(dir, "none")}: cannot be read as a folder (ENOENT).`,
    );
    await expect(loadImageFolder({ dir })).rejects.toThrow(`${dir}: expected one folder of images per class, got no folders.`);
    mkdirSync(join(dir, "bare"));
    await expect(loadImageFolder({ dir })).rejects.toThrow(`${join(dir, "bare")}: expected PNG, PGM or PPM images, got none.`);
    await expect(loadImageFolder({ dir, channels: 2 as 1 })).rejects.toThrow(
      "loadImageFolder: expected channels to be 1 or 3, got 2.",
    );
  });
});

describe("decodeNetpbm", () => {
  test("reads plain and raw, gray and colour, with comments, and scales to 255", () => {
    expect(decodeNetpbm(ascii("P2\n# made by hand\n2 1 # size\n15\n0 15\n"), "t")).toEqual({
      width: 2,
      height: 1,
      channels: 1,
      data: Uint8Array.of(0, 255),
    });
    expect(decodeNetpbm(ascii("P3 1 1 255 1 2 3"), "t")).toEqual({
      width: 1,
      height: 1,
      channels: 3,
      data: Uint8Array.of(1, 2, 3),
    });
    expect(decodeNetpbm(Uint8Array.from([...ascii("P6 1 1 255\n"), 10, 32, 35]), "t").data).toEqual(Uint8Array.of(10, 32, 35));
  });

  test("refuses other formats, cut-off files, 16-bit files and values above the greatest, by the byte", () => {
    expect(() => decodeNetpbm(ascii("P4 8 1 x"), "t.pgm")).toThrow(
      "t.pgm: expected a PGM or PPM image (P2, P3, P5 or P6) at byte 0.",
    );
    expect(() => decodeNetpbm(pgm(1, 2, 3), "t.pgm")).toThrow(
      "t.pgm: expected 4 values for 2 × 2 pixels after byte 10, but the file ends at byte 14. It is cut off.",
    );
    expect(() => decodeNetpbm(ascii("P5 2 2 65535\n"), "t.pgm")).toThrow(
      "t.pgm: expected a greatest value of 1 to 255 at byte 7, got 65535.",
    );
    expect(() => decodeNetpbm(ascii("P5 60000 60000 255\n"), "t.pgm")).toThrow("expected 3600000000 values");
    expect(() => decodeNetpbm(Uint8Array.from([...ascii("P5 1 1 9\n"), 10]), "t.pgm")).toThrow(
      "t.pgm: expected a value up to 9 at byte 9, got 10.",
    );
    expect(() => decodeNetpbm(ascii("P2 1 1 9 x"), "t.pgm")).toThrow("t.pgm: expected a value up to 9 at byte 9, got no number.");
    expect(() => decodeNetpbm(ascii("P5 wide"), "t.pgm")).toThrow("t.pgm: expected a width at byte 3, got no number.");
  });
});
