import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { DataError, OptionError } from "../core/errors.js";
import type { ImageSet } from "./dataset.js";
import { decodeNetpbm, type PixelImage } from "./netpbm.js";
import { decodePng } from "./png-node.js";

export interface ImageFolderOptions {
  /** A folder with one folder of images per class. */
  dir: string;
  /** false for a folder of images without classes: labels are then 0 and no class has a name (default true). */
  classes?: boolean;
  /** 1 turns all images gray, 3 makes all of them red, green and blue (default: as the first image is, and all must be so). */
  channels?: 1 | 3;
  /** Name of the set (default: the folder's). */
  name?: string;
}

const decoders: Record<string, (bytes: Uint8Array, file: string) => PixelImage | Promise<PixelImage>> = {
  ".png": decodePng,
  ".pgm": decodeNetpbm,
  ".ppm": decodeNetpbm,
};

/**
 * Images in folders by class: PNG, PGM and PPM files, all of one size. Classes are the folders' names, sorted by character
 * codes; other files and names that begin with a dot are passed over. Transparency is dropped.
 * Shapes: images [count, channels, height, width].
 *
 * @throws DataError naming the folder without classes, the class without images, or the file that is damaged or has
 *   another size
 */
export async function loadImageFolder(options: ImageFolderOptions): Promise<ImageSet> {
  const { channels } = options;
  const dir = resolve(options.dir);
  const name = options.name ?? basename(dir);
  if (channels !== undefined && channels !== 1 && channels !== 3) {
    throw new OptionError(`loadImageFolder: expected channels to be 1 or 3, got ${String(channels)}.`);
  }
  if (options.classes === false) return loadUnlabelled(dir, name, channels);
  const classes = (await list(dir))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort(byCode);
  if (classes.length === 0) throw new DataError(`${dir}: expected one folder of images per class, got no folders.`);
  const files: { path: string; label: number }[] = [];
  for (const [label, className] of classes.entries()) {
    const found = (await list(join(dir, className))).filter((entry) => !entry.isDirectory() && extension(entry.name) in decoders);
    if (found.length === 0) throw new DataError(`${join(dir, className)}: expected PNG, PGM or PPM images, got none.`);
    for (const file of found.map((entry) => entry.name).sort(byCode)) files.push({ path: join(dir, className, file), label });
  }
  const { images, shape } = await decodeAll(
    files.map((file) => file.path),
    channels,
  );
  const labels = Int32Array.from(files, (file) => file.label);
  return { name, images, labels, count: files.length, shape, classes, source: `${files.length} images in ${dir}`, sample: false };
}

async function loadUnlabelled(dir: string, name: string, channels: 1 | 3 | undefined): Promise<ImageSet> {
  const files = (await list(dir)).filter((entry) => !entry.isDirectory() && extension(entry.name) in decoders);
  if (files.length === 0) throw new DataError(`${dir}: expected PNG, PGM or PPM images, got none.`);
  const paths = files.map((file) => join(dir, file.name)).sort(byCode);
  const { images, shape } = await decodeAll(paths, channels);
  const labels = new Int32Array(paths.length);
  return {
    name,
    images,
    labels,
    count: paths.length,
    shape,
    classes: [],
    source: `${paths.length} images in ${dir}`,
    sample: false,
  };
}

async function list(dir: string) {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.filter((entry) => !entry.name.startsWith("."));
  } catch (cause) {
    throw new DataError(`${dir}: cannot be read as a folder (${(cause as NodeJS.ErrnoException).code}).`, { cause });
  }
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function extension(file: string): string {
  return /\.[^.]+$/.exec(file.toLowerCase())?.[0] ?? "";
}

async function decodeAll(paths: readonly string[], wanted: 1 | 3 | undefined): Promise<{ images: Uint8Array; shape: number[] }> {
  let images = new Uint8Array(0);
  let shape: number[] = [];
  for (const [i, path] of paths.entries()) {
    const image = await decodeFile(path);
    const own = [wanted ?? image.channels, image.height, image.width];
    const size = own[0]! * own[1]! * own[2]!;
    if (i === 0) {
      shape = own;
      images = new Uint8Array(size * paths.length);
    } else if (own.some((n, k) => n !== shape[k])) {
      const hint = own[0] === shape[0] ? "Bring all images to one size." : "Give channels: 1 or 3 to convert them.";
      throw new DataError(`${path}: expected ${describe(shape)} as in ${paths[0]}, got ${describe(own)}. ${hint}`);
    }
    writePlanes(image, own[0]!, images.subarray(i * size, (i + 1) * size));
  }
  return { images, shape };
}

async function decodeFile(path: string): Promise<PixelImage> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new DataError(`${path}: cannot be read (${cause.code}).`, { cause });
  });
  return decoders[extension(path)]!(bytes, path);
}

function describe([channels, height, width]: readonly number[]): string {
  return `${width} × ${height} pixels with ${channels} channel${channels === 1 ? "" : "s"}`;
}

/** Parts pixels into planes, and converts between gray and colour; gray is the luma of ITU-R BT.601. */
function writePlanes({ channels, data }: PixelImage, wanted: number, out: Uint8Array): void {
  const pixels = data.length / channels;
  for (let p = 0; p < pixels; p++) {
    if (wanted === 1 && channels === 3) {
      out[p] = Math.round(0.299 * data[3 * p]! + 0.587 * data[3 * p + 1]! + 0.114 * data[3 * p + 2]!);
    } else {
      for (let c = 0; c < wanted; c++) out[c * pixels + p] = data[channels * p + (channels === 1 ? 0 : c)]!;
    }
  }
}
