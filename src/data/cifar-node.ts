import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { DataError, OptionError } from "../core/errors.js";
import { type CifarFile, cifar10Files, imagesFromCifar10 } from "./cifar.js";
import type { ImageSet } from "./dataset.js";
import { cacheFolder, readFileIfThere } from "./files-node.js";
import type { LoadOptions } from "./mnist-node.js";
import { readTar } from "./tar.js";

const ARCHIVE = "cifar-10-binary.tar.gz";
const FOLDER = "cifar-10-batches-bin";
const ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";

/**
 * CIFAR-10: 50,000 training or 10,000 test images of shape [3, 32, 32], from the files of its binary version.
 *
 * @param options.dataDir the archive cifar-10-binary.tar.gz, or a folder with the archive or with the extracted `.bin`
 *   files (default: the folder cifar-10 in the cache). Nothing is downloaded: the archive has 170 MB.
 * @throws DataError if nothing is there, or naming the damaged file and the byte offset
 * @see Krizhevsky 2009
 */
export async function loadCifar10(options: Pick<LoadOptions, "split" | "dataDir" | "cacheDir">): Promise<ImageSet> {
  const { split } = options;
  if (split !== "train" && split !== "test") {
    throw new OptionError(`CIFAR-10: expected split to be "train" or "test", got ${JSON.stringify(split)}.`);
  }
  const place = options.dataDir === undefined ? join(options.cacheDir ?? cacheFolder(), "cifar-10") : resolve(options.dataDir);
  const info = await stat(place).catch(() => null);
  if (info?.isFile()) return fromFiles(split, await fromArchive(place, split), place);
  for (const folder of [place, join(place, FOLDER)]) {
    const batches = await fromFolder(folder, split);
    if (batches.length > 0) return fromFiles(split, batches, folder);
  }
  const archive = join(place, ARCHIVE);
  if (await stat(archive).catch(() => null)) return fromFiles(split, await fromArchive(archive, split), archive);
  throw new DataError(
    `CIFAR-10: expected ${ARCHIVE} or ${cifar10Files[split].join(", ")} in ${place}; they are not there. Get the ` +
      `archive from ${ORIGIN}`,
  );
}

function fromFiles(split: "train" | "test", batches: CifarFile[], place: string): ImageSet {
  const set = imagesFromCifar10(batches, "");
  const count = set.count.toLocaleString("en-US");
  return { ...set, source: `CIFAR-10, ${count} ${split === "train" ? "training" : "test"} images from ${place}` };
}

/** The batch files of a folder: all of the split, or none. */
async function fromFolder(folder: string, split: "train" | "test"): Promise<CifarFile[]> {
  const batches: CifarFile[] = [];
  const missing: string[] = [];
  for (const name of cifar10Files[split]) {
    const found = await readFileIfThere(join(folder, name));
    if (found === null) missing.push(name);
    else batches.push({ file: found.path, bytes: found.bytes });
  }
  if (batches.length > 0 && missing.length > 0) {
    throw new DataError(
      `${folder}: expected all ${cifar10Files[split].length} batch files of CIFAR-10, but ${missing.join(", ")} is missing.`,
    );
  }
  return batches;
}

async function fromArchive(path: string, split: "train" | "test"): Promise<CifarFile[]> {
  const found = await readFileIfThere(path);
  const members = new Map<string, Uint8Array>();
  if (found !== null) for (const [name, bytes] of readTar(found.bytes, path)) members.set(basename(name), bytes);
  return cifar10Files[split].map((name) => {
    const bytes = members.get(name);
    if (bytes === undefined)
      throw new DataError(
        `${path}: expected the member ${name}, which the archive does not have. Is it CIFAR-10's binary version?`,
      );
    return { file: `${path}:${name}`, bytes };
  });
}
