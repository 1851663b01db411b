import { DataError } from "../core/errors.js";
import { concatBytes } from "./gzip.js";

export interface DownloadLimits {
  /** Bytes after which the download is given up. */
  maxBytes: number;
  /** Milliseconds without a byte after which it is given up (default 20,000). */
  stallTimeout?: number;
}

/**
 * Downloads one file into memory.
 * @throws DataError naming the address and what went wrong: status, no connection, silence for too long, too many bytes
 */
export async function download(url: string, { maxBytes, stallTimeout = 20_000 }: DownloadLimits): Promise<Uint8Array> {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), stallTimeout);
  const renew = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), stallTimeout);
  };
  try {
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok || response.body === null)
      throw new DataError(`${url}: the server answered ${response.status} ${response.statusText}.`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      renew();
      size += chunk.length;
      if (size > maxBytes) throw new DataError(`${url}: expected at most ${maxBytes} bytes, got more.`);
      chunks.push(chunk);
    }
    return concatBytes(chunks, size);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    if (abort.signal.aborted) throw new DataError(`${url}: no data for ${stallTimeout / 1000} s.`, { cause });
    throw new DataError(`${url}: ${reason(cause)}.`, { cause });
  } finally {
    clearTimeout(timer);
    // Frees the connection where the body was not read to its end.
    abort.abort();
  }
}

/** `fetch` reports every network failure as "fetch failed"; what happened is in the cause. */
function reason(error: unknown): string {
  const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? cause?.message ?? (error as Error).message;
}
