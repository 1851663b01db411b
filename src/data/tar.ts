import { DataError } from "../core/errors.js";

const BLOCK = 512;

/**
 * The regular files of an unpacked tar archive (ustar, and the older format before it), by their paths. The contents are
 * views into the archive. Extended headers, links and folders are passed over.
 *
 * @param file the archive's name for error messages
 * @throws DataError naming the byte offset of a header that is damaged or of a member that is cut off
 */
export function readTar(bytes: Uint8Array, file: string): Map<string, Uint8Array> {
  const members = new Map<string, Uint8Array>();
  let offset = 0;
  while (offset + BLOCK <= bytes.length) {
    const header = bytes.subarray(offset, offset + BLOCK);
    if (header.every((byte) => byte === 0)) return members;
    checkHeader(header, file, offset);
    const size = octal(header, 124, 12, file, offset);
    const start = offset + BLOCK;
    const name = memberName(header);
    if (start + size > bytes.length) {
      throw new DataError(
        `${file}: ${name} at byte ${start} should have ${size} bytes, but the archive ends at byte ${bytes.length}. It ` +
          `is cut off.`,
      );
    }
    const type = header[156];
    if (type === 0 || type === 0x30) members.set(name, bytes.subarray(start, start + size));
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new DataError(
    `${file}: expected the end-of-archive block of a tar archive, but the file ends at byte ${bytes.length}. It is cut off.`,
  );
}

/** The checksum is the sum of the header's bytes with its own field read as spaces. */
function checkHeader(header: Uint8Array, file: string, offset: number): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i]!;
  const stored = octal(header, 148, 8, file, offset);
  if (stored !== sum) {
    throw new DataError(
      `${file}: expected a tar header with checksum ${sum} at byte ${offset}, got ${stored}. The file is damaged or no ` +
        `tar archive.`,
    );
  }
}

function octal(header: Uint8Array, at: number, length: number, file: string, offset: number): number {
  const digits = text(header, at, length).trim();
  if (!/^[0-7]+$/.test(digits)) {
    throw new DataError(
      `${file}: expected an octal number at byte ${offset + at} of a tar header, got ${JSON.stringify(digits)}.`,
    );
  }
  return Number.parseInt(digits, 8);
}

function memberName(header: Uint8Array): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function text(header: Uint8Array, at: number, length: number): string {
  let out = "";
  for (let i = at; i < at + length && header[i] !== 0; i++) out += String.fromCharCode(header[i]!);
  return out;
}
