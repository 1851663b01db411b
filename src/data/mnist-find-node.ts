import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { DataError } from "../core/errors.js";
import { download } from "./download-node.js";
import { type FoundFile, findFile, sha256, unpack, writeWhole } from "./files-node.js";
import type { CatalogEntry, CatalogFile } from "./mnist-catalog.js";

/** The two files of a split. */
export interface Pair {
  readonly images: FoundFile;
  readonly labels: FoundFile;
  /** Where the pair was found, in words. */
  readonly place: string;
}

/** What is looked for, and what was learnt on the way. */
export interface Search {
  readonly entry: CatalogEntry;
  readonly split: "train" | "test";
  readonly cache: string;
  readonly notice: (message: string) => void;
  /** What was tried without success, for the error message. */
  readonly tried: string[];
}

/** The pair of files in a folder, or null if it lacks one of them. Kaggle's copies have a dot before `idx`. */
export async function readPair({ entry, split }: Search, folder: string, place: string): Promise<Pair | null> {
  const names = ({ file }: CatalogFile) => [file, file.replace("-idx", ".idx")];
  const images = await findFile(folder, names(entry[split].images));
  if (images === null) return null;
  const labels = await findFile(folder, names(entry[split].labels));
  return labels === null ? null : { images, labels, place };
}

/** A pair with the original hashes from the cache, an npm package or a system folder, or null. */
export async function findLocal(search: Search): Promise<Pair | null> {
  const { entry, split, cache, tried, notice } = search;
  const places: { folder: string | null; place: string }[] = [{ folder: cache, place: `the cache ${cache}` }];
  if (entry.npmPackage !== null) {
    const { name, folder } = entry.npmPackage;
    const root = packageFolder(name);
    places.push({ folder: root === null ? null : join(root, folder), place: `the npm package ${name}` });
  }
  for (const folder of entry.systemFolders) places.push({ folder, place: folder });
  for (const { folder, place } of places) {
    try {
      const pair = folder === null ? null : await readPair(search, folder, place);
      if (pair !== null) {
        checkHash(pair.images, entry[split].images);
        checkHash(pair.labels, entry[split].labels);
        return pair;
      }
      tried.push(`${place} (${folder === null ? "not installed" : "not there"})`);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      notice(`${error.message} It is passed over.`);
      tried.push(`${place} (damaged)`);
    }
  }
  return null;
}

function checkHash({ path, bytes }: FoundFile, { sha256: expected }: CatalogFile): void {
  const found = sha256(bytes);
  if (found !== expected) throw new DataError(`${path}: expected SHA-256 ${expected} of the unpacked file, got ${found}.`);
}

/** The folder of an installed package, as seen from the working folder or from this one; its code is not run. */
function packageFolder(name: string): string | null {
  for (const from of [pathToFileURL(join(process.cwd(), "package.json")), import.meta.url]) {
    try {
      return dirname(createRequire(from).resolve(`${name}/package.json`));
    } catch {
      // Not installed there; the next place may have it.
    }
  }
  return null;
}

/** A pair from the mirrors, or null. */
export async function fetchPair(search: Search): Promise<Pair | null> {
  const { entry, split } = search;
  const images = await fetchFile(search, entry[split].images);
  if (images === null) return null;
  const labels = await fetchFile(search, entry[split].labels);
  return labels === null ? null : { images, labels, place: new URL(images.path).host };
}

/** Bytes by which gzip may exceed what it packs: headers, and 5 bytes for each stored block of up to 64 KiB. */
const GZIP_OVERHEAD = 8192;

/** Downloads a file from the first mirror that has it, checks it and keeps it in the cache. */
async function fetchFile({ entry, cache, notice, tried }: Search, wanted: CatalogFile): Promise<FoundFile | null> {
  for (const mirror of entry.mirrors) {
    const path = `${mirror}${wanted.file}.gz`;
    notice(`Downloading ${path}`);
    try {
      const packed = await download(path, { maxBytes: wanted.bytes + GZIP_OVERHEAD });
      const found = { path, bytes: await unpack(packed, path, wanted.bytes) };
      checkHash(found, wanted);
      await keep(join(cache, wanted.file), found.bytes, notice);
      return found;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      tried.push(error.message.replace(/\.$/, ""));
    }
  }
  return null;
}

/** A cache that cannot be written costs a download next time, not this run. */
async function keep(path: string, bytes: Uint8Array, notice: (message: string) => void): Promise<void> {
  try {
    await writeWhole(path, bytes);
  } catch (error) {
    notice(`${path} could not be written (${(error as Error).message}); the download is not kept.`);
  }
}
