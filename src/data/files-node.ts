import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { DataError } from "../core/errors.js";
import { isGzip } from "./gzip.js";

const gunzipNode = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip);

/** A file that was found and read, unpacked if it was gzipped. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * The folder for downloaded data: EVENKEEL_CACHE if it is set, else the platform's cache folder: $XDG_CACHE_HOME/evenkeel or
 * ~/.cache/evenkeel, ~/Library/Caches/evenkeel on macOS, %LOCALAPPDATA%\evenkeel\Cache on Windows.
 */
export function cacheFolder(
  env: Readonly<Record<string, string | undefined>> = process.env,
  platform: string = process.platform,
): string {
  if (env.EVENKEEL_CACHE) return env.EVENKEEL_CACHE;
  if (platform === "win32") return join(env.LOCALAPPDATA || join(homedir(), "AppData", "Local"), "evenkeel", "Cache");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "evenkeel");
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "evenkeel");
}

/** The nearest `assets/<name>` above this file: the package's own, from `src/` and from a flat `dist/` alike. */
export function assetFolder(name: string, from: string = import.meta.url): string | null {
  let folder = dirname(fileURLToPath(from));
  for (let level = 0; level < 4; level++) {
    const candidate = join(folder, "assets", name);
    if (existsSync(candidate)) return candidate;
    folder = dirname(folder);
  }
  return null;
}

/** Reads a file, unpacked if it was gzipped, or gives null if there is none. */
export async function readFileIfThere(path: string): Promise<FoundFile | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new DataError(`${path}: cannot be read (${code ?? String(cause)}).`, { cause });
  }
  return { path, bytes: await unpack(bytes, path) };
}

/** Unpacks gzip data; other data is returned as it is. */
export async function unpack(bytes: Uint8Array, file: string, limit = 2 ** 30): Promise<Uint8Array> {
  try {
    return plainBytes(isGzip(bytes) ? await gunzipNode(bytes, { maxOutputLength: limit }) : bytes);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new DataError(`${file}: expected at most ${limit} bytes after unpacking, got more.`, { cause });
    }
    throw new DataError(`${file}: the gzip data is damaged or cut off (${(cause as Error).message}). Get the file again.`, {
      cause,
    });
  }
}

/** The same memory as a plain Uint8Array: a Buffer's `slice` is a view, where callers expect a copy. */
function plainBytes({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

/** The first of `names` that a folder has, plain or with `.gz`. */
export async function findFile(folder: string, names: readonly string[]): Promise<FoundFile | null> {
  for (const name of names) {
    const found = (await readFileIfThere(join(folder, name))) ?? (await readFileIfThere(join(folder, `${name}.gz`)));
    if (found !== null) return found;
  }
  return null;
}

/** Writes a file whole or not at all: other processes see the old state or the new one. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
