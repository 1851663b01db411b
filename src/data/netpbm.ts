import { DataError } from "../core/errors.js";

/** A decoded image: rows of pixels with their channels side by side (1 gray, 3 red, green and blue). */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

const kinds: Record<string, { channels: 1 | 3; plain: boolean }> = {
  P2: { channels: 1, plain: true },
  P3: { channels: 3, plain: true },
  P5: { channels: 1, plain: false },
  P6: { channels: 3, plain: false },
};

/**
 * Decodes a PGM or PPM image (P2, P3, P5, P6) of up to 8 bits per value; values are scaled to 0 … 255.
 * @throws DataError naming the file and the byte offset
 */
export function decodeNetpbm(bytes: Uint8Array, file: string): PixelImage {
  const kind = kinds[String.fromCharCode(bytes[0] ?? 0, bytes[1] ?? 0)];
  if (kind === undefined) throw new DataError(`${file}: expected a PGM or PPM image (P2, P3, P5 or P6) at byte 0.`);
  const reader = { bytes, at: 2, file };
  const width = nextNumber(reader, "a width", 1, 65535);
  const height = nextNumber(reader, "a height", 1, 65535);
  const maximum = nextNumber(reader, "a greatest value of 1 to 255", 1, 255);
  const size = width * height * kind.channels;
  // Exactly one white-space byte parts the header from raw pixels; plain ones are numbers like the rest.
  const found = kind.plain ? Math.floor((bytes.length - reader.at) / 2) : bytes.length - reader.at - 1;
  if (found < size) {
    throw new DataError(
      `${file}: expected ${size} values for ${width} × ${height} pixels after byte ${reader.at}, but the file ends at ` +
        `byte ${bytes.length}. It is cut off.`,
    );
  }
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    const value = kind.plain ? nextNumber(reader, `a value up to ${maximum}`, 0, maximum) : bytes[reader.at + 1 + i]!;
    if (value > maximum)
      throw new DataError(`${file}: expected a value up to ${maximum} at byte ${reader.at + 1 + i}, got ${value}.`);
    data[i] = maximum === 255 ? value : Math.round((value * 255) / maximum);
  }
  return { width, height, channels: kind.channels, data };
}

/** Reads a decimal number after white space and comments, and leaves `at` behind its last digit. */
function nextNumber(reader: { bytes: Uint8Array; at: number; file: string }, what: string, low: number, high: number): number {
  const { bytes } = reader;
  let at = reader.at;
  const isSpace = (byte: number | undefined) => byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
  while (isSpace(bytes[at]) || bytes[at] === 0x23) {
    if (bytes[at] === 0x23) while (at < bytes.length && bytes[at] !== 0x0a) at++;
    else at++;
  }
  const start = at;
  let value = 0;
  while (bytes[at] !== undefined && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) value = value * 10 + bytes[at++]! - 0x30;
  if (at === start || value < low || value > high) {
    throw new DataError(`${reader.file}: expected ${what} at byte ${start}, got ${at === start ? "no number" : value}.`);
  }
  reader.at = at;
  return value;
}
