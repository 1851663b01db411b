import { DataError } from "../core/errors.js";

/** True if the bytes begin as a gzip file does (RFC 1952). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks gzip data with the platform's DecompressionStream; data that is not gzip is returned as it is, since servers
 * often unpack `.gz` files on the way.
 * @param file name for error messages
 * @param limit refuses to unpack more bytes than this (default 1 GiB)
 */
export async function gunzip(bytes: Uint8Array, file: string, limit = 2 ** 30): Promise<Uint8Array> {
  if (!isGzip(bytes)) return bytes;
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = packed.pipeThrough(new DecompressionStream("gzip")).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new DataError(`${file}: the gzip data is damaged or cut off after ${size} unpacked bytes. Get the file again.`, {
        cause,
      });
    });
    if (done) break;
    size += value.length;
    if (size > limit) {
      void reader.cancel().catch(() => undefined);
      throw new DataError(`${file}: expected at most ${limit} bytes after unpacking, got more.`);
    }
    chunks.push(value);
  }
  return concatBytes(chunks, size);
}

/** Joins pieces whose lengths add up to `size`. */
export function concatBytes(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
