import { DataError } from "../core/errors.js";
import { checkSet, type DataSet } from "../data/dataset.js";
import { imagesFromIdx } from "../data/idx.js";

/** A pair of IDX files, gzipped or not, that the worker fetches. */
export interface IdxAddresses {
  /** On a page, relative to the page. */
  imagesUrl: string;
  labelsUrl: string;
  /** Default: "images". */
  name?: string;
  /** Names of the classes, in the order of the labels (default: "0" to "9"). */
  classes?: readonly string[];
  /** True if this is a small sample that stands in for the data set of that name (default false). */
  sample?: boolean;
}

/** Labelled examples: a data set of typed arrays, or where its files are. */
export type SetSource = DataSet | IdxAddresses;

/** What a data set says about itself. */
export type SetInfo = Pick<DataSet, "name" | "count" | "shape" | "classes" | "source" | "sample">;

const digits = Array.from({ length: 10 }, (_, i) => String(i));

/** The address as it is everywhere: on a page it may be relative. */
function absolute(url: string): string {
  const base = typeof document === "undefined" ? undefined : document.baseURI;
  if (!URL.canParse(url, base)) throw new DataError(`load: expected the address of a file, got ${JSON.stringify(url)}.`);
  return new URL(url, base).href;
}

/** A source as the worker can read it. */
export function portable(source: SetSource): SetSource {
  if (!("imagesUrl" in source)) return source;
  return { ...source, imagesUrl: absolute(source.imagesUrl), labelsUrl: absolute(source.labelsUrl) };
}

async function fetchBytes(url: string): Promise<Uint8Array> {
  try {
    const response = await fetch(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new DataError(`${url}: expected the file, got HTTP status ${response.status}.`);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${url}: could not be fetched (${(cause as Error).message}).`, { cause });
  }
}

/**
 * The data set that a source names.
 * @throws DataError if a file cannot be fetched or is damaged, or sizes do not fit
 */
export async function readSource(source: SetSource): Promise<DataSet> {
  if (!("imagesUrl" in source)) return checkSet(source);
  const { imagesUrl, labelsUrl, name = "images", classes = digits, sample = false } = source;
  const [images, labels] = await Promise.all([fetchBytes(imagesUrl), fetchBytes(labelsUrl)]);
  return imagesFromIdx({
    name,
    images,
    labels,
    classes,
    files: { images: imagesUrl, labels: labelsUrl },
    source: `${name} from ${new URL(imagesUrl).host}`,
    sample,
  });
}

export function infoOf({ name, count, shape, classes, source, sample }: DataSet): SetInfo {
  return { name, count, shape, classes, source, sample };
}
