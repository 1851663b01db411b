import { existsSync, readdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { DataError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { warnOnce } from "../core/warnings.js";
import { type DataSet, type ImageSet, isImageSet } from "../data/dataset.js";
import { readFileIfThere } from "../data/files-node.js";
import { imagesFromPlainIdx, parseIdx } from "../data/idx.js";
import { DataLoader, type LoaderOptions } from "../data/loader.js";
import { loadCifar10, loadCsv, loadFashionMnist, loadImageFolder, loadMnist } from "../data/node.js";
import { type Indices, take, trainValidationSplit } from "../data/split.js";
import type { NetworkFile } from "../train/network-file.js";
import { UsageError } from "./errors.js";

/** What --data of a command may be. */
export const DATA_HELP =
  "mnist, fashion or cifar10 (with :train or :test), table.csv (label in the last column, or :column, or :none), a folder of " +
  "images, or images.idx,labels.idx";

export interface ExampleOptions {
  cwd?: string;
  /** Examples in a batch (default 64). */
  batchSize?: number;
  /** Most examples in each part (default: all). */
  limit?: number;
  /** Part of the examples that is held out, where the data have no test set of their own (default 0.2). */
  heldOut?: number;
  /** The network's input; images are laid out as rows if it wants them so. */
  input?: readonly number[] | null;
  /** See `NetworkFile`. */
  normalize?: NetworkFile["normalize"];
}

/** Examples for a command that looks at a network or mends it. */
export interface Examples {
  batches: DataLoader;
  /** Examples that are not in `batches`. */
  heldOut: DataLoader;
  /** Whether targets mean anything. */
  hasLabels: boolean;
  /** Names of classes; empty without. */
  classes: readonly string[];
  source: string;
}

interface Found {
  set: DataSet;
  /** The test set that belongs to it. */
  test?: DataSet;
  hasLabels: boolean;
}

const named = { mnist: loadMnist, fashion: loadFashionMnist, cifar10: loadCifar10 };

function isName(text: string): text is keyof typeof named {
  return Object.hasOwn(named, text);
}

async function loadNamed(name: keyof typeof named, split: string | undefined): Promise<Found> {
  if (split !== undefined && split !== "train" && split !== "test")
    throw new UsageError(`--data: expected ${name}, ${name}:train or ${name}:test, got ${name}:${split}.`);
  const load = named[name];
  const set = await load({ split: split ?? "train", onNotice: warnOnce });
  if (split !== undefined) return { set, hasLabels: true };
  return { set, test: await load({ split: "test", onNotice: warnOnce }), hasLabels: true };
}

async function loadTable(path: string, column: string | undefined): Promise<Found> {
  const label =
    column === undefined ? {} : { label: column === "none" ? null : /^-?\d+$/.test(column) ? Number(column) : column };
  return { set: await loadCsv(path, label), hasLabels: column !== "none" };
}

async function loadFolder(dir: string): Promise<Found> {
  // Folders within it are classes.
  const entries = readdirSync(dir, { withFileTypes: true });
  const classes = entries.some((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  return { set: await loadImageFolder({ dir, classes }), hasLabels: classes };
}

async function readIdx(path: string): Promise<Uint8Array> {
  const found = await readFileIfThere(path);
  if (found === null) throw new DataError(`--data: ${path}: there is no such file.`);
  return found.bytes;
}

/** A pair of IDX files, or images alone; classes are numbers. */
async function loadIdx(imagesPath: string, labelsPath: string | undefined): Promise<Found> {
  const images = await readIdx(imagesPath);
  const about = { name: imagesPath, files: { images: imagesPath, labels: labelsPath ?? "" }, source: imagesPath };
  if (labelsPath !== undefined) {
    const labels = await readIdx(labelsPath);
    const most = parseIdx(labels, labelsPath, 1).data.reduce((a, b) => Math.max(a, b), 0);
    const classes = Array.from({ length: most + 1 }, (_, i) => String(i));
    return { set: imagesFromPlainIdx({ ...about, images, labels, classes }), hasLabels: true };
  }
  const { shape, data } = parseIdx(images, imagesPath, 3);
  const [count = 0, ...size] = shape;
  const set: ImageSet = {
    ...{ name: imagesPath, source: `${count} images of ${imagesPath}`, sample: false, classes: [] },
    ...{ images: data, labels: new Int32Array(count), count, shape: [1, ...size] },
  };
  return { set, hasLabels: false };
}

/** "file.csv:label" as file and rest; a colon may belong to the path. */
function parted(text: string, at: (path: string) => string): [string, string | undefined] {
  const colon = text.lastIndexOf(":");
  if (colon < 0 || existsSync(at(text))) return [text, undefined];
  return [text.slice(0, colon), text.slice(colon + 1)];
}

async function find(text: string, cwd: string): Promise<Found> {
  const at = (path: string) => resolve(cwd, path);
  const [name, rest] = parted(text, at);
  if (isName(name)) return loadNamed(name, rest);
  if (/\.csv(\.gz)?$/i.test(name)) return loadTable(at(name), rest);
  const [images, labels, ...more] = text.split(",");
  if (existsSync(at(text)) && statSync(at(text)).isDirectory()) return loadFolder(at(text));
  if (more.length === 0 && /idx|ubyte/i.test(images!)) return loadIdx(at(images!), labels === undefined ? undefined : at(labels));
  throw new UsageError(`--data: expected ${DATA_HELP}; got ${JSON.stringify(text)}, which is none of these.`);
}

/** Pixels between 0 and 1 less the mean, over the deviation, as a factor and a summand on bytes. */
function pixels(normalize: NetworkFile["normalize"]): Pick<LoaderOptions, "scale" | "shift"> {
  if (normalize === undefined) return {};
  const { mean, std } = normalize;
  const n = Math.max(...[mean, std].map((x) => (Array.isArray(x) ? x.length : 1)));
  const at = (x: number | number[], c: number) => (typeof x === "number" ? x : x[c]!);
  const scale = Array.from({ length: n }, (_, c) => 1 / (255 * at(std, c)));
  const shift = Array.from({ length: n }, (_, c) => -at(mean, c) / at(std, c));
  return n === 1 ? { scale: scale[0]!, shift: shift[0]! } : { scale, shift };
}

/** Whether images must be laid out as rows. @throws DataError if the examples are of another size than the network's */
function mustFlatten(set: DataSet, input: readonly number[] | null): boolean {
  if (input === null || formatShape(input) === formatShape(set.shape)) return false;
  if (isImageSet(set) && input.length === 1 && input[0] === sizeOf(set.shape)) return true;
  throw new DataError(
    `--data: expected examples of shape ${formatShape(input)}, which the network takes, got ${formatShape(set.shape)} from ${set.source}.`,
  );
}

/**
 * Loads what --data names, in two parts: examples to work with, and others that are held out.
 *
 * Data with a test set of their own (mnist, fashion, cifar10) hold that out; of others a part is chosen, always the same.
 * Targets without a meaning are 0 where there are no labels.
 *
 * @throws UsageError if the text is none of the forms in DATA_HELP; DataError if the data are not there or do not fit
 */
export async function loadExamples(text: string, options: ExampleOptions = {}): Promise<Examples> {
  const { cwd = process.cwd(), batchSize = 64, limit = Infinity, heldOut = 0.2, input = null } = options;
  const { set, test, hasLabels } = await find(text, cwd);
  const flatten = mustFlatten(set, input);
  const few = (indices: Indices) => take(indices, Math.min(limit, indices.length));
  const loader = (from: DataSet, indices?: Indices) =>
    new DataLoader(from, {
      ...pixels(isImageSet(from) ? options.normalize : undefined),
      ...{ batchSize, flatten, indices: few(indices ?? take(from, from.count)), dropLast: "merge" },
    });
  if (test !== undefined) {
    const { source } = set;
    return { batches: loader(set), heldOut: loader(test), hasLabels, classes: set.classes, source };
  }
  if (set.count < 2) throw new DataError(`--data: expected at least 2 examples, one to hold out, got ${set.count}.`);
  const parts = trainValidationSplit(set, { validation: Math.max(1, Math.round(set.count * heldOut)) });
  const [batches, rest] = [loader(set, parts.train), loader(set, parts.validation)];
  return { batches, heldOut: rest, hasLabels, classes: set.classes, source: set.source };
}
