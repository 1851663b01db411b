import { DataError } from "../core/errors.js";
import type { PixelImage } from "./netpbm.js";

/**
 * Decodes a PNG image to 8 bits per value, without its transparency, through the package fast-png.
 * @throws DataError naming the file if it is damaged, or saying that fast-png has to be installed
 */
export async function decodePng(bytes: Uint8Array, file: string): Promise<PixelImage> {
  const { decode, convertIndexedToRgb } = await importFastPng();
  let png: ReturnType<typeof decode>;
  let indexed: Uint8Array | null;
  try {
    png = decode(bytes, { checkCrc: true });
    indexed = png.palette === undefined ? null : convertIndexedToRgb(png);
  } catch (cause) {
    throw new DataError(`${file}: cannot be read as a PNG image (${(cause as Error).message}).`, { cause });
  }
  const { width, height } = png;
  if (indexed !== null) return { width, height, channels: 3, data: dropAlpha(indexed, indexed.length / (width * height), 3) };
  const data = png.depth < 8 ? spread(png.data, width, height, png.depth) : toBytes(png.data);
  const channels = png.channels < 3 ? 1 : 3;
  return { width, height, channels, data: dropAlpha(data, png.channels, channels) };
}

async function importFastPng(): Promise<typeof import("fast-png")> {
  try {
    return await import("fast-png");
  } catch (cause) {
    throw new DataError("loadImageFolder: reading PNG files needs the package fast-png. Install it: npm install fast-png", {
      cause,
    });
  }
}

/** The high bytes of 16-bit values. */
function toBytes(data: ArrayLike<number>): Uint8Array {
  if (data instanceof Uint16Array) return Uint8Array.from(data, (value) => value >> 8);
  return Uint8Array.from(data);
}

/** Gray values of 1, 2 or 4 bits, packed into rows of whole bytes, as 0 … 255. */
function spread(packed: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  const maximum = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = packed[y * rowBytes + (bit >> 3)]!;
      const value = (byte >> (8 - depth - (bit & 7))) & maximum;
      out[y * width + x] = (value * 255) / maximum;
    }
  }
  return out;
}

function dropAlpha(data: Uint8Array, from: number, to: number): Uint8Array {
  if (from === to) return data;
  const pixels = data.length / from;
  const out = new Uint8Array(pixels * to);
  for (let p = 0; p < pixels; p++) for (let c = 0; c < to; c++) out[p * to + c] = data[p * from + c]!;
  return out;
}
